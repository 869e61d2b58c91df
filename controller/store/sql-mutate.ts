// Flow step 3 of 10: row (putSpec). Before: api/admission/chain.ts. After: queue/wake.ts.
import { keyText } from '#resources/reference.ts';
import type { ResourceRow, ResourceView } from '#resources/resource.ts';
import { shardOf } from '#resources/shard.ts';
import type { Topic } from '#resources/topic.ts';
import { nextLink, type AuditLink, type ChainHead } from './audit-chain.ts';
import type { Outcome } from './batches.ts';
import { writeNewRows } from './queries/write-new-rows.ts';
import { writeRows } from './queries/write-rows.ts';
import type { MutationInput, MutationOutcome } from './resource-store.ts';
import { dueShiftMs, type RowWrite } from './rows.ts';
import { gather, type Look } from './sql-gather.ts';
import type { Tx } from './sql-transaction.ts';
import { timeText } from './time-text.ts';
import { planWrites, type WriteDoc } from './write-docs.ts';

/**
 * One attempt of mutations of one workspace, in a transaction. The first flight locks the shard and reads, each level of `follow` is one
 * more, the last one writes everything in one statement together with COMMIT: two round trips for most.
 *
 * They decide in order, each on what those before it leave: the same as one after the other. What was read shows nothing of what was
 * decided since, so a mutation that would have to see it is put off to the next batch. `written` is called when only the COMMIT is to come.
 */
export async function mutate(
  tx: Tx,
  inputs: readonly MutationInput[],
  written: () => void,
): Promise<readonly Outcome<MutationOutcome>[]> {
  const shard = shardOf(inputs[0]?.workspace ?? '');
  const { version, chain, unheard, looks } = await gather(tx, shard, inputs);
  const draft: Draft = { shard, version, chain, docs: [], fires: [], requests: [], links: [], written: new Set() };
  const outcomes = looks.map((look, index): Outcome<MutationOutcome> => {
    const input = inputs[index];
    if (input === undefined) return { failed: new Error('a look without its mutation') };
    try {
      return decide(draft, input, look);
    } catch (error) {
      return { failed: error };
    }
  });
  closeWith(tx, draft, { at: looks[0]?.snapshot.now ?? 0, unheard, written });
  return outcomes;
}

/** A request to remember. */
interface RequestDoc {
  readonly workspace: string;
  readonly lineage: string;
  readonly requestId: string;
  readonly bodyDigest: string;
  readonly results: MutationOutcome['results'];
}

/** What the mutations so far have decided. */
interface Draft {
  readonly shard: number;
  /** The shard's, after them. */
  version: number;
  chain: ChainHead;
  readonly docs: WriteDoc[];
  readonly fires: Topic[];
  readonly requests: RequestDoc[];
  readonly links: AuditLink[];
  /** Uids, and texts of keys, of the rows that they write. */
  readonly written: Set<string>;
}

/** Adds one mutation to the draft. What it throws leaves the draft as it was: it refuses this one alone. */
function decide(draft: Draft, input: MutationInput, look: Look): Outcome<MutationOutcome> {
  if (look.refusal !== null) throw look.refusal;
  if (mustSeeDraft(draft, input, look)) return 'put off';
  const { workspace, request, audit } = input;
  const snapshot = { ...look.snapshot, version: draft.version };
  const writes = input.decide(snapshot);
  if (writes.length > 0 && snapshot.request !== null) throw new Error('a remembered request must not write again');
  if (writes.some(({ uid, key }) => draft.written.has(uid) || draft.written.has(keyText(key)))) return 'put off';

  const { shard, version } = draft;
  const before = new Map(look.views.map((view) => [view.row.uid, view]));
  const rowsBefore = new Map(look.views.map((view) => [view.row.uid, view.row]));
  const point = { shard, version, at: snapshot.now, requestId: request?.requestId ?? null };
  const plan = planWrites(writes, rowsBefore, point);
  const results = plan.rows.map(({ uid, generation }) => ({ uid, generation }));
  if (audit !== undefined) {
    const link = nextLink(draft.chain, { workspace, at: snapshot.now }, audit);
    draft.chain = link;
    draft.links.push(link);
  }
  draft.version = plan.version;
  draft.docs.push(...plan.docs);
  draft.fires.push(...plan.fires);
  for (const row of plan.rows) draft.written.add(row.uid).add(keyText(row));
  if (request !== undefined && snapshot.request === null) draft.requests.push({ ...request, workspace, results });
  const views = plan.rows.map((row, index) => viewAfter(row, writes[index], { before, now: snapshot.now }));
  return { ok: { snapshot, writes, results, views } };
}

/** Whether something decided in this batch is not in what this mutation read: a row, there or gone or new; or its own request. */
function mustSeeDraft(draft: Draft, { request, childrenOf }: MutationInput, { looked }: Look): boolean {
  if (draft.requests.some((one) => one.lineage === request?.lineage && one.requestId === request.requestId))
    return true;
  if (childrenOf !== undefined) return draft.written.size > 0;
  return !looked.isDisjointFrom(draft.written);
}

interface Closing {
  readonly at: number;
  readonly unheard: ReadonlySet<Topic>;
  readonly written: () => void;
}

/** Leaves the one writing statement to be sent with COMMIT, if there is anything to write. */
function closeWith(tx: Tx, draft: Draft, { at, unheard, written }: Closing): void {
  const { shard, version, docs, requests, links } = draft;
  if (docs.length + requests.length + links.length === 0) return;
  const fires = [...new Set(draft.fires)].toSorted();
  const texts = [
    JSON.stringify(docs),
    fires,
    JSON.stringify(requests),
    JSON.stringify(links.map((link) => ({ ...link, at: timeText(link.at) }))),
  ] as const;
  const quiet = docs.every((doc) => doc.op === 'insert') && fires.every((topic) => unheard.has(topic));
  tx.closeWith(async () => {
    await (quiet ? writeNewRows : writeRows)(tx, shard, version, at, ...texts);
    written();
  });
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
