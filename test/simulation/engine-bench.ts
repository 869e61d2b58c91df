import { z } from 'zod';
import type { Action, AnyReconciler, ChildDeclaration, Plan, Reconciler } from '#controller/contract.ts';
import { createEngine } from '#controller/engine.ts';
import { silentLogger } from '#controller/log.ts';
import { createOptions } from '#controller/options.ts';
import type { ResourceStore } from '#controller/store/resource-store.ts';
import { createFixedRng, createVirtualClock } from '#controller/testing.ts';
import { firesOfChange } from '#resources/changes.ts';
import { defineKind } from '#resources/kind.ts';
import type { Kind } from '#resources/kind.ts';
import type { JsonObject } from '#resources/json.ts';
import type { Principal, ResourceKey, ResourceRow } from '#resources/resource.ts';
import { human } from '#resources/testing.ts';
import { createMemoryDatabase } from './memory-store/database.ts';
import { createMemorySignals } from './memory-store/signals.ts';
import { createMemoryStores } from './memory-store/stores.ts';

/**
 * One engine over the store in memory and kinds whose provider is a Map: for the flows of the engine itself, without a world around.
 */
const spec = {
  text: z.string().default('hi'),
  after: z.string().nullable().default(null),
  parts: z.array(z.string()).default([]),
};
const references = (given: JsonObject) =>
  typeof given['after'] === 'string'
    ? [{ mode: 'needs', kind: 'Thing', name: given['after'], path: 'spec.after' } as const]
    : [];
const base = { area: 'things', spec, status: { external: z.object({ id: z.string() }).optional() }, conditions: [] };

export const Workspace = defineKind({ ...base, name: 'Workspace', plural: 'workspaces' });
export const Thing = defineKind({ ...base, name: 'Thing', plural: 'things', references, needsKinds: ['Thing'] });
export const Vault = defineKind({ ...base, name: 'Vault', plural: 'vaults', holdsData: true });
export const Errand = defineKind({ ...base, name: 'Errand', plural: 'errands', lifecycle: 'once' });
/** Its name exists once in the world. */
export const Place = defineKind({
  ...base,
  name: 'Place',
  plural: 'places',
  claims: (_spec, _workspace, name) => name,
});
const kinds = [Workspace, Thing, Vault, Errand, Place];

/** A reconciler of each kind, over one provider. */
export function reconcilersOf(provider: Provider): readonly AnyReconciler[] {
  return kinds.map((kind) => reconcilerOf(kind, provider));
}

interface Seen {
  readonly text: string | null;
  readonly parts: readonly string[];
  readonly errandDone: boolean;
}
type Step = Action & { readonly text?: string; readonly children?: readonly ChildDeclaration[] };

/** What a test may make the provider do. */
export interface Provider {
  /** Objects by uid. */
  readonly objects: Map<string, string>;
  /** Writes carried out, by uid and text. */
  readonly writes: string[];
  /** Reads asked for. */
  reads: number;
  /** Comes before each write; may throw or hang. */
  beforeWrite: (uid: string) => Promise<void>;
  /** Comes after each write; may throw: the reply is lost. */
  afterWrite: (uid: string) => Promise<void>;
  beforeRead: (uid: string) => Promise<void>;
  /** Comes in observe, outside of any call. */
  beforeLook: (uid: string) => Promise<void>;
}

/** A provider with nothing in it that does what it is asked. */
export function createProvider(): Provider {
  const nothing = (): Promise<void> => Promise.resolve();
  return {
    objects: new Map(),
    writes: [],
    reads: 0,
    beforeWrite: nothing,
    afterWrite: nothing,
    beforeRead: nothing,
    beforeLook: nothing,
  };
}

const here = { provider: 'things', account: 'a' } as const;

function reconcilerOf(kind: Kind, provider: Provider): AnyReconciler {
  const reconciler: Reconciler<Kind, Seen, Step> = {
    kind,
    timing: { resyncEveryMs: 600_000, visibilityMs: 0, maxCallMs: 30_000 },
    async observe(_desired, target, ctx) {
      if (kind === Workspace) return { text: 'hi', parts: [], errandDone: false };
      await provider.beforeLook(target.uid);
      const text = await ctx.call({ ...here, op: 'get', mutating: false }, async () => {
        provider.reads += 1;
        await provider.beforeRead(target.uid);
        return provider.objects.get(target.uid) ?? null;
      });
      const owned = await ctx.list('Thing', 'owned');
      const parts = owned.filter((row) => !row.deleting).map((row) => row.slot ?? '');
      const errandDone = target.intents.some((intent) => intent.state === 'done');
      return { text, parts: parts.sort(), errandDone };
    },
    plan: (desired, seen) => planOf(kind, { desired: desired.state, spec: desired.spec as JsonObject, seen }),
    resolve: (_intent, seen) => (seen.text === null ? 'not-done' : 'done'),
    // oxlint-disable-next-line eslint/max-params -- the contract's own form
    async apply(_desired, target, action, ctx) {
      const safety = kind === Errand ? 'once' : 'repeatable';
      await ctx.call({ ...here, op: 'put', mutating: true, safety }, async () => {
        await provider.beforeWrite(target.uid);
        provider.writes.push(`${action.type} ${target.name}`);
        if (action.text === undefined) provider.objects.delete(target.uid);
        else provider.objects.set(target.uid, action.text);
        await provider.afterWrite(target.uid);
      });
    },
    report: (_desired, seen) => ({ status: seen.text === null ? {} : { external: { id: seen.text } }, facts: [] }),
    exists: (seen) => seen.text !== null && kind !== Workspace,
    account: () => (kind === Workspace ? null : here),
  };
  return reconciler;
}

