import { systemClock, type Clock } from '#controller/clock.ts';
import type { ResourceKey } from '#resources/resource.ts';
import { shardOf } from '#resources/shard.ts';
import { createBatches, type Batches } from './batches.ts';
import { countRows } from './queries/count-rows.ts';
import { listEverywhere } from './queries/list-everywhere.ts';
import { listUnknowns } from './queries/list-unknowns.ts';
import { listWorkspace } from './queries/list-workspace.ts';
import { lockShard } from './queries/lock-shard.ts';
import { readBareByKey } from './queries/read-bare-by-key.ts';
import { readBareByUid } from './queries/read-bare-by-uid.ts';
import { readBareChanges } from './queries/read-bare-changes.ts';
import { readChanges, type ChangeColumns } from './queries/read-changes.ts';
import { readChildren } from './queries/read-children.ts';
import { readPasses, toPass } from './queries/read-passes.ts';
import { readRevisions } from './queries/read-revisions.ts';
import { readViewsByKey } from './queries/read-views-by-key.ts';
import { readViewsByUid } from './queries/read-views-by-uid.ts';
import { writeDecision } from './queries/write-decision.ts';
import { toView } from './resource-columns.ts';
import { scopeText } from './resource-store.ts';
import type {
  FeedChange,
  ListPage,
  ListQuery,
  MutationInput,
  MutationOutcome,
  ResourceStore,
  Scope,
  Signals,
} from './resource-store.ts';
import { CommitUnknown, StoreUnavailable } from './sql-errors.ts';
import { mutate } from './sql-mutate.ts';
import { beginRecorded } from './sql-recording.ts';
import { readAs, writeAs, type ScopedPools } from './sql-scope.ts';

export interface SqlResourceStoreOptions extends ScopedPools {
  readonly signals: Pick<Signals, 'signal'>;
  /** The system's own unless a test has another. */
  readonly clock?: Pick<Clock, 'after'>;
}

/** ResourceStore on Postgres. Invariants R1 to R4 stand in resource-store.ts. */
export function createSqlResourceStore(options: SqlResourceStoreOptions): ResourceStore {
  return { ...createWrites(options), ...createReads(options), ...createHistory(options) };
}

/** Mutations of one transaction at most: it holds the shard's lock. */
const batchMutationsMax = 50;
/** Keys that they ask for, all in all: an apply names three or so, an apply_all of 200 manifests 201 and more. */
const batchKeysMax = 400;

/** Transactions at once: the rest of the pool is there for reads. With 4, a stall of one was a queue for all. */
const batchesAtOnceMax = 8;
/** Of those, at work; the others wait for the disk. With 8 on two cores, each carried less, and a mutation took a twelfth more of them. */
const batchesAtWorkMax = 3;
/** Some ten times what one takes: it waits for a lock. */
const batchWorkMs = 25;
/** A mutation waits for its turn no longer than for anything else of the store. */
const patienceMs = 5_000;

/** Mutations of a workspace, a transaction at a time: one tenant holds one connection, however many of its calls are under way. */
function createMutations(options: SqlResourceStoreOptions): Batches<MutationInput, MutationOutcome> {
  return createBatches({
    carryOut: async (inputs, worked) => {
      const [first] = inputs;
      if (first === undefined) return [];
      const { scope, workspace } = first;
      const outcomes = await writeAs(options, scope, { name: 'mutate', body: (tx) => mutate(tx, inputs, worked) });
      const wrote = outcomes.some((one) => one !== 'put off' && 'ok' in one && one.ok.writes.length > 0);
      if (wrote) options.signals.signal([shardOf(workspace)]);
      return outcomes;
    },
    weightOf: (input) => input.reads.length,
    atOnce: batchesAtOnceMax,
    atWork: batchesAtWorkMax,
    workMs: batchWorkMs,
    itemsMax: batchMutationsMax,
    weightMax: batchKeysMax,
    isFaultOfOne: (error) => !(error instanceof CommitUnknown || error instanceof StoreUnavailable),
    clock: options.clock ?? systemClock,
    patienceMs,
    tooLate: () => new StoreUnavailable('mutate', new Error(`its turn did not come within ${patienceMs} ms`)),
  });
}

/** Of one scope and one workspace: a transaction sees the rows of one. */
const laneOf = ({ scope, workspace }: MutationInput): string => `${scopeText(scope)}/${workspace}`;

function createWrites(options: SqlResourceStoreOptions): Pick<ResourceStore, 'mutate' | 'decide'> {
  // Each login has its own pool, and so its own places: a crowd of tenants does not hold up the platform's keys.
  const [tenants, platform] = [createMutations(options), createMutations(options)];
  return {
    mutate: (input) => (input.scope === 'platform' ? platform : tenants).submit(laneOf(input), input),
    async decide(scope, { key, decision, recording }) {
      const shard = shardOf(key.workspace);
      const { effect, outcome, evidence, by } = decision;
      const written = await writeAs(options, scope, {
        name: 'decide',
        body: async (tx) => {
          const { workspace, kind, name } = key;
          const record = await beginRecorded(tx, recording);
          const [, rows] = await Promise.all([
            lockShard(tx, shard),
            writeDecision(tx, shard, workspace, kind, name, effect, outcome, evidence, JSON.stringify(by)),
          ]);
          if (rows.length > 0) record();
          return rows.length > 0;
        },
      });
      if (written) options.signals.signal([shard]);
      return written;
    },
  };
}

type Reads = Omit<ResourceStore, 'mutate' | 'decide' | 'revisions' | 'passes' | 'unknowns'>;

