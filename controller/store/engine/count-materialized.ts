import { statement } from '#controller/store/statement.ts';

/** Rows whose external object was seen: the base of the re-create brake. Reads all shards; asked only before a re-create. */
export const countMaterialized = statement<[], { count: number }>({
  name: 'count_materialized',
  repeatable: true,
  text: `select count(*) as count from work where materialized_at is not null`,
});
