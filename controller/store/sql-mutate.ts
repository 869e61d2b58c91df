// Flow step 3 of 10: row (putSpec). Before: api/admission/chain.ts. After: queue/wake.ts.
import { keyText } from '#resources/reference.ts';
import type { ResourceKey, ResourceRow, ResourceView } from '#resources/resource.ts';
import { shardOf } from '#resources/shard.ts';
import { nextLink, type ChainHead } from './audit-chain.ts';
import { lockShard } from './queries/lock-shard.ts';
import { readChildren } from './queries/read-children.ts';
import { readMutationHead } from './queries/read-mutation-head.ts';
import { readViewsByKey } from './queries/read-views-by-key.ts';
import { writeRows } from './queries/write-rows.ts';
import { toView, type ViewColumns } from './resource-columns.ts';
import type { MutationInput, MutationOutcome } from './resource-store.ts';
import { dueShiftMs, type MutationSnapshot, type RowWrite } from './rows.ts';
import type { Tx } from './sql-transaction.ts';
import { timeText } from './time-text.ts';
import { planWrites, type WritePlan } from './write-docs.ts';

/** Rows that one mutation may read (resource-store.ts). */
const readsMax = 2_000;

/** What a mutation reads. */
type GatherInput = Pick<MutationInput, 'workspace' | 'reads' | 'follow' | 'childrenOf' | 'planHash' | 'request'>;

/** What a mutation read: the snapshot for `decide`, and what only the store needs. */
export interface Gathered {
  readonly snapshot: MutationSnapshot;
  readonly views: readonly ResourceView[];
  readonly chain: ChainHead;
}

/**
 * One attempt of a mutation, in a transaction. The first flight locks the shard and reads, each level of `follow` is one more, the last one
 * writes everything in one statement together with COMMIT: two round trips for most.
 */
export async function mutate(tx: Tx, input: MutationInput): Promise<MutationOutcome> {
  const shard = shardOf(input.workspace);
  const { snapshot, views, chain } = await gather(tx, shard, input);
  const writes = input.decide(snapshot);
  if (writes.length > 0 && snapshot.request !== null) throw new Error('a remembered request must not write again');

  const before = new Map(views.map((view) => [view.row.uid, view]));
  const rowsBefore = new Map(views.map((view) => [view.row.uid, view.row]));
  const point = { shard, version: snapshot.version, at: snapshot.now, requestId: input.request?.requestId ?? null };
  const plan = planWrites(writes, rowsBefore, point);
  const results = plan.rows.map(({ uid, generation }) => ({ uid, generation }));
  closeWith(tx, { input, snapshot, chain, plan, results });
  const after = plan.rows.map((row, index) => viewAfter(row, writes[index], { before, now: snapshot.now }));
  return { snapshot, writes, results, views: after };
}

/** Locks the shard and reads, the first statements of an API's mutation and of an owner's declare alike. */
export async function gather(tx: Tx, shard: number, input: GatherInput): Promise<Gathered> {
  const { workspace, request, planHash, childrenOf, reads } = input;
  const first = reads[0];
  // The session runs these in order: each has a snapshot of its own, taken under the lock.
  const [locks, heads, found, children] = await Promise.all([
    lockShard(tx, shard),
    readMutationHead(
      tx,
      shard,
      workspace,
      request?.lineage ?? null,
      request?.requestId ?? null,
      planHash ?? null,
      first?.kind ?? null,
      first?.name ?? null,
    ),
    readKeys(tx, shard, reads),
    childrenOf === undefined ? [] : readChildren(tx, shard, workspace, childrenOf),
  ]);
  const [lock, head] = [locks[0], heads[0]];
  if (lock === undefined || head === undefined) throw new Error(`shard ${shard} is missing: run the migrations`);
  const views = await followed(tx, shard, { found: found.map(toView), follow: input.follow });
  const childViews = children.map(toView);
  return {
    snapshot: {
      now: head.now,
      version: lock.version,
      rows: new Map(views.map(({ row }) => [keyText(row), row])),
      children: childViews.map((view) => view.row),
      request: head.request,
      plan: head.plan,
    },
    views: [...views, ...childViews],
    chain: head.seq === null ? null : { seq: head.seq, hash: head.hash ?? '' },
  };
}

/** Reads what the found rows lead to, level by level. */
async function followed(
  tx: Tx,
  shard: number,
  start: { readonly found: readonly ResourceView[]; readonly follow: (row: ResourceRow) => readonly ResourceKey[] },
): Promise<readonly ResourceView[]> {
  const seen = new Set<string>();
  const all: ResourceView[] = [];
  let level = start.found;
  while (level.length > 0) {
    const fresh = level.filter(({ row }) => !seen.has(keyText(row)));
    for (const { row } of fresh) seen.add(keyText(row));
    all.push(...fresh);
    if (all.length > readsMax) throw new Error(`a mutation may read at most ${readsMax} rows`);
    const next = fresh.flatMap(({ row }) => start.follow(row)).filter((key) => !seen.has(keyText(key)));
    level = (await readKeys(tx, shard, next)).map(toView);
  }
  return all;
}

async function readKeys(tx: Tx, shard: number, keys: readonly ResourceKey[]): Promise<readonly ViewColumns[]> {
  const once = [...new Map(keys.map((key) => [keyText(key), key])).values()];
  if (once.length === 0) return [];
  const column = (field: keyof ResourceKey): string[] => once.map((key) => key[field]);
  return await readViewsByKey(tx, shard, column('workspace'), column('kind'), column('name'));
}

interface Closing {
  readonly input: MutationInput;
  readonly snapshot: MutationSnapshot;
  readonly chain: ChainHead;
  readonly plan: WritePlan;
  readonly results: MutationOutcome['results'];
}

/** Leaves the one writing statement to be sent with COMMIT, if there is anything to write. */
function closeWith(tx: Tx, { input, snapshot, chain, plan, results }: Closing): void {
  const { workspace, request, audit } = input;
  const requests = request === undefined || snapshot.request !== null ? [] : [{ workspace, ...request, results }];
  const audits = audit === undefined ? [] : [nextLink(chain, { workspace, at: snapshot.now }, audit)];
  if (plan.rows.length + requests.length + audits.length === 0) return;
  const links = audits.map((link) => ({ ...link, at: timeText(link.at) }));
  const shard = shardOf(workspace);
  const texts = [JSON.stringify(requests), JSON.stringify(links)] as const;
  tx.closeWith(() => writeRows(tx, shard, plan.version, snapshot.now, plan.docs, plan.fires, ...texts));
}

/** The view of a row just written: what a fresh read would show, wakes by others aside. */
function viewAfter(
  row: ResourceRow,
  write: RowWrite | undefined,
  at: { readonly before: ReadonlyMap<string, ResourceView>; readonly now: number },
): ResourceView {
  const old = at.before.get(row.uid);
  const declaredDueAt = at.now + dueShiftMs.user;
  if (old === undefined) return { row, work: { attempts: 0, dueAt: declaredDueAt, verifiedAt: null }, owner: null };
  const wakes = write?.op !== 'update' || write.newGeneration;
  const work = old.work === null || !wakes ? old.work : { ...old.work, dueAt: Math.min(old.work.dueAt, declaredDueAt) };
  return { row, work, owner: old.owner };
}
