import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shardOf } from '#resources/shard.ts';
import { desiredDigest } from '#resources/admission.ts';
import type { StoredPlan } from '#controller/store/rows.ts';
import { pooled } from '#test/support/pooler/pooled.ts';
import { bucketManifest, bucketRef, startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

interface Answer {
  readonly metadata: { uid: string; generation: number };
  readonly spec: Readonly<Record<string, never>>;
  readonly replayed: boolean;
  readonly replayedGeneration?: number;
}

const apply = async (name: string, more: { spec?: object; requestId?: string; key?: string } = {}) => {
  const { spec, requestId, key } = more;
  return api.call('resources.apply', { manifest: bucketManifest(name, { spec: spec ?? {} }), requestId }, key);
};

describe('a repeated request', () => {
  it('makes one row of 1,000 at once, and answers all with the same uid and generation', async () => {
    const answers = await Promise.all(Array.from({ length: 1_000 }, () => apply('crowd', { requestId: 'crowd' })));
    expect(new Set(answers.map((one) => one.status))).toEqual(new Set([200]));
    const rows = answers.map((one) => one.data as Answer);
    expect(new Set(rows.map((one) => `${one.metadata.uid}/${one.metadata.generation}`)).size).toBe(1);
    expect(rows.filter((one) => !one.replayed)).toHaveLength(1);
  });

  it('answers the row as it is now, and which generation it made then', async () => {
    await apply('moved-on', { requestId: 'r1' });
    await apply('moved-on', { spec: { versioning: true } });
    expect((await apply('moved-on', { requestId: 'r1' })).data).toMatchObject({
      metadata: { generation: 2 },
      spec: { versioning: true },
      replayed: true,
      replayedGeneration: 1,
    });
  });

  it('does not undo what came after', async () => {
    await apply('kept-on', { requestId: 'k1', spec: { versioning: true } });
    await apply('kept-on', { spec: { versioning: false } });
    await apply('kept-on', { requestId: 'k1', spec: { versioning: true } });
    expect((await api.call('resources.get', bucketRef('kept-on'))).data).toMatchObject({ spec: { versioning: false } });
  });

  it.skipIf(pooled)('says that the row is gone, and which it was', async () => {
    const { metadata } = (await apply('vanished', { requestId: 'v1' })).data as Answer;
    const tables = api.tables().shards.get(shardOf('acme'));
    tables?.rows.delete(metadata.uid);
    tables?.byKey.delete('Bucket/acme/vanished');
    expect((await apply('vanished', { requestId: 'v1' })).data).toEqual({
      replayed: true,
      gone: true,
      uid: metadata.uid,
      generation: 1,
    });
  });

  it('refuses the id for another body or another procedure', async () => {
    await apply('taken', { requestId: 't1' });
    const other = await apply('taken', { requestId: 't1', spec: { versioning: true } });
    expect(other).toMatchObject({ status: 409, error: { data: { code: 'IDEMPOTENCY_MISMATCH', path: 'requestId' } } });
    const patched = await api.call('resources.patch', { ...bucketRef('taken'), patch: {}, requestId: 't1' });
    expect(patched.error.data.code).toBe('IDEMPOTENCY_MISMATCH');
  });

  it('belongs to the lineage of its key: a rotated key repeats it, another key does not', async () => {
    const [one, rotated, other] = ['line-a', 'line-a', 'line-b'].map((lineage) =>
      api.key({ workspace: 'acme', lineage }),
    );
    const first = await apply('lineage', { requestId: 'l1', key: one ?? '' });
    expect((first.data as Answer).replayed).toBe(false);
    expect(((await apply('lineage', { requestId: 'l1', key: rotated ?? '' })).data as Answer).replayed).toBe(true);
    expect(((await apply('lineage', { requestId: 'l1', key: other ?? '' })).data as Answer).replayed).toBe(false);
  });

  it('is remembered for every mutation of rows', async () => {
    await apply('many');
    const steps: readonly (readonly [string, object])[] = [
      ['resources.patch', { ...bucketRef('many'), patch: { versioning: true } }],
      ['storage.set_lifecycle', { workspace: 'acme', bucket: 'many', lifecycle: [{ deleteAfterDays: 1 }] }],
      ['storage.delete_object', { workspace: 'acme', bucket: 'many', key: 'a.txt' }],
      ['resources.apply_all', { manifests: [bucketManifest('many-1'), bucketManifest('many-2')] }],
      ['resources.delete', { ...bucketRef('many'), confirm: 'many' }],
      ['resources.undelete', bucketRef('many')],
    ];
    for (const [procedure, input] of steps) {
      const requestId = `m-${procedure}`;
      const first = await api.call(procedure, { ...input, requestId });
      const again = await api.call(procedure, { ...input, requestId });
      const [was, now] = [first.data, again.data].map((data) => [data].flat() as Answer[]);
      expect({ procedure, status: first.status }).toEqual({ procedure, status: 200 });
      expect(now?.map((one) => [one.metadata.uid, one.replayed])).toEqual(was?.map((one) => [one.metadata.uid, true]));
    }
  });

  it('that was refused is not remembered: it may be mended and sent again', async () => {
    expect((await apply('mended', { requestId: 'x1', spec: { colour: 1 } })).status).toBe(400);
    expect((await apply('mended', { requestId: 'x1', spec: {} })).status).toBe(200);
  });
});

describe('what is not a row', () => {
  it('starts one replay for one requestId, and answers it as it is now', async () => {
    const input = { selector: { workspace: 'acme' }, ratePerSecond: 100, requestId: 'replay-1' };
    const first = (await api.call('replays.create', input)).data as { id: string };
    expect(first).toMatchObject({
      state: 'filling',
      selector: { workspace: 'acme' },
      ratePerSecond: 100,
      finishedAt: null,
      total: 0,
      failing: [],
      estimateMs: 0,
    });
    expect((await api.call('replays.suspend', { id: first.id })).data).toMatchObject({ state: 'suspended' });
    expect((await api.call('replays.create', input)).data).toMatchObject({
      id: first.id,
      state: 'suspended',
      replayed: true,
    });
    expect((await api.call('replays.resume', { id: first.id })).data).toMatchObject({ state: 'filling' });
    expect((await api.call('replays.cancel', { id: first.id })).data).toMatchObject({
      state: 'cancelled',
      estimateMs: 0,
    });
    const { items } = (await api.call('replays.list', {})).data as { items: { id: string }[] };
    expect(items.map((one) => one.id)).toContain(first.id);
    const mismatch = await api.call('replays.create', { ...input, ratePerSecond: 5 });
    expect(mismatch.error.data.code).toBe('IDEMPOTENCY_MISMATCH');
  });

  it('freezes and thaws an account; a late repeat of the freeze does not freeze again', async () => {
    const at = { provider: 'gcs', account: 'project-1' };
    const freeze = { ...at, why: 'an incident', forMs: 60_000, requestId: 'freeze-1' };
    expect((await api.call('providers.freeze', freeze)).status).toBe(404);
    await api.providers.registerCredential({ ...at, digest: 'd', wakePerSecond: 50 });
    const frozen = await api.call('providers.freeze', freeze);
    expect(frozen.data).toMatchObject({ ...at, frozen: { why: 'an incident', until: expect.any(String) } });
    expect((await api.call('providers.thaw', at)).data).toMatchObject({ frozen: null });
    expect((await api.call('providers.freeze', freeze)).data).toMatchObject({ frozen: null, replayed: true });
    const { items } = (await api.call('providers.list', {})).data as { items: object[] };
    expect(items).toEqual([expect.objectContaining(at)]);
  });

  it('needs a person for replays and decisions: agents are FORBIDDEN', async () => {
    const agent = api.key({ class: 'agent' });
    expect((await api.call('replays.create', {}, agent)).error.data.code).toBe('FORBIDDEN');
    expect((await api.call('decisions.list', {}, agent)).error.data.code).toBe('FORBIDDEN');
    expect((await api.call('decisions.list', {})).data).toEqual({ items: [] });
  });
});

describe.skipIf(pooled)('a quoted plan', () => {
  const wish = { ...bucketManifest('quoted', { spec: { versioning: true } }) };
  const plan = (more: Partial<StoredPlan>): void => {
    const tables = api.tables().shards.get(shardOf('acme'));
    const { data } = defaulted;
    const digest = desiredDigest({ op: 'apply', key: bucketRef('quoted'), spec: (data as Answer).spec });
    tables?.plans.set('hash-1', {
      hash: 'hash-1',
      workspace: 'acme',
      ref: bucketRef('quoted'),
      baseGeneration: 1,
      desiredDigest: digest,
      actions: [{ digest: 'action-1', risk: 'guarded' }],
      expiresAt: Date.now() + 60_000,
      ...more,
    });
  };
  let defaulted: { readonly data: unknown };
  beforeAll(async () => {
    await apply('quoted');
    await apply('quoted-twin', { spec: { versioning: true } });
    defaulted = await api.call('resources.get', bucketRef('quoted-twin'));
  });
  const quote = () => api.call('resources.apply', { manifest: wish, planHash: 'hash-1' });

  it.each([
    ['expired', { expiresAt: 1 }],
    ['of another generation', { baseGeneration: 7 }],
    ['of another desired state', { desiredDigest: 'other' }],
    ['of another row', { ref: bucketRef('other') }],
  ])('is PLAN_STALE when it is %s', async (_what, more) => {
    plan(more);
    expect(await quote()).toMatchObject({ status: 409, error: { data: { code: 'PLAN_STALE', path: 'planHash' } } });
  });

  it('copies the digests that it approves into the new revision', async () => {
    plan({});
    expect((await quote()).data).toMatchObject({ metadata: { generation: 2 } });
    const { data } = await api.call('resources.history', bucketRef('quoted'));
    expect((data as { approved: string[] }[])[0]).toMatchObject({ generation: 2, approved: ['action-1'] });
  });
});

describe('planning', () => {
  it('sends well-formed changes of one workspace to the reader, and nothing else', async () => {
    const asked: unknown[] = [];
    const own = await startApi({
      reader: {
        plan: async ({ workspace, changes, fresh }) => (asked.push({ workspace, changes, fresh }), [{ hash: 'h' }]),
      },
    });
    const changes = [{ apply: bucketManifest('p') }, { delete: { kind: 'Bucket', name: 'p' } }];
    expect((await own.call('resources.plan', { workspace: 'acme', changes })).data).toEqual([{ hash: 'h' }]);
    expect(asked).toEqual([{ workspace: 'acme', changes, fresh: false }]);
    const foreign = [{ apply: bucketManifest('p', { workspace: 'beta' }) }];
    expect((await own.call('resources.plan', { workspace: 'acme', changes: foreign })).error.data).toMatchObject({
      code: 'VALIDATION',
      path: 'changes[0].apply.metadata.workspace',
    });
    await own.close();
  });
});
