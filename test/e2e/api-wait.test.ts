import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ConditionDraft } from '#resources/condition.ts';
import type { ResourceKey } from '#resources/resource.ts';
import type { WaitAnswer } from '#api/waits/parked.ts';
import { bucketManifest, bucketRef, settle, startApi } from './api-support.ts';
import type { Answered, TestApi } from './api-support.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const stalled: readonly ConditionDraft[] = [
  { type: 'Ready', status: 'False', reason: 'NameTaken', message: 'The name is taken.' },
  { type: 'Stalled', status: 'True', reason: 'NameTaken', message: 'The name is taken.' },
];
const ready: ConditionDraft = { type: 'Ready', status: 'True', reason: 'Available', message: 'All is well.' };

async function declare(name: string, spec: object = {}): Promise<ResourceKey> {
  const { status } = await api.call('resources.apply', { manifest: bucketManifest(name, { spec }) });
  expect(status).toBe(200);
  return bucketRef(name);
}

const wait = (key: ResourceKey, more: object = {}): Promise<Answered> =>
  api.call('resources.wait', { refs: [key], timeoutMs: 5_000, ...more });
const answerOf = (answered: Answered): WaitAnswer => answered.data;

describe('waiting', () => {
  it('answers met as soon as the declared generation is Ready', async () => {
    const key = await declare('met');
    const waiting = wait(key);
    await settle(api, key);
    const { status, data } = await waiting;
    expect(status).toBe(200);
    expect(data).toMatchObject({
      outcome: 'met',
      results: [{ ref: key, generation: 1, observedGeneration: 1, met: true, superseded: false }],
    });
    expect(answerOf(await waiting).results[0]?.condition).toMatchObject({ type: 'Ready', status: 'True' });
  });

  it('answers timeout with HTTP 200, and goes on from its cursor', async () => {
    const key = await declare('later');
    const first = answerOf(await wait(key, { timeoutMs: 1 }));
    expect(first).toMatchObject({
      outcome: 'timeout',
      results: [{ met: false, condition: { reason: 'NotYetReconciled' } }],
    });
    await settle(api, key);
    const second = answerOf(await wait(key, { cursor: first.cursor }));
    expect(second).toMatchObject({ outcome: 'met', results: [{ generation: 1 }] });
  });

  it('is not ended by a later edit, and says that a later generation decided', async () => {
    const key = await declare('edited');
    const { cursor } = answerOf(await wait(key, { timeoutMs: 1 }));
    await declare('edited', { versioning: true });
    expect(answerOf(await wait(key, { timeoutMs: 1, cursor })).outcome).toBe('timeout');
    await settle(api, key);
    const { outcome, results } = answerOf(await wait(key, { cursor }));
    expect({ outcome, results }).toMatchObject({
      outcome: 'met',
      results: [{ generation: 1, observedGeneration: 2, superseded: true }],
    });
  });

  it('never takes a Ready of an older generation for the new one', async () => {
    const key = await declare('stale-ready');
    await settle(api, key);
    await declare('stale-ready', { versioning: true });
    const { data } = await api.call('resources.get', key);
    const { conditions } = (data as { status: { conditions: { type: string; status: string }[] } }).status;
    expect(conditions.find((one) => one.type === 'Ready')?.status).toBe('Unknown');
    expect(answerOf(await wait(key, { timeoutMs: 1 })).outcome).toBe('timeout');
  });

  it('answers stalled with the condition that says what to do', async () => {
    const key = await declare('stuck');
    await settle(api, key, stalled);
    expect(answerOf(await wait(key))).toMatchObject({
      outcome: 'stalled',
      results: [{ met: false, condition: { type: 'Stalled', reason: 'NameTaken' } }],
    });
  });

  it('does not take a Stalled of an older generation for the new one', async () => {
    const key = await declare('unstuck');
    await settle(api, key, stalled);
    await declare('unstuck', { versioning: true });
    expect(answerOf(await wait(key, { timeoutMs: 1 })).outcome).toBe('timeout');
  });

  it('waits for any condition type', async () => {
    const key = await declare('created');
    await settle(api, key, [ready, { type: 'Created', status: 'True', reason: 'Created', message: 'It exists.' }]);
    expect(answerOf(await wait(key, { until: 'Created' }))).toMatchObject({
      outcome: 'met',
      results: [{ condition: { type: 'Created' } }],
    });
    await declare('created', { versioning: true });
    expect(answerOf(await wait(key, { until: 'Created', timeoutMs: 1 })).outcome).toBe('timeout');
  });

  it('needs all refs to be met, and lets one that is stalled decide', async () => {
    const [one, two] = [await declare('all-1'), await declare('all-2')];
    await settle(api, one);
    expect(answerOf(await api.call('resources.wait', { refs: [one, two], timeoutMs: 1 }))).toMatchObject({
      outcome: 'timeout',
      results: [{ met: true }, { met: false }],
    });
    await settle(api, two, stalled);
    expect(answerOf(await api.call('resources.wait', { refs: [one, two] })).outcome).toBe('stalled');
  });

  it('refuses a cursor with other refs', async () => {
    const key = await declare('refs');
    const { cursor } = answerOf(await wait(key, { timeoutMs: 1 }));
    const { error } = await wait(bucketRef('met'), { cursor });
    expect(error.data).toMatchObject({ code: 'VALIDATION', path: 'cursor' });
  });
});

