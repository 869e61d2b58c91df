import type {
  ChangePage,
  FeedChange,
  ListPage,
  ListQuery,
  MutationInput,
  MutationOutcome,
  ResourceStore,
  Scope,
  UnknownIntent,
} from '#controller/store/resource-store.ts';
import type { Intent } from '#controller/contract.ts';
import type { ResourceKey, ResourceRow, ResourceView } from '#resources/resource.ts';
import { projectConditions } from '#resources/conditions.ts';
import { shardOf } from '#resources/shard.ts';
import { topic } from '#resources/topic.ts';
import { isOpen } from './intents.ts';
import { beginRecorded } from './recording.ts';
import { append, fireTopics, rowByKey, shardTables, type MemoryDatabase, type Shard } from './database.ts';
import { applyWrites, mutationSnapshot, viewOf } from './writes.ts';

/** ResourceStore over a MemoryDatabase. A foreign workspace looks like an empty one, as behind row-level security. */
export function createMemoryResourceStore(db: MemoryDatabase): ResourceStore {
  return { ...createWriteMethods(db), ...createReadMethods(db), ...createHistoryMethods(db) };
}

function sees(scope: Scope, workspace: string): boolean {
  return scope === 'platform' || scope.workspace === workspace;
}

function createWriteMethods(db: MemoryDatabase): Pick<ResourceStore, 'mutate' | 'decide'> {
  return {
    async mutate(input) {
      if (!sees(input.scope, input.workspace)) throw new Error('new row violates row-level security policy');
      return mutate(db, shardTables(db, shardOf(input.workspace)), input);
    },
    async decide(scope, { key, decision, recording }) {
      const record = beginRecorded(db, recording);
      const tables = shardTables(db, shardOf(key.workspace));
      const row = sees(scope, key.workspace) ? rowByKey(tables, key) : undefined;
      const ofEffect = row === undefined ? [] : (tables.intents.get(row.uid) ?? []);
      const open = ofEffect.filter(
        (intent) => intent.effect === decision.effect && (isOpen(intent) || intent.contradicts),
      );
      const underWay = open.some((intent) => isOpen(intent) && !isUnknown(intent, db.now()));
      if (row === undefined || open.length === 0 || underWay) return false;
      record();
      append(tables.decisions, row.uid, { ...decision, at: db.now() });
      tables.version += 1;
      fireTopics(db, tables, { topics: [topic.decision(row.uid)], version: tables.version });
      db.committed(tables.shard);
      return true;
    },
  };
}

function mutate(db: MemoryDatabase, tables: Shard, input: MutationInput): MutationOutcome {
  const { workspace, reads, follow, childrenOf, planHash, request } = input;
  const requestKey = request === undefined ? undefined : [workspace, request.lineage, request.requestId].join('\u0000');
  const snapshot = mutationSnapshot(db, tables, { workspace, reads, follow, childrenOf, requestKey, planHash });
  const writes = input.decide(snapshot);
  if (writes.length > 0 && snapshot.request !== null) throw new Error('a remembered request must not write again');
  const rows = applyWrites(db, tables, { writes, requestId: request?.requestId ?? null });
  const results = rows.map(({ uid, generation }) => ({ uid, generation }));
  if (requestKey !== undefined && request !== undefined && snapshot.request === null) {
    tables.requests.set(requestKey, { bodyDigest: request.bodyDigest, results });
  }
  if (input.audit !== undefined) db.audit.push(input.audit);
  if (writes.length > 0) db.committed(tables.shard);
  const views = rows.map((row) => viewOf(tables, tables.rows.get(row.uid) ?? row));
  return { snapshot, writes, results, views };
}

type ReadMethods = Pick<
  ResourceStore,
  'get' | 'getByKeys' | 'getByUid' | 'bareByKeys' | 'bareByUid' | 'list' | 'countRows' | 'changes' | 'children'
>;

function createReadMethods(db: MemoryDatabase): ReadMethods {
  const tablesOf = (workspace: string): Shard => shardTables(db, shardOf(workspace));
  const byKeys = (scope: Scope, workspace: string, keys: readonly ResourceKey[]): ResourceView[] => {
    const tables = tablesOf(workspace);
    const named = keys.map((key) => rowByKey(tables, { ...key, workspace })).filter((row) => row !== undefined);
    return sees(scope, workspace) ? named.map((row) => viewOf(tables, row)) : [];
  };
  const byUid = (scope: Scope, workspace: string, uids: readonly string[]): ResourceView[] => {
    const tables = tablesOf(workspace);
    const rows = uids.map((uid) => tables.rows.get(uid)).filter((row) => row !== undefined);
    const visible = rows.filter((row) => row.workspace === workspace && sees(scope, workspace));
    return visible.map((row) => viewOf(tables, row));
  };
  return {
    async get(scope, key) {
      const tables = tablesOf(key.workspace);
      const row = sees(scope, key.workspace) ? rowByKey(tables, key) : undefined;
      return row === undefined ? null : viewOf(tables, row);
    },
    getByKeys: async (...asked) => byKeys(...asked),
    getByUid: async (...asked) => byUid(...asked),
    bareByKeys: async (...asked) => byKeys(...asked).map(bareOf),
    bareByUid: async (...asked) => byUid(...asked).map(bareOf),
    async list(scope, query) {
      return list(db, scope, query);
    },
    async countRows(scope, workspace) {
      if (!sees(scope, workspace)) return 0;
      return [...tablesOf(workspace).rows.values()].filter((row) => row.workspace === workspace).length;
    },
    async changes(scope, { workspace, afterVersion, limit, bare }) {
      const query = { workspace, afterVersion, limit, visible: sees(scope, workspace) };
      const page = changes(tablesOf(workspace), query);
      if (bare !== true) return page;
      return {
        ...page,
        changes: page.changes.map((one) => (one.type === 'row' ? { ...one, view: bareOf(one.view) } : one)),
      };
    },
    async children(scope, { workspace, uid }) {
      const tables = tablesOf(workspace);
      if (!sees(scope, workspace)) return [];
      const rows = [...tables.rows.values()].filter((row) => row.ownerUid === uid && row.workspace === workspace);
      return rows.map((row) => viewOf(tables, row));
    },
  };
}

