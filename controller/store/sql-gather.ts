import type { ApiError } from '#resources/errors.ts';
import { keyText } from '#resources/reference.ts';
import type { ResourceKey, ResourceRow, ResourceView } from '#resources/resource.ts';
import { topic, type Topic } from '#resources/topic.ts';
import type { ChainHead } from './audit-chain.ts';
import { lockShard } from './queries/lock-shard.ts';
import { readChildren } from './queries/read-children.ts';
import { readMutationHeads, type MutationHead } from './queries/read-mutation-heads.ts';
import { readViewsByKey } from './queries/read-views-by-key.ts';
import { toView, type ViewColumns } from './resource-columns.ts';
import { readsMax, tooManyReads, type MutationInput } from './resource-store.ts';
import type { MutationSnapshot } from './rows.ts';
import type { Tx } from './sql-transaction.ts';

/** What a mutation reads. */
export type GatherInput = Pick<MutationInput, 'workspace' | 'reads' | 'follow' | 'childrenOf' | 'planHash' | 'request'>;

/** What mutations of one workspace read together, under the shard's lock. */
export interface Gathered {
  /** Of the shard. */
  readonly version: number;
  readonly chain: ChainHead;
  /** Topics of which it is known that nobody listens to them. */
  readonly unheard: ReadonlySet<Topic>;
  /** For each of them, in order. */
  readonly looks: readonly Look[];
}

/** What one mutation saw. */
export interface Look {
  readonly snapshot: MutationSnapshot;
  /** All rows of the snapshot, children included. */
  readonly views: readonly ResourceView[];
  /** Text of each key that it looked for, found or not. */
  readonly looked: ReadonlySet<string>;
  /** It leads to more rows than it may read. */
  readonly refusal: ApiError | null;
}

/** Keys whose topics are asked after: with more, the one writing statement looks for listeners itself, at the same cost. */
const askedKeysMax = 16;

/** Locks the shard and reads, the first statements of an API's mutations and of an owner's declare alike. */
export async function gather(tx: Tx, shard: number, inputs: readonly GatherInput[]): Promise<Gathered> {
  const workspace = inputs[0]?.workspace ?? '';
  const reads = once(inputs.flatMap((input) => input.reads));
  const asked = reads.length > askedKeysMax ? [] : reads.flatMap(topicsOf);
  const known = new Map<string, ResourceView | null>();
  // The session runs these in order: each has a snapshot of its own, taken under the lock.
  const [locks, heads, , children] = await Promise.all([
    lockShard(tx, shard),
    readHeads(tx, { shard, workspace, inputs, asked }),
    learn(tx, { shard, keys: reads, known }),
    readAllChildren(tx, { shard, workspace, inputs }),
  ]);
  const [lock, head] = [locks[0], heads[0]];
  if (lock === undefined || head === undefined) throw new Error(`shard ${shard} is missing: run the migrations`);
  await follow(tx, { shard, inputs, known });
  return {
    version: lock.version,
    chain: head.seq === null ? null : { seq: head.seq, hash: head.hash ?? '' },
    unheard: new Set(head.heard ? [] : asked),
    looks: inputs.map((input, index) => {
      const seen = { version: lock.version, head: heads[index] ?? head };
      return lookOf(input, { ...seen, known, children: children.get(input.childrenOf ?? '') ?? [] });
    }),
  };
}

function topicsOf({ kind, workspace, name }: ResourceKey): Topic[] {
  return [topic.ref(kind, workspace, name), topic.refers(kind, workspace, name)];
}

interface Place {
  readonly shard: number;
  readonly workspace: string;
  readonly inputs: readonly GatherInput[];
}

function readHeads(
  tx: Tx,
  { shard, workspace, inputs, asked }: Place & { readonly asked: readonly Topic[] },
): Promise<readonly MutationHead[]> {
  const column = (of: (input: GatherInput) => string | undefined): (string | null)[] =>
    inputs.map((input) => of(input) ?? null);
  return readMutationHeads(
    tx,
    shard,
    workspace,
    column((input) => input.request?.lineage),
    column((input) => input.request?.requestId),
    column((input) => input.planHash),
    column((input) => input.reads[0]?.kind),
    column((input) => input.reads[0]?.name),
    asked,
  );
}

async function readAllChildren(
  tx: Tx,
  { shard, workspace, inputs }: Place,
): Promise<ReadonlyMap<string, readonly ResourceView[]>> {
  const owners = [...new Set(inputs.flatMap(({ childrenOf }) => childrenOf ?? []))];
  const found = await Promise.all(owners.map((owner) => readChildren(tx, shard, workspace, owner)));
  return new Map(owners.map((owner, index) => [owner, (found[index] ?? []).map(toView)]));
}

interface Known {
  readonly shard: number;
  /** By text of key; null: there is none. */
  readonly known: Map<string, ResourceView | null>;
}

/** Reads rows by key. */
async function learn(tx: Tx, { shard, keys, known }: Known & { readonly keys: readonly ResourceKey[] }): Promise<void> {
  for (const view of (await readKeys(tx, shard, keys)).map(toView)) known.set(keyText(view.row), view);
  for (const key of keys) if (!known.has(keyText(key))) known.set(keyText(key), null);
}

async function readKeys(tx: Tx, shard: number, keys: readonly ResourceKey[]): Promise<readonly ViewColumns[]> {
  if (keys.length === 0) return [];
  const column = (field: keyof ResourceKey): string[] => keys.map((key) => key[field]);
  return await readViewsByKey(tx, shard, column('workspace'), column('kind'), column('name'));
}

/** Reads what the found rows lead to, level by level. */
async function follow(tx: Tx, { shard, inputs, known }: Known & Pick<Place, 'inputs'>): Promise<void> {
  for (;;) {
    const keys = once(inputs.flatMap((input) => reach(input, known).lacking));
    if (keys.length === 0) return;
    await learn(tx, { shard, keys, known });
  }
}

/** How far one mutation gets with what is known. One that leads to too many rows needs to know no more. */
function reach({ reads, follow: leadsTo }: Pick<GatherInput, 'reads' | 'follow'>, known: Known['known']) {
  const looked = new Set<string>();
  const views: ResourceView[] = [];
  const lacking: ResourceKey[] = [];
  const queue = [...reads];
  for (const key of queue) {
    const text = keyText(key);
    if (looked.has(text)) continue;
    looked.add(text);
    const view = known.get(text);
    if (view === undefined) lacking.push(key);
    else if (view !== null) {
      views.push(view);
      queue.push(...leadsTo(view.row));
    }
    if (views.length > readsMax) return { looked, views: [], lacking: [], refusal: tooManyReads() };
  }
  return { looked, views, lacking, refusal: null };
}

interface Seen extends Pick<Known, 'known'> {
  readonly version: number;
  readonly head: MutationHead;
  readonly children: readonly ResourceView[];
}

function lookOf(input: GatherInput, { version, head, known, children }: Seen): Look {
  const { looked, views, refusal } = reach(input, known);
  const rows = new Map<string, ResourceRow>(views.map(({ row }) => [keyText(row), row]));
  const { now, request, plan } = head;
  return {
    snapshot: { now, version, rows, children: children.map((view) => view.row), request, plan },
    views: [...views, ...children],
    looked,
    refusal,
  };
}

function once(keys: readonly ResourceKey[]): readonly ResourceKey[] {
  return [...new Map(keys.map((key) => [keyText(key), key])).values()];
}