describe('waiting for deletion', () => {
  it('is met at once where there is nothing', async () => {
    expect(answerOf(await wait(bucketRef('never-was'), { until: 'Deleted' }))).toMatchObject({
      outcome: 'met',
      results: [{ uid: null, met: true, observedGeneration: null, condition: null }],
    });
  });

  it('is met when the row goes, while a wait for Ready ends as deleted', async () => {
    const key = await declare('going');
    const [deleted, becameReady] = [wait(key, { until: 'Deleted' }), wait(key)];
    await until(async () => api.admin.looked.length > 0);
    await removeRow(key);
    expect(answerOf(await deleted)).toMatchObject({ outcome: 'met', results: [{ uid: expect.any(String) }] });
    expect(answerOf(await becameReady)).toMatchObject({ outcome: 'deleted', results: [{ met: false }] });
  });

  it('is met when the row came back with another uid', async () => {
    const key = await declare('reborn');
    const { cursor } = answerOf(await wait(key, { until: 'Deleted', timeoutMs: 1 }));
    await removeRow(key);
    await declare('reborn');
    expect(answerOf(await wait(key, { until: 'Deleted', cursor })).outcome).toBe('met');
  });

  it('answers stalled when the deletion is blocked', async () => {
    const key = await declare('blocked');
    await api.call('resources.delete', { ...key, confirm: 'blocked' });
    await settle(api, key, [
      { type: 'Ready', status: 'False', reason: 'Deleting', message: 'It is being deleted.' },
      { type: 'DeletionBlocked', status: 'True', reason: 'NotEmpty', message: 'There are objects in it.' },
    ]);
    expect(answerOf(await wait(key, { until: 'Deleted' }))).toMatchObject({
      outcome: 'stalled',
      results: [{ condition: { type: 'DeletionBlocked', reason: 'NotEmpty' } }],
    });
  });
});

describe('a wait and its key', () => {
  it('ends within 5 s when the key is revoked', async () => {
    const key = await declare('revoked');
    const bearer = api.key({ workspace: 'acme' });
    const waiting = api.call('resources.wait', { refs: [key], timeoutMs: 60_000 }, bearer);
    const { id } = [...api.admin.keys.values()].at(-1) ?? { id: '' };
    await until(async () => api.admin.looked.includes(id));
    const began = performance.now();
    await api.admin.revokeKey(null, id);
    expect((await waiting).status).toBe(401);
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});

/** The row goes, as after the controller's last pass. */
async function removeRow(key: ResourceKey): Promise<void> {
  await api.call('resources.delete', { ...key, confirm: key.name });
  const view = await api.stores.resources.get('platform', key);
  if (view === null) throw new Error('no row');
  const { shard, uid } = view.row;
  const [claim] = (
    await api.engine.claim({ shard, holder: 'r', limit: 500, perWorkspaceMax: 500, leaseMs: 60_000 })
  ).filter((one) => one.uid === uid);
  if (claim === undefined) throw new Error('not due');
  const fence = { shard, uid, epoch: claim.epoch, holder: 'r' };
  await api.engine.beginFinalizing(fence, { generation: view.row.generation, destroysData: false });
  const { result } = await api.engine.settleRemoval({
    settle: {
      ...fence,
      wakeSeq: claim.wakeSeq,
      generation: view.row.generation,
      readVersion: view.row.version,
      claimedAt: claim.claimedAt,
      dueInMs: 0,
      priority: 'resync',
      attempts: 0,
      fires: [],
      verified: false,
      materialized: false,
      clearTakenOver: false,
      intents: [],
      dropAnnounced: [],
      decided: [],
      operations: [],
    },
    retained: [],
    claim: null,
    unrelatedKinds: [],
    needs: () => false,
  });
  expect(result).toBe('removed');
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
}
