import { describe, expect, it } from 'vitest';
import { desiredDigest } from '#resources/admission.ts';
import type { JsonObject } from '#resources/json.ts';
import type { RowWrite } from '#resources/mutation.ts';
import { shardOf } from '#resources/shard.ts';
import { human, testKinds } from '#resources/testing.ts';
import type { Action, AnyReconciler, Desired, Plan, ReadContext, Target } from '#controller/contract.ts';
import { createGateway } from '#controller/gateway/gateway.ts';
import { createInventories } from '#controller/inventory.ts';
import { silentLogger } from '#controller/log.ts';
import { createMetrics } from '#controller/metrics.ts';
import { createOptions } from '#controller/options.ts';
import { approvalDigest } from '#controller/pass/recent-actions.ts';
import type { PassRecord, StoredPlan } from '#controller/store/rows.ts';
import { createFixedRng, createVirtualClock } from '#controller/testing.ts';
import { createMemoryDatabase, shardTables } from '#test/simulation/memory-store/database.ts';
import { createMemoryStores } from '#test/simulation/memory-store/stores.ts';
import { planChanges } from './plan.ts';

const workspace = 'acme';
const create: Action = {
  type: 'create',
  effect: 'create',
  risk: 'free',
  changes: [{ path: 'text', have: null, want: 'hi' }],
};
const wipe: Action = { type: 'wipe', effect: 'delete', risk: 'guarded', destroysData: true, guard: { etag: 'e1' } };
const buy: Action = { type: 'buy', effect: 'create', risk: 'spending', priceCents: 1_500, currency: 'CAD' };

const note = (name: string, spec: JsonObject = {}) => ({
  apply: { apiVersion: 'vibn.dev/v1', kind: 'Note', metadata: { workspace, name }, spec },
});
const removal = (name: string) => ({ delete: { kind: 'Note', name } });

/** A reader over stores in memory, with a Note `one` and its Workspace, and a kind that notes what it is asked. */
async function build(plan: (desired: Desired, observed: JsonObject) => Plan = () => ({ verdict: 'converged' })) {
  const clock = createVirtualClock();
  const rng = createFixedRng();
  const db = createMemoryDatabase({ now: () => clock.now() });
  const stores = createMemoryStores(db);
  const options = createOptions();
  const written: StoredPlan[] = [];
  const looks: { desired: Desired; target: Target }[] = [];
  const reconciler: AnyReconciler = {
    kind: testKinds.get('Note') ?? never(),
    timing: { resyncEveryMs: 600_000, visibilityMs: 10_000, maxCallMs: 30_000 },
    async observe(desired: Desired, target: Target, context: ReadContext) {
      looks.push({ desired, target });
      const call = { provider: 'gcs', account: 'p', op: 'notes.get', mutating: false };
      return context.call(call, async () => ({ seen: 'fresh', etag: 'e1' }));
    },
    plan,
    resolve: () => 'undecided',
    apply: () => Promise.reject(new Error('a reader applied something')),
    report: () => ({ status: {}, facts: [] }),
    exists: () => true,
    account: () => null,
  };
  const gateway = createGateway({
    providers: stores.providers,
    clock,
    rng,
    options: options.gateway,
    log: silentLogger,
    metrics: createMetrics(),
  });
  const deps = {
    pass: {
      store: stores.engine,
      providers: stores.providers,
      gateway,
      kinds: testKinds,
      inventories: createInventories({ clock, max: 10 }),
      clock,
      rng,
      options: options.engine,
      log: silentLogger,
    },
    admin: { writePlans: async (_workspace: string, plans: readonly StoredPlan[]) => void written.push(...plans) },
    reconcilers: new Map([['Note', reconciler]]),
    options: options.reader,
  };
  await declare(stores, [insert('Workspace', workspace, {}), insert('Note', 'one', noteSpec)]);
  const row = async (name: string) => (await stores.engine.readKey({ workspace, kind: 'Note', name })).row ?? never();
  const ask = (changes: readonly unknown[], fresh?: boolean) =>
    planChanges(deps, { workspace, changes, ...(fresh === undefined ? {} : { fresh }) });
  return { db, stores, deps, reconciler, written, looks, row, ask, clock };
}

const noteSpec = (testKinds.get('Note') ?? never()).spec.parse({}) as JsonObject;

