import { statement } from '#controller/store/statement.ts';

/**
 * Declares a replay: $1 id, $2 selector as JSON text, $3 rate per second, $4 by whom, $5 request id or null. The same request twice is
 * the first one. Answers the id, unless the first one is not visible to this statement yet.
 */
export const replayCreate = statement<
  [id: string, selector: string, ratePerSecond: number, createdBy: string, requestId: string | null],
  { id: string }
>({
  name: 'replay_create',
  repeatable: true,
  text: `
with made as (
  insert into replays (id, state, selector, rate_per_second, created_by, request_id, created_at)
  values ($1::text, 'filling', $2::text::jsonb, $3::int, $4::text, $5::text, statement_timestamp())
  on conflict do nothing
  returning id
)
select id from made
union all
select r.id from replays r where r.id = $1::text or r.created_by = $4::text and r.request_id = $5::text`,
});
