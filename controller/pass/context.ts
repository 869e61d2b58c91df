import { storedReady } from '#resources/conditions.ts';
import type { Json } from '#resources/json.ts';
import type { Kind } from '#resources/kind.ts';
import { keyText } from '#resources/reference.ts';
import type { ResourceKey, ResourceRow } from '#resources/resource.ts';
import { topic } from '#resources/topic.ts';
import type { Topic } from '#resources/topic.ts';
import { sendCall } from './call.ts';
import type {
  CallOptions,
  Intent,
  ListedRow,
  OperationView,
  ReadContext,
  ReadResult,
  WriteContext,
} from '#controller/contract.ts';
import { dependentsNamedMax, needs } from './deletion.ts';
import type { Dependency } from './dependencies.ts';
import { databaseNow, onStore } from './scope.ts';
import type { PassDeps, PassScope } from './scope.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';

/** What a kind sees of the world during one pass. Every read leaves its topic behind, so that a change there wakes the row. */

/** For observe: provider calls may not change anything. */
export function createReadContext(scope: PassScope, deps: PassDeps): ReadContext {
  return createContext(scope, deps, { mutates: false, intent: null });
}

/** For apply. `intent` is that of the action being carried out. */
export function createWriteContext(scope: PassScope, deps: PassDeps, intent: Intent | null): WriteContext {
  return { ...createContext(scope, deps, { mutates: true, intent }), intent };
}

function createContext(
  scope: PassScope,
  deps: PassDeps,
  { mutates, intent }: { mutates: boolean; intent: Intent | null },
): ReadContext {
  const { row } = scope.passRow;
  return {
    now: scope.now,
    read: (kind, name) => read(scope, deps, { kind, name }),
    list: (kind, selector) => list(scope, deps, { kind, selector }),
    call: <Reply>(options: CallOptions<Reply>, send: (signal: AbortSignal) => Promise<Reply>) => {
      if (options.mutating && !mutates) throw new Error(`observe may not call ${options.op}, which changes something`);
      return sendCall(scope, deps, { options, send, intent });
    },
    inventory: (key, maxAgeMs, fetch) => inventory(scope, deps, { key, maxAgeMs, fetch }),
    operation: (key): Promise<OperationView | null> => {
      listen(scope, deps, topic.operation(row.uid));
      return onStore(scope, () => deps.store.readOperation({ shard: row.shard, uid: row.uid, key }));
    },
  };
}

function listen(scope: PassScope, deps: PassDeps, name: Topic): void {
  const { listeners } = scope.record;
  if (listeners.size >= deps.options.listenersMax && !listeners.has(name)) {
    throw new Error(`A pass may listen to ${deps.options.listenersMax} topics at most`);
  }
  listeners.add(name);
}

async function readRow(
  scope: PassScope,
  deps: PassDeps,
  { kind, name, share = false }: { kind: string; name: string; share?: boolean },
): Promise<{ version: number; row: ResourceRow | null }> {
  const { workspace } = scope.passRow.row;
  listen(scope, deps, topic.ref(kind, workspace, name));
  const key = { workspace, kind, name };
  return onStore(scope, () => (share ? sharedRead(scope, deps, key) : deps.store.readKey(key)));
}

/** Read by the first pass of the claim that asks. */
function sharedRead(scope: PassScope, deps: PassDeps, key: ResourceKey): ReturnType<EngineStore['readKey']> {
  const name = keyText(key);
  const known = scope.shared?.get(name);
  if (known !== undefined) return known;
  const asked = deps.store.readKey(key);
  scope.shared?.set(name, asked);
  return asked;
}

async function read(scope: PassScope, deps: PassDeps, wanted: { kind: string; name: string }): Promise<ReadResult> {
  const { version, row } = await readRow(scope, deps, wanted);
  if (row === null) {
    return { exists: false, ready: false, deleting: false, outputs: {}, version, uid: null, reason: null };
  }
  return {
    exists: true,
    ready: storedReady(row),
    deleting: row.deletedAt !== null,
    outputs: deps.kinds.get(row.kind)?.outputs(row.status) ?? {},
    version,
    uid: row.uid,
    reason: reasonOf(row),
  };
}

function reasonOf(row: ResourceRow): string | null {
  const named = (type: string): string | undefined => row.conditions.find((one) => one.type === type)?.reason;
  return named('Stalled') ?? named('Ready') ?? null;
}