/** Without what may be heavy. */
function bareOf(view: ResourceView): ResourceView {
  return { ...view, row: { ...view.row, labels: {}, annotations: {}, spec: {}, status: {} } };
}

function list(db: MemoryDatabase, scope: Scope, query: ListQuery): ListPage {
  const shards = query.workspace === undefined ? [...db.shards.values()] : [shardTables(db, shardOf(query.workspace))];
  const found = shards.flatMap((tables) =>
    [...tables.rows.values()].filter((row) => sees(scope, row.workspace) && matches(shown(tables, row), query)),
  );
  const { after } = query;
  const rest = after === undefined ? found : found.filter((row) => compareKeys(row, after) > 0);
  rest.sort(compareKeys);
  const items = rest.slice(0, query.limit).map((row) => viewOf(shardTables(db, row.shard), row));
  const version = query.workspace === undefined ? null : shardTables(db, shardOf(query.workspace)).version;
  return { items, more: rest.length > items.length, version };
}

function compareKeys(a: ResourceKey, b: ResourceKey): number {
  for (const field of ['workspace', 'kind', 'name'] as const) {
    if (a[field] !== b[field]) return a[field] < b[field] ? -1 : 1;
  }
  return 0;
}

/** A row with its conditions as everybody is shown them. */
function shown(tables: Shard, row: ResourceRow): ResourceRow {
  return { ...row, conditions: projectConditions(viewOf(tables, row)) };
}

/** Whether a row is in a selection, by the conditions it is given with. */
export function matches(row: ResourceRow, query: Omit<ListQuery, 'limit' | 'after'>): boolean {
  if (query.workspace !== undefined && row.workspace !== query.workspace) return false;
  if (query.kind !== undefined && row.kind !== query.kind) return false;
  if (query.owner !== undefined && row.ownerUid !== query.owner) return false;
  for (const [key, value] of Object.entries(query.labels ?? {})) if (row.labels[key] !== value) return false;
  const wanted = query.condition;
  if (wanted === undefined) return true;
  return row.conditions.some(
    (one) =>
      one.type === wanted.type &&
      (wanted.status === undefined || one.status === wanted.status) &&
      (wanted.reason === undefined || one.reason === wanted.reason),
  );
}

function changes(
  tables: Shard,
  input: { workspace: string; afterVersion: number; limit: number; visible: boolean },
): ChangePage {
  const { workspace, afterVersion } = input;
  const rows = [...tables.rows.values()].filter((row) => row.workspace === workspace && row.version > afterVersion);
  const gone = tables.tombstones.filter((one) => one.key.workspace === workspace && one.version > afterVersion);
  const all: FeedChange[] = [
    ...rows.map((row) => ({ type: 'row' as const, version: row.version, view: viewOf(tables, row) })),
    ...gone.map(({ at: _at, ...one }) => ({ type: 'tombstone' as const, ...one })),
  ];
  all.sort((a, b) => a.version - b.version);
  const page = input.visible ? all.slice(0, input.limit) : [];
  const { version, trimmedThrough } = tables;
  return { changes: page, full: page.length === input.limit, version, trimmedThrough };
}

function createHistoryMethods(db: MemoryDatabase): Pick<ResourceStore, 'revisions' | 'passes' | 'unknowns'> {
  return {
    async revisions(scope, { workspace, uid, limit }) {
      const tables = shardTables(db, shardOf(workspace));
      if (!sees(scope, workspace)) return [];
      return (tables.revisions.get(uid) ?? []).toReversed().slice(0, limit);
    },
    async passes(scope, { workspace, uid, limit }) {
      const tables = shardTables(db, shardOf(workspace));
      if (!sees(scope, workspace)) return [];
      return (tables.passes.get(uid) ?? []).toReversed().slice(0, limit);
    },
    async unknowns(scope, { workspace, limit }) {
      const found = [...db.shards.values()].flatMap((tables) => unknownsOf(db, tables));
      const visible = found.filter(
        ({ key }) => sees(scope, key.workspace) && (workspace === undefined || key.workspace === workspace),
      );
      return visible.slice(0, limit);
    },
  };
}

function isUnknown(intent: Intent, now: number): boolean {
  return intent.state === 'unknown' || (intent.state === 'sending' && (intent.giveUpAt ?? 0) <= now);
}

function unknownsOf(db: MemoryDatabase, tables: Shard): UnknownIntent[] {
  return [...tables.intents].flatMap(([uid, intents]) => {
    const row = tables.rows.get(uid);
    if (row === undefined) return [];
    const key = { workspace: row.workspace, kind: row.kind, name: row.name };
    return intents
      .filter((intent) => isUnknown(intent, db.now()) || intent.contradicts)
      .map(({ effect, attempt, state, sentAt, giveUpAt, contradicts }) => {
        return { key, uid, effect, attempt, state, sentAt, giveUpAt, contradicts };
      });
  });
}
