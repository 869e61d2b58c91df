import type { LoginRole } from '#controller/store/roles.ts';

/** What a login may do with a table; columns by name, separated by spaces, "*" for all. */
export interface Grants {
  readonly select?: string;
  readonly insert?: string;
  readonly update?: string;
  readonly delete?: '*';
}

const read = { select: '*' } as const;
const append = { select: '*', insert: '*' } as const;
const all = { select: '*', insert: '*', update: '*', delete: '*' } as const;

const ofApi: Readonly<Record<string, Grants>> = {
  shards: { ...read, update: 'version' },
  topics: { ...read, insert: 'shard topic fired_version draining', update: 'fired_version draining' },
  listeners: read,
  resources: {
    ...read,
    insert: 'shard uid workspace kind name generation version labels annotations spec created_by created_at updated_at',
    update: 'spec labels annotations generation version deleted_at deletion_policy undo_until updated_at',
  },
  work: { ...read, insert: 'shard uid workspace kind priority due_at', update: 'priority due_at wake_seq' },
  revisions: append,
  requests: append,
  audit_log: append,
  decisions: { ...read, insert: 'shard uid effect at workspace outcome evidence by' },
  api_keys: {
    ...read,
    insert: 'id secret_hash name workspace class scopes lineage created_at expires_at rate_per_second',
    update: 'revoked_at last_used_at',
  },
  operations: { ...read, update: 'cancel_requested_at' },
  tombstones: read,
  passes: read,
  intents: read,
  plans: read,
};

const ofPlatform: Readonly<Record<string, Grants>> = {
  ...ofApi,
  approvals: read,
  ledger_entries: read,
  providers: { ...read, update: 'frozen_by frozen_why frozen_until' },
  replays: { ...append, update: 'state rate_per_second' },
  replay_items: read,
  quotas: { ...append, update: '*' },
  fx_rates: { ...append, update: '*' },
  claims: read,
  retained: read,
  engines: read,
};

const owned =
  'shards topics listeners resources work tombstones requests revisions passes intents decisions plans operations claims retained ' +
  'providers provider_budgets provider_slots windows replays replay_items engines firings secrets';

const ofController: Readonly<Record<string, Grants>> = {
  ...Object.fromEntries(owned.split(' ').map((table) => [table, all])),
  ledger_entries: append,
  audit_log: append,
  quotas: read,
  approvals: read,
  fx_rates: read,
  api_keys: { select: 'id revoked_at expires_at', delete: '*' },
};

/** What each login may do, and nothing else (security.md): what migrations/ grant. */
export const grantsOf: Readonly<Record<LoginRole, Readonly<Record<string, Grants>>>> = {
  vibn_api: ofApi,
  vibn_platform: ofPlatform,
  vibn_controller: ofController,
};

/** Every table of ours; nobody but the owner may touch schema_migrations. */
export const ourTables: readonly string[] = [
  ...new Set([...Object.values(grantsOf).flatMap((grants) => Object.keys(grants)), 'schema_migrations']),
].toSorted();

/** What the database says that a login may do with one column, by itself, by its groups or by everybody's rights. */
export interface ColumnRights {
  readonly table: string;
  readonly column: string;
  readonly select: boolean;
  readonly insert: boolean;
  readonly update: boolean;
  /** Of the whole table, the same for each of its columns. */
  readonly delete: boolean;
  /** TRUNCATE, REFERENCES or TRIGGER: of no use to any login. */
  readonly other: boolean;
}

export interface RightsGap {
  /** "update resources.status" */
  readonly extra: readonly string[];
  readonly missing: readonly string[];
}

/** Compares what a login may do with what it should. Tables that are not ours do not count. Pure. */
export function compareRights(role: LoginRole, rows: readonly ColumnRights[]): RightsGap {
  const extra = new Set<string>();
  const missing = new Set<string>();
  for (const row of rows.filter(({ table }) => ourTables.includes(table))) {
    const granted = grantsOf[role][row.table] ?? {};
    for (const verb of ['select', 'insert', 'update'] as const) {
      const should = includes(granted[verb], row.column);
      if (should !== row[verb]) (should ? missing : extra).add(`${verb} ${row.table}.${row.column}`);
    }
    const mayDelete = granted.delete === '*';
    if (mayDelete !== row.delete) (mayDelete ? missing : extra).add(`delete ${row.table}`);
    if (row.other) extra.add(`truncate, references or trigger ${row.table}`);
  }
  return { extra: [...extra], missing: [...missing] };
}

function includes(columns: string | undefined, column: string): boolean {
  return columns === '*' || (columns?.split(' ').includes(column) ?? false);
}