/** The rows that this one needs, for the generic check before the pass. */
export async function readDependencies(scope: PassScope, deps: PassDeps, kind: Kind): Promise<Dependency[]> {
  const { row } = scope.passRow;
  const wanted = kind.references(row.spec, row.workspace, row.name).filter((reference) => reference.mode === 'needs');
  return Promise.all(
    wanted.map(async (reference) => {
      const { kind: needed, name } = reference;
      const found = (await readRow(scope, deps, { kind: needed, name, share: true })).row;
      return {
        ref: `${reference.kind}/${reference.name}`,
        exists: found !== null,
        deleting: found !== null && found.deletedAt !== null,
        ready: found !== null && storedReady(found),
        stalled: found?.conditions.some((one) => one.type === 'Stalled' && one.status === 'True') ?? false,
      };
    }),
  );
}

/** The first rows of any kind that need this one, but for its own children. */
export async function readDependents(scope: PassScope, deps: PassDeps): Promise<ResourceRow[]> {
  const { row } = scope.passRow;
  listen(scope, deps, topic.refers(row.kind, row.workspace, row.name));
  const { shard, workspace } = row;
  const others = { shard, workspace, otherThan: deps.kinds.unrelatedTo(row.kind) };
  const isDependent = (one: ResourceRow): boolean =>
    one.uid !== row.uid && one.ownerUid !== row.uid && needs(deps.kinds.get(one.kind), one, row);
  const page = (from: { after: string; limit: number }) => deps.store.listOthers({ ...others, ...from });
  return search(scope, { page, matches: isDependent, max: dependentsNamedMax });
}

/** Rows read at a time while looking for some of them. */
const pageMax = 500;

/** The first rows, by uid, that match. Every row there is gets looked at: what stands in the way may be the last of thousands. */
async function search(
  scope: PassScope,
  look: {
    page: (from: { after: string; limit: number }) => Promise<readonly ResourceRow[]>;
    matches: (row: ResourceRow) => boolean;
    max: number;
  },
): Promise<ResourceRow[]> {
  const found: ResourceRow[] = [];
  for (let after = ''; ;) {
    const rows = await onStore(scope, () => look.page({ after, limit: pageMax }));
    found.push(...rows.filter(look.matches));
    const last = rows.at(-1);
    if (last === undefined || rows.length < pageMax || found.length >= look.max) return found.slice(0, look.max);
    after = last.uid;
  }
}

async function list(
  scope: PassScope,
  deps: PassDeps,
  { kind, selector }: { kind: string; selector: 'owned' | 'refers' },
): Promise<readonly ListedRow[]> {
  const { row } = scope.passRow;
  const { shard, workspace } = row;
  const owned = selector === 'owned';
  listen(scope, deps, owned ? topic.list(kind, row.uid) : topic.refers(row.kind, workspace, row.name));
  const wanted = owned ? { shard, workspace, ownerUid: row.uid, kinds: [kind] } : { shard, workspace, kinds: [kind] };
  const matches = (one: ResourceRow): boolean => one.kind === kind && (owned || refersTo(deps, one, row));
  const page = async (from: { after: string; limit: number }) =>
    (await deps.store.listRows({ ...wanted, ...from })).rows;
  const found = await search(scope, { page, matches, max: deps.options.listedMax + 1 });
  if (found.length > deps.options.listedMax) {
    throw new Error(`A list may answer ${deps.options.listedMax} rows at most`);
  }
  return found.map(listed);
}

function refersTo(deps: PassDeps, from: ResourceRow, to: ResourceRow): boolean {
  const references = deps.kinds.get(from.kind)?.references(from.spec, from.workspace, from.name) ?? [];
  return references.some((reference) => reference.kind === to.kind && reference.name === to.name);
}

function listed(row: ResourceRow): ListedRow {
  const { uid, kind, name, slot, spec, status } = row;
  return { uid, kind, name, slot, ready: storedReady(row), deleting: row.deletedAt !== null, spec, status };
}

async function inventory<T>(
  scope: PassScope,
  deps: PassDeps,
  { key, maxAgeMs, fetch }: { key: string; maxAgeMs: number; fetch: () => Promise<T> },
): Promise<T> {
  const { value, readAt } = await deps.inventories.get(key, maxAgeMs, fetch);
  const age = deps.clock.monotonic() - readAt;
  scope.record.observedAsOf = Math.min(scope.record.observedAsOf, databaseNow(scope, deps.clock) - Math.ceil(age));
  return value;
}

/** Plain JSON of what observe answered: stored, replayed, and handed to plan. Throws on what is not JSON. */
export function plainJson(value: unknown): Json {
  const text = JSON.stringify(value);
  if (text === undefined) throw new Error('observe answered nothing');
  return JSON.parse(text) as Json;
}
