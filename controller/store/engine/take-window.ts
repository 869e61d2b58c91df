import { statement } from '#controller/store/statement.ts';

/**
 * Counts one event in a sliding window unless it is full: $1 scope, $2 key, $3 limit, $4 window in ms. Events that have left the window
 * are forgotten on the way. `free_at`: when the oldest event leaves it; null if it is empty, or if all of its events came while the
 * statement waited for the row: then a window from now. A repeat would count twice.
 */
export const takeWindow = statement<
  [scope: string, key: string, limit: number, windowMs: number],
  { taken: boolean; free_at: number | null }
>({
  name: 'take_window',
  text: `
with counted as (
  insert into windows as w (scope, key, events)
  select $1::text, $2::text, array[statement_timestamp()] where $3::int > 0
  on conflict (scope, key) do update set
    events = array(
      select e from unnest(w.events) as e
      where e > statement_timestamp() - $4::bigint * interval '1 millisecond' order by e
    ) || statement_timestamp()
  where (
    select count(*) from unnest(w.events) as e
    where e > statement_timestamp() - $4::bigint * interval '1 millisecond') < $3::int
  returning w.scope
)
select exists (select from counted) as taken, (
  select min(e) + $4::bigint * interval '1 millisecond' from windows w, unnest(w.events) as e
  where w.scope = $1::text and w.key = $2::text and e > statement_timestamp() - $4::bigint * interval '1 millisecond') as free_at`,
});
