import { statement } from '#controller/store/statement.ts';
import { asksFiring } from './fragments.ts';
import { providerColumns, type ProviderColumns } from './provider-columns.ts';

/**
 * Counts how a call ended, after `add_provider` made sure of the row: $1 provider, $2 account, $3 outcome (ok, unavailable,
 * credential), $4 consecutive failures of one cause that open the breaker. While it is open its cause stays. ok closes it, and asks for the
 * topic $5 to be fired at $6 rows a second: whoever closed it may die before it has told anybody. Answers the row as it is now and the
 * breaker as it was before.
 *
 * Every new value comes from the locked `old`. An UPDATE that finds its row changed meanwhile takes the newest version, but checks the
 * constraints on the older one first: mixed with `old`, that would be a row that never was, and refused.
 */
export const reportCall = statement<
  [provider: string, account: string, outcome: string, opensAt: number, topic: string, ratePerSecond: number],
  ProviderColumns & { was: 'closed' | 'open' }
>({
  name: 'report_call',
  text: `
with old as materialized (
  select breaker, cause, opened_at, statement_timestamp() as now, case
    when $3::text = 'ok' then 0
    when cause is null or cause = $3::text then failures + 1
    else 1 end as failures
  from providers where provider = $1::text and account = $2::text
  for update
),
causes as (select $5::text as topic, $6::float8 as rate, o.now from old o where $3::text = 'ok' and o.breaker = 'open'),
asked as (${asksFiring})
update providers p set
  failures = o.failures,
  breaker = case
    when $3::text = 'ok' then 'closed'
    when o.failures >= $4::int then 'open'
    else o.breaker end,
  cause = case
    when $3::text = 'ok' then null
    when o.breaker = 'open' then o.cause
    else $3::text end,
  opened_at = case
    when $3::text = 'ok' then null
    when o.breaker = 'open' then o.opened_at
    when o.failures >= $4::int then o.now end
from old o
where p.provider = $1::text and p.account = $2::text
returning ${providerColumns}, o.breaker as was`,
});
