import { afterEach, beforeEach } from 'vitest';
import type { EngineStore } from '#controller/store/engine-store.ts';
import type { ProviderStore } from '#controller/store/provider-store.ts';
import type { ReplayStore } from '#controller/store/replay-store.ts';
import type { ResourceStore } from '#controller/store/resource-store.ts';
import type { Claim, Fence, PassRow, RowWrite, Settle } from '#controller/store/rows.ts';
import type { Condition } from '#resources/condition.ts';
import type { JsonObject } from '#resources/json.ts';
import type { Principal, ResourceKey } from '#resources/resource.ts';
import { shardOf } from '#resources/shard.ts';

/**
 * What the contract is run against: EMPTY stores over one database.
 * `elapse(ms)` makes all that is stored look `ms` older: the memory store moves its clock forward; the SQL one, which cannot move
 * the server's clock, moves every stored timestamp `ms` back (due_at, lease_until, taken_over_at, give_up_at, sent_at, undo_until,
 * blocked_until, tokens' and slots' times, asked_at, passed_at, tombstones, … in each table).
 */
export interface StoreUnderTest {
  readonly engine: EngineStore;
  readonly resources: ResourceStore;
  readonly providers: ProviderStore;
  readonly replays: ReplayStore;
  elapse(ms: number): Promise<void>;
  close(): Promise<void>;
}

export type MakeStores = () => Promise<StoreUnderTest>;

export const workspace = 'acme';
export const shard = shardOf(workspace);
export const leaseMs = 15_000;
export const holder = 'worker-a';

export const principal: Principal = {
  keyId: 'key1',
  lineage: 'lineage1',
  class: 'human',
  workspace,
  scopes: ['*'],
};

/** Registers the hooks that give each case of the surrounding `describe` its own empty stores. */
export function eachWithStores(makeStores: MakeStores): { readonly stores: () => StoreUnderTest } {
  let current: StoreUnderTest | undefined;
  beforeEach(async () => {
    current = await makeStores();
  });
  afterEach(async () => {
    await current?.close();
    current = undefined;
  });
  return {
    stores() {
      if (current === undefined) throw new Error('stores are there only inside a case');
      return current;
    },
  };
}

let uidCount = 0;

export function keyOf(name: string, kind = 'Bucket', of = workspace): ResourceKey {
  return { workspace: of, kind, name };
}

type Insert = RowWrite & { readonly op: 'insert' };

/** A write that declares a row, with a uid never used before. */
export function insertOf(name: string, change: Partial<Insert> = {}): Insert {
  uidCount += 1;
  const uid = `00000000-0000-4000-8000-${String(uidCount).padStart(12, '0')}`;
  const plain = { labels: {}, annotations: {}, spec: {}, owner: null, approved: [], fires: [] };
  return { op: 'insert', uid, key: keyOf(name), by: principal, ...plain, ...change };
}

/** Writes rows of one workspace in one transaction. Answers uid and generation of each. */
export async function write(
  stores: StoreUnderTest,
  writes: readonly RowWrite[],
): Promise<readonly { readonly uid: string; readonly generation: number }[]> {
  const of = writes[0]?.key.workspace ?? workspace;
  const outcome = await stores.resources.mutate({
    scope: { workspace: of },
    workspace: of,
    reads: writes.map((one) => one.key),
    follow: () => [],
    decide: () => writes,
  });
  return outcome.results;
}

/** Declares one row and answers its uid. */
export async function declare(stores: StoreUnderTest, name: string, change: Partial<Insert> = {}): Promise<string> {
  const insert = insertOf(name, change);
  await write(stores, [insert]);
  return insert.uid;
}

export interface Named {
  readonly uid: string;
  readonly name: string;
}

/** Writes a new spec: a new generation. */
export async function edit(stores: StoreUnderTest, row: Named, spec: JsonObject): Promise<void> {
  const plain = { labels: {}, annotations: {}, approved: [], fires: [] };
  await write(stores, [
    { op: 'update', uid: row.uid, key: keyOf(row.name), spec, by: principal, newGeneration: true, ...plain },
  ]);
}

