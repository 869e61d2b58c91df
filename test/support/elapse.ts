import type postgres from 'postgres';

/** Every timestamp of every table that time runs from. Looked up, so that a new column is never forgotten. */
const timestampColumns = `
select c.table_name as "table", c.column_name as "column"
from information_schema.columns c
join information_schema.tables t using (table_schema, table_name)
where c.table_schema = 'public' and t.table_type = 'BASE TABLE' and c.data_type = 'timestamp with time zone'
  and c.table_name not in ('schema_migrations', 'audit_log')
order by 1, 2`;

/**
 * Makes all that is stored look `ms` older: the server's clock cannot be moved, so every stored time moves back, in one transaction.
 * `owner` must be allowed everything.
 */
export async function elapse(owner: postgres.Sql, ms: number): Promise<void> {
  const columns = await owner.unsafe<{ table: string; column: string }[]>(timestampColumns);
  const tables = Map.groupBy(columns, (row) => row.table);
  const back = `interval '${ms} milliseconds'`;
  // Citus refuses the plain difference in an UPDATE: it depends on the time zone. This one does not.
  const earlier = (column: string): string =>
    `to_timestamp(extract(epoch from (${column} - timestamptz 'epoch')) - ${ms / 1000})`;
  await owner.begin(async (tx) => {
    for (const [table, some] of tables) {
      const sets = some.map(({ column }) => `${column} = ${earlier(column)}`);
      await tx.unsafe(`update ${table} set ${sets.join(', ')}`);
    }
    await tx.unsafe(`update windows set events = array(select e - ${back} from unnest(events) as e)`);
  });
}