function insert(kind: string, name: string, spec: JsonObject): RowWrite {
  const key = { workspace, kind, name };
  const uid = `uid-${kind}-${name}`;
  const given = { labels: {}, annotations: {}, spec, by: human, owner: null, approved: [], fires: [] };
  return { op: 'insert', uid, key, ...given };
}

async function declare({ resources }: ReturnType<typeof createMemoryStores>, writes: readonly RowWrite[]) {
  await resources.mutate({ scope: 'platform', workspace, reads: [], follow: () => [], decide: () => writes });
}

/** Puts a pass with this observation into the journal. */
function record({ db }: Awaited<ReturnType<typeof build>>, uid: string, passes: readonly Partial<PassRecord>[]) {
  const tables = shardTables(db, shardOf(workspace));
  const base = { generation: 1, trigger: 'user', observedDigest: 'd', plan: null, planDigest: 'd', calls: [] };
  const rest = { outcome: 'converged', durationMs: 1, traceId: null, observed: null };
  tables.passes.set(
    uid,
    passes.map((pass, index) => ({ ...base, ...rest, ...pass, uid, epoch: index + 1, at: index })),
  );
}

function never(): never {
  throw new Error('missing in the test');
}

describe('planning', () => {
  it('looks at the world for a row that does not exist, and says what would be done', async () => {
    const world = await build(() => ({ verdict: 'act', actions: [create] }));
    const [answer] = await world.ask([note('two', { text: 'new' })]);
    expect(world.looks[0]?.desired).toMatchObject({ state: 'present', spec: { text: 'new', place: 'desk' } });
    expect(world.looks[0]?.target).toMatchObject({ workspace, name: 'two', last: {}, intents: [], incarnation: 0 });
    expect(answer).toMatchObject({
      ref: { workspace, kind: 'Note', name: 'two' },
      baseGeneration: 0,
      diff: [{ path: 'text', have: null, want: 'hi' }],
      actions: [{ type: 'create', effect: 'create', risk: 'free' }],
      preview: [],
      risk: 'free',
      priceCents: null,
      verdict: 'act',
    });
    expect(answer?.expiresAt).toBe('2026-11-20T09:00:00.000Z');
  });

  it('plans on the newest observation that the journal holds, without asking the provider', async () => {
    const seen: JsonObject[] = [];
    const world = await build((_desired, observed) => {
      seen.push(observed);
      return { verdict: 'converged' };
    });
    record(world, 'uid-Note-one', [{ observed: { seen: 'old' } }, { observed: { seen: 'newer' } }, {}]);
    await world.ask([note('one')]);
    expect(world.looks).toHaveLength(0);
    await world.ask([note('one')], true);
    expect(world.looks).toHaveLength(1);
    expect(seen).toEqual([{ seen: 'newer' }, { seen: 'fresh', etag: 'e1' }]);
  });

  it('looks afresh for a deletion: passes over a declared row do not gather what it must know', async () => {
    const world = await build();
    record(world, 'uid-Note-one', [{ observed: { seen: 'as declared' } }]);
    await world.ask([{ delete: { kind: 'Note', name: 'one' } }]);
    expect(world.looks.map((look) => look.desired.state)).toEqual(['absent']);
  });

  it('looks where no observation is stored', async () => {
    const world = await build();
    await world.ask([note('one')]);
    expect(world.looks).toHaveLength(1);
  });

  it('writes a plan that admission will recognise: same desired state, base generation, digests of what needs approval', async () => {
    const world = await build(() => ({ verdict: 'act', actions: [create, wipe], preview: [buy, wipe] }));
    const [answer] = await world.ask([note('one', { text: 'other' })]);
    const ref = { workspace, kind: 'Note', name: 'one' };
    expect(world.written).toEqual([
      {
        hash: answer?.hash,
        workspace,
        ref,
        baseGeneration: 1,
        desiredDigest: desiredDigest({ op: 'apply', key: ref, spec: { ...noteSpec, text: 'other' } }),
        actions: [
          { digest: approvalDigest(wipe), risk: 'guarded' },
          { digest: approvalDigest(buy), risk: 'spending' },
        ],
        expiresAt: world.clock.now() + 3_600_000,
      },
    ]);
    expect(answer).toMatchObject({ risk: 'spending', priceCents: 1_500 });
  });

  it('counts once what the preview names again', async () => {
    const shown = { ...buy, changes: [{ path: 'owner', have: null, want: 'us' }] };
    const world = await build(() => ({ verdict: 'act', actions: [shown], preview: [shown, wipe] }));
    const [answer] = await world.ask([note('two')]);
    expect(answer).toMatchObject({ priceCents: 1_500, diff: [{ path: 'owner', have: null, want: 'us' }] });
    expect(answer?.preview).toHaveLength(2);
  });

  it('shows no action’s hold on its observation, which is in no digest either', async () => {
    const world = await build(() => ({ verdict: 'act', actions: [wipe] }));
    const [answer] = await world.ask([removal('one')]);
    expect(answer?.actions).toEqual([{ type: 'wipe', effect: 'delete', risk: 'guarded', destroysData: true }]);
    expect(world.written[0]?.actions[0]?.digest).toBe(approvalDigest({ ...wipe, guard: { etag: 'e2' } }));
  });

  it('plans a deletion as absence, by the policy that was asked or declared', async () => {
    const world = await build();
    await world.ask([removal('one'), { delete: { kind: 'Note', name: 'one', policy: 'Orphan' } }]);
    expect(world.looks.map((look) => look.desired)).toMatchObject([
      { state: 'absent', policy: 'Delete', spec: { text: 'hi' } },
      { state: 'absent', policy: 'Orphan' },
    ]);
    const ref = { workspace, kind: 'Note', name: 'one' };
    expect(world.written[0]?.desiredDigest).toBe(desiredDigest({ op: 'delete', key: ref, policy: 'Delete' }));
  });

  it('says why it waits or is stalled', async () => {
    const stalled: Plan = {
      verdict: 'stalled',
      reason: 'NameTaken',
      message: 'The name is taken.',
      clearsOn: ['spec:x'],
      remedy: [{ id: 'r', call: { proc: 'p', input: {} }, destructive: false, needs: 'declarer' }],
    };
    const world = await build(() => stalled);
    const [answer] = await world.ask([note('one')]);
    expect(answer).toMatchObject({
      verdict: 'stalled',
      reason: 'NameTaken',
      message: 'The name is taken.',
      actions: [],
    });
  });

  it('admits all changes together: one may refer to what another declares', async () => {
    const world = await build();
    const answers = await world.ask([note('three', { after: 'two' }), note('two')]);
    expect(answers.map((one) => one.ref.name)).toEqual(['three', 'two']);
    await expect(world.ask([note('three', { after: 'two' })])).rejects.toMatchObject({ data: { code: 'VALIDATION' } });
  });

  it('changes nothing but plans', async () => {
    const world = await build(() => ({ verdict: 'act', actions: [wipe] }));
    const before = await world.row('one');
    await world.ask([removal('one'), note('two')]);
    expect(await world.row('one')).toEqual(before);
    expect((await world.stores.engine.readKey({ workspace, kind: 'Note', name: 'two' })).row).toBe(null);
    expect(await world.stores.engine.dueShards()).toEqual([shardOf(workspace)]);
  });

  it('refuses a look that would change something', async () => {
    const world = await build();
    world.reconciler.observe = (_desired, _target, context) =>
      context.call({ provider: 'gcs', account: 'p', op: 'notes.put', mutating: true }, async () => ({}));
    await expect(world.ask([note('two')])).rejects.toThrow('notes.put');
    expect(world.written).toEqual([]);
  });
});

describe('a plan request', () => {
  it.each([
    ['no changes', { workspace, changes: [] }, 'changes'],
    ['an unknown field', { workspace, changes: [note('one')], force: true }, 'force'],
    ['another workspace', { workspace: 'other', changes: [note('one')] }, 'changes[0].apply.metadata.workspace'],
    ['a bad spec', { workspace, changes: [note('one'), note('two', { text: 7 })] }, 'changes[1].apply.spec.text'],
    ['an immutable change', { workspace, changes: [note('one', { place: 'wall' })] }, 'changes[0].apply.spec.place'],
  ])('with %s is VALIDATION with the path', async (_name, body, path) => {
    const world = await build();
    await expect(planChanges(world.deps, body)).rejects.toMatchObject({ data: { code: 'VALIDATION', path } });
  });

  it('for a row that is not there is NOT_FOUND', async () => {
    const world = await build();
    await expect(world.ask([removal('nobody')])).rejects.toMatchObject({ data: { code: 'NOT_FOUND' } });
  });
});