const byKeys =
  (pools: ScopedPools, read: typeof readViewsByKey): Reads['getByKeys'] =>
  async (scope, workspace, keys) => {
    const [kinds, names] = [keys.map((key) => key.kind), keys.map((key) => key.name)];
    const workspaces = keys.map(() => workspace);
    const rows = await readAs(pools, scope, {
      name: 'get_by_keys',
      query: (runner) => read(runner, shardOf(workspace), workspaces, kinds, names),
    });
    return rows.map(toView);
  };

const byUid =
  (pools: ScopedPools, read: typeof readViewsByUid): Reads['getByUid'] =>
  async (scope, workspace, uids) => {
    const rows = await readAs(pools, scope, {
      name: 'get_by_uid',
      query: (runner) => read(runner, shardOf(workspace), workspace, uids),
    });
    return rows.map(toView);
  };

function createReads(pools: ScopedPools): Reads {
  return {
    async get(scope, { workspace, kind, name }) {
      const rows = await readAs(pools, scope, {
        name: 'get',
        query: (runner) => readViewsByKey(runner, shardOf(workspace), [workspace], [kind], [name]),
      });
      return rows[0] === undefined ? null : toView(rows[0]);
    },
    getByKeys: byKeys(pools, readViewsByKey),
    bareByKeys: byKeys(pools, readBareByKey),
    getByUid: byUid(pools, readViewsByUid),
    bareByUid: byUid(pools, readBareByUid),
    list: (scope, query) => list(pools, scope, query),
    async countRows(scope, workspace) {
      const rows = await readAs(pools, scope, {
        name: 'count_rows',
        query: (runner) => countRows(runner, shardOf(workspace), workspace),
      });
      return rows[0]?.rows ?? 0;
    },
    async changes(scope, { workspace, afterVersion, limit, bare }) {
      const read = bare === true ? readBareChanges : readChanges;
      const rows = await readAs(pools, scope, {
        name: 'changes',
        query: (runner) => read(runner, shardOf(workspace), workspace, afterVersion, limit),
      });
      const changes = rows.flatMap((row) => toChange(row, workspace));
      const { shard_version: version = 0, trimmed_through: trimmedThrough = 0 } = rows[0] ?? {};
      return { changes, full: changes.length === limit, version, trimmedThrough };
    },
    async children(scope, { workspace, uid }) {
      const rows = await readAs(pools, scope, {
        name: 'children',
        query: (runner) => readChildren(runner, shardOf(workspace), workspace, uid),
      });
      return rows.map(toView);
    },
  };
}

function toChange(row: ChangeColumns, workspace: string): FeedChange[] {
  if (row.change_version === null) return [];
  const version = row.change_version;
  if (row.gone_uid === null) return [{ type: 'row', version, view: toView(row) }];
  const key = { workspace, kind: row.gone_kind, name: row.gone_name };
  return [{ type: 'tombstone', version, key, uid: row.gone_uid, labels: row.gone_labels }];
}

/** One row more than the page is read, to know whether there are more. */
async function list(pools: ScopedPools, scope: Scope, query: ListQuery): Promise<ListPage> {
  const { workspace, kind = null, labels, condition, owner = null, limit } = query;
  const after: ResourceKey = query.after ?? { workspace: '', kind: '', name: '' };
  const wantedLabels = labels === undefined ? null : JSON.stringify(labels);
  const wantedCondition = condition === undefined ? null : JSON.stringify(condition);
  const filters = [kind, wantedLabels, wantedCondition, owner] as const;
  if (workspace === undefined) {
    if (scope !== 'platform') throw new Error('a list without workspace needs the platform scope');
    const found = await listEverywhere(pools.platform, ...filters, after.workspace, after.kind, after.name, limit + 1);
    return { items: found.slice(0, limit).map(toView), more: found.length > limit, version: null };
  }
  const rows = await readAs(pools, scope, {
    name: 'list',
    query: (runner) =>
      listWorkspace(runner, shardOf(workspace), workspace, ...filters, after.kind, after.name, limit + 1),
  });
  const found = rows.flatMap((row) => (row.uid === null ? [] : [toView(row)]));
  return { items: found.slice(0, limit), more: found.length > limit, version: rows[0]?.shard_version ?? 0 };
}

function createHistory(pools: ScopedPools): Pick<ResourceStore, 'revisions' | 'passes' | 'unknowns'> {
  return {
    async revisions(scope, { workspace, uid, limit }) {
      const rows = await readAs(pools, scope, {
        name: 'revisions',
        query: (runner) => readRevisions(runner, shardOf(workspace), workspace, uid, limit),
      });
      return rows.map(({ request_id: requestId, ...rest }) => ({ ...rest, requestId }));
    },
    async passes(scope, { workspace, uid, limit }) {
      const rows = await readAs(pools, scope, {
        name: 'passes',
        query: (runner) => readPasses(runner, shardOf(workspace), workspace, uid, limit),
      });
      return rows.map(toPass);
    },
    async unknowns(scope, { workspace, limit }) {
      const shard = workspace === undefined ? null : shardOf(workspace);
      const rows = await readAs(pools, scope, {
        name: 'unknowns',
        query: (runner) => listUnknowns(runner, workspace ?? null, shard, limit),
      });
      return rows.map(({ workspace, kind, name, sent_at: sentAt, give_up_at: giveUpAt, ...rest }) => ({
        key: { workspace, kind, name },
        ...rest,
        sentAt,
        giveUpAt,
      }));
    },
  };
}