function planOf(
  kind: Kind,
  { desired, spec, seen }: { desired: 'present' | 'absent'; spec: JsonObject; seen: Seen },
): Plan<Step> {
  if (kind === Workspace) return { verdict: 'converged' };
  const wanted = desired === 'absent' ? [] : (spec['parts'] as string[]);
  if (seen.parts.join() !== wanted.toSorted().join()) {
    const children = wanted.map((slot) => ({ slot, manifest: { kind: 'Thing', name: `part-${slot}`, spec: {} } }));
    return { verdict: 'act', actions: [{ type: 'declare', effect: 'declare', risk: 'free', children }] };
  }
  if (desired === 'absent') {
    if (seen.text === null) return { verdict: 'converged' };
    const destroysData = kind === Vault;
    return { verdict: 'act', actions: [{ type: 'erase', effect: 'delete', risk: 'guarded', destroysData }] };
  }
  const text = spec['text'] as string;
  if (seen.text === text || seen.errandDone) return { verdict: 'converged' };
  const effect = seen.text === null ? 'create' : 'update';
  const intent = kind === Errand ? { intent: 'run' } : {};
  return { verdict: 'act', actions: [{ type: 'write', effect, risk: 'free', text, ...intent }] };
}

/** Background loops as slow as they may be, since days pass here. */
const options = createOptions({
  engine: { pollMs: 60_000 },
  gateway: { refreshEveryMs: 5_000, tokensEveryMs: 5_000, tokensExpireMs: 10_000 },
  replay: { askEveryMs: 1_000, checkEveryMs: 10_000, idleEveryMs: 60_000 },
  tasks: { drainEveryMs: 10_000, fireIdleMs: 60_000, engineAgainTimes: 0 },
  sweep: { everyMs: 86_400_000 },
});

/** A bench with the Workspace `acme` declared and the engine running. */
export async function createBench() {
  const clock = createVirtualClock();
  const signals = createMemorySignals();
  const db = createMemoryDatabase({ now: () => clock.now(), committed: (shard) => signals.signal([shard]) });
  const stores = createMemoryStores(db);
  const provider = createProvider();
  const engineOf = (holder: string) =>
    createEngine({
      store: stores.engine,
      providers: stores.providers,
      replays: stores.replays,
      signals,
      registry: reconcilersOf(provider),
      clock,
      rng: createFixedRng(),
      options,
      log: silentLogger,
      buildId: 'test',
      holder,
    });
  const engine = engineOf('w1');
  const declare = declarerOf(stores.resources);
  await engine.start();
  await declare.apply(Workspace, 'acme', {});
  await clock.advance(1_000);
  return {
    clock,
    db,
    stores,
    signals,
    provider,
    engine,
    engineOf,
    ...declare,
    declarerIn: (name: string) => declarerOf(stores.resources, name),
  };
}

/** Declares rows of a workspace, as the API would. */
export function declarerOf(resources: ResourceStore, workspace = 'acme') {
  const keyOf = (kind: Kind, name: string): ResourceKey => ({ workspace, kind: kind.name, name });
  const read = async (kind: Kind, name: string): Promise<ResourceRow | null> =>
    (await resources.get('platform', keyOf(kind, name)))?.row ?? null;
  // oxlint-disable-next-line eslint/max-params -- reads as a sentence in tests
  const apply = async (kind: Kind, name: string, given: JsonObject, by: Principal = human): Promise<unknown> => {
    const key = keyOf(kind, name);
    const full = kind.spec.parse(given) as JsonObject;
    return resources.mutate({
      scope: 'platform',
      workspace,
      reads: [key],
      follow: () => [],
      decide: ({ rows }) => {
        const row = [...rows.values()][0];
        const made = { key, labels: {}, annotations: {}, spec: full, by, approved: [] };
        const uid = row?.uid ?? `${workspace === 'acme' ? '' : `${workspace}-`}${kind.name}-${name}`;
        const fires = row === undefined ? [] : firesOfChange(kind, row, { ...row, generation: row.generation + 1 });
        return row === undefined
          ? [{ ...made, op: 'insert', uid, owner: null, fires }]
          : [{ ...made, op: 'update', uid, newGeneration: true, fires }];
      },
    });
  };
  const remove = async (kind: Kind, name: string, undoForMs = 0): Promise<unknown> => {
    const key = keyOf(kind, name);
    return resources.mutate({
      scope: 'platform',
      workspace,
      reads: [key],
      follow: () => [],
      decide: ({ rows, now }) =>
        [...rows.values()].map((row) => ({
          op: 'delete',
          uid: row.uid,
          key,
          policy: 'Delete',
          undoForMs,
          by: human,
          confirmed: true,
          approved: [],
          fires: firesOfChange(kind, row, { ...row, deletedAt: now, generation: row.generation + 1 }),
        })),
    });
  };
  return { read, apply, remove };
}

/** "Ready": "True/Available", … of the stored conditions. */
export function said(row: ResourceRow | null): Record<string, string> {
  return Object.fromEntries((row?.conditions ?? []).map((one) => [one.type, `${one.status}/${one.reason}`]));
}
