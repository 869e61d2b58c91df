import { statement } from '#controller/store/statement.ts';
import { asksFiring } from './fragments.ts';

/** Asks for a topic to be fired in all shards: $1 topic, $2 rows a second. Asked again, it goes once round. */
export const askFiring = statement<[topic: string, ratePerSecond: number], { topic: string }>({
  name: 'ask_firing',
  repeatable: true,
  text: `
with causes as (select $1::text as topic, $2::float8 as rate, statement_timestamp() as now),
asked as (${asksFiring})
select topic from asked`,
});
