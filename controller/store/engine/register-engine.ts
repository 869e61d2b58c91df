import { statement } from '#controller/store/statement.ts';

/** Records a build id: $1. A row: it is new. A lost answer only loses one firing of the topic `engine`, which parked rows survive. */
export const registerEngine = statement<[buildId: string], { build_id: string }>({
  name: 'register_engine',
  text: `
insert into engines (build_id, first_seen_at) values ($1::text, statement_timestamp())
on conflict (build_id) do nothing
returning build_id`,
});
