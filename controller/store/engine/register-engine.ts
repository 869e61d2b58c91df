import { asksFiring } from './fragments.ts';
import { statement } from '#controller/store/statement.ts';

/** Records a build id: $1. A row: it is new, and the topic $2 is asked to be fired at $3 rows a second. */
export const registerEngine = statement<[buildId: string, topic: string, ratePerSecond: number], { build_id: string }>({
  name: 'register_engine',
  text: `
with made as (
  insert into engines (build_id, first_seen_at) values ($1::text, statement_timestamp())
  on conflict (build_id) do nothing
  returning build_id
),
causes as (select $2::text as topic, $3::float8 as rate, statement_timestamp() as now from made),
asked as (${asksFiring})
select build_id from made`,
});
