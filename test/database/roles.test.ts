import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LoginRole } from '#controller/store/roles.ts';
import { createDatabase, onCitus, type TestDatabase } from '#test/support/postgres.ts';

/**
 * What each login may do, by table: "*" is every column. The list of security.md; each table, column and verb is tried as the role,
 * and what is not named here must be refused.
 */
interface Grants {
  readonly select?: string;
  readonly insert?: string;
  readonly update?: string;
  readonly delete?: '*';
}

const read = { select: '*' } as const;
const append = { select: '*', insert: '*' } as const;

const ofApi: Record<string, Grants> = {
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

const ofPlatform: Record<string, Grants> = {
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

const all = { select: '*', insert: '*', update: '*', delete: '*' } as const;
const owned =
  'shards topics listeners resources work tombstones requests revisions passes intents decisions plans operations claims retained ' +
  'providers provider_budgets provider_slots windows replays replay_items engines firings secrets';
const ofController: Record<string, Grants> = {
  ...Object.fromEntries(owned.split(' ').map((table) => [table, all])),
  ledger_entries: append,
  audit_log: append,
  quotas: read,
  approvals: read,
  fx_rates: read,
  api_keys: { select: 'id revoked_at expires_at', delete: '*' },
};

const roles: readonly (readonly [LoginRole, Record<string, Grants>])[] = [
  ['vibn_api', ofApi],
  ['vibn_platform', ofPlatform],
  ['vibn_controller', ofController],
];

let db: TestDatabase;
let columns: readonly { readonly table: string; readonly column: string }[];
beforeAll(async () => {
  db = await createDatabase();
  columns = await db.owner`
    select table_name as table, column_name as column from information_schema.columns
    where table_schema = 'public' and table_name not like 'citus%' order by 1, 2`;
});
afterAll(() => db[Symbol.asyncDispose]());

const includes = (grant: string | undefined, column: string): boolean =>
  grant === '*' || (grant?.split(' ').includes(column) ?? false);

describe.each(roles)('%s', (role, grants) => {
  test('names only tables and columns that exist', () => {
    const known = new Set(columns.flatMap(({ table, column }) => [table, `${table}.${column}`]));
    const named = Object.entries(grants).flatMap(([table, { select = '', insert = '', update = '' }]) => [
      table,
      ...`${select} ${insert} ${update}`
        .split(/[ *]+/)
        .filter(Boolean)
        .map((column) => `${table}.${column}`),
    ]);
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });

  test('may do what is listed, column by column, and nothing else', async () => {
    const sql = db.login(role);
    // Rights are checked before the first row is looked for, so that no row is needed and none is changed.
    const may = async (statement: string): Promise<boolean> => {
      try {
        await sql.unsafe(statement);
        return true;
      } catch (error) {
        if ((error as { code?: string }).code === '42501') return false;
        throw error;
      }
    };
    // Citus looks at the columns that a write names before the rights, so there the catalogue is asked.
    const listed = async (what: string): Promise<boolean> => {
      const [verb = '', name = ''] = what.split(' ');
      const [table = '', column] = name.split('.');
      const [row] =
        column === undefined
          ? await db.owner`select has_table_privilege(${role}::name, ${table}::text, ${verb}::text) as may`
          : await db.owner`select has_column_privilege(${role}::name, ${table}::text, ${column}::text, ${verb}::text) as may`;
      return row?.['may'] === true;
    };
    const wrong: string[] = [];
    const check = async (what: string, statement: string, expected: boolean): Promise<void> => {
      const possible = onCitus() ? await listed(what) : await may(statement);
      if (possible !== expected) wrong.push(`${what} is ${expected ? 'refused' : 'possible'}`);
    };
    for (const { table, column } of columns) {
      const granted = grants[table] ?? {};
      const quoted = `"${column}"`;
      await check(
        `select ${table}.${column}`,
        `select ${quoted} from ${table} where false`,
        includes(granted.select, column),
      );
      const insert = `insert into ${table} (${quoted}) select null where false`;
      await check(`insert ${table}.${column}`, insert, includes(granted.insert, column));
      const update = `update ${table} set ${quoted} = null where false`;
      await check(`update ${table}.${column}`, update, includes(granted.update, column));
    }
    for (const table of new Set(columns.map((column) => column.table))) {
      await check(`delete ${table}`, `delete from ${table} where false`, grants[table]?.delete === '*');
    }
    expect(wrong).toEqual([]);
  });

  test('has no right of its own beyond tables: no truncate, no reference, no trigger, no role, no database', async () => {
    const [attributes] = await db.owner`
      select rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication from pg_roles where rolname = ${role}`;
    expect(Object.values(attributes ?? {})).toEqual([false, false, false, false, false]);
    const rights = await db.owner`
      select table_name, privilege_type from information_schema.table_privileges
      where grantee = ${role} and privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER')`;
    expect(rights).toEqual([]);
    expect(await db.owner`select has_schema_privilege(${role}, 'public', 'create') as may`).toEqual([{ may: false }]);
    const memberships = await db.owner`
      select r.rolname from pg_auth_members m join pg_roles r on r.oid = m.roleid
      where m.member = (select oid from pg_roles where rolname = ${role})`;
    expect(memberships).toEqual([]);
  });
});