/** Asks for deletion. */
export async function remove(stores: StoreUnderTest, row: Named, undoForMs = 0): Promise<void> {
  const plain = { policy: 'Delete', by: principal, confirmed: true, approved: [], fires: [] } as const;
  await write(stores, [{ op: 'delete', uid: row.uid, key: keyOf(row.name), undoForMs, ...plain }]);
}

export async function undelete(stores: StoreUnderTest, row: Named): Promise<void> {
  await write(stores, [{ op: 'undelete', uid: row.uid, key: keyOf(row.name), by: principal, fires: [] }]);
}

/** Claims all that is due in the shard. */
export async function claimAll(stores: StoreUnderTest, as = holder): Promise<readonly Claim[]> {
  return stores.engine.claim({ shard, holder: as, limit: 1_000, perWorkspaceMax: 1_000, leaseMs });
}

/** Claims a row, and gives back whatever else was due; throws if the row was not due. */
export async function claim(stores: StoreUnderTest, uid: string, as = holder): Promise<Claim> {
  const claims = await claimAll(stores, as);
  const others = claims.filter((one) => one.uid !== uid);
  if (others.length > 0) await stores.engine.release(others.map((one) => fenceOf(one, as)));
  const found = claims.find((one) => one.uid === uid);
  if (found === undefined) throw new Error(`row ${uid} was not claimable`);
  return found;
}

/** Whether a claim would take the row now. It is given back at once. */
export async function isDue(stores: StoreUnderTest, uid: string): Promise<boolean> {
  const claims = await claimAll(stores, 'prober');
  await stores.engine.release(claims.map((one) => fenceOf(one, 'prober')));
  return claims.some((one) => one.uid === uid);
}

export function fenceOf(one: Claim, as = holder): Fence {
  return { shard: one.shard, uid: one.uid, epoch: one.epoch, holder: as };
}

/** Reads a row as a pass does. Throws if it is gone. */
export async function read(stores: StoreUnderTest, uid: string): Promise<PassRow> {
  const { rows } = await stores.engine.readRows(shard, [uid]);
  if (rows[0] === undefined) throw new Error(`row ${uid} is gone`);
  return rows[0];
}

export async function versionNow(stores: StoreUnderTest): Promise<number> {
  return (await stores.engine.readRows(shard, [])).version;
}

/** A settle that changes nothing and comes back in ten minutes; `change` says what it does beyond. */
export function settleOf(one: Claim, change: Partial<Settle> = {}): Settle {
  const { wakeSeq, claimedAt } = one;
  const when = { dueInMs: 600_000, priority: 'replay', attempts: 0 } as const;
  const flags = { verified: false, materialized: false, clearTakenOver: false };
  const lists = { fires: [], intents: [], dropAnnounced: [], decided: [], operations: [] };
  const seen = { wakeSeq, generation: 1, readVersion: Number.MAX_SAFE_INTEGER, claimedAt };
  return { ...fenceOf(one), ...seen, ...when, ...flags, ...lists, ...change };
}

/** Claims a row and settles it: afterwards it is due in ten minutes unless `change` says otherwise. */
export async function pass(stores: StoreUnderTest, uid: string, change: Partial<Settle> = {}): Promise<Claim> {
  const claimed = await claim(stores, uid);
  await stores.engine.settle(shard, [settleOf(claimed, change)]);
  return claimed;
}

/** The condition Ready, as an engine would store it. */
export function ready(status: 'True' | 'False', reason = 'Available', message = 'Fine.'): Condition {
  const at = '2026-11-20T08:00:00.000Z';
  const times = { lastTransitionTime: at, lastChangeTime: at };
  return { type: 'Ready', status, reason, message, observedGeneration: 1, ...times, class: 'none', actor: 'system' };
}

/** The versioned part of a settle. */
export function statusOf(change: Partial<NonNullable<Settle['status']>> = {}): NonNullable<Settle['status']> {
  return { status: {}, conditions: [ready('True')], observedGeneration: 1, outputsDigest: null, ...change };
}
