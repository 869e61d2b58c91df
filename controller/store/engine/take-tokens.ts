import { statement } from '#controller/store/statement.ts';

/**
 * Leases whole tokens of a bucket: $1 provider, $2 account, $3 budget, $4 wanted, $5 refill per second, $6 burst. A statement that waited
 * for the lock began before the last refill: its elapsed time counts as none. No row: there is no bucket yet.
 */
export const takeTokens = statement<
  [provider: string, account: string, budget: string, want: number, ratePerSecond: number, burst: number],
  { granted: number }
>({
  name: 'take_tokens',
  text: `
with bucket as materialized (
  select least($6::float8, tokens + $5::float8 * greatest(0, extract(epoch from statement_timestamp() - filled_at))::float8)
    as available
  from provider_budgets
  where provider = $1::text and account = $2::text and budget = $3::text
  for update
),
lease as materialized (
  select available, least($4::int, floor(available)::int) as granted from bucket
)
update provider_budgets b set
  tokens = l.available - l.granted,
  filled_at = greatest(b.filled_at, statement_timestamp())
from lease l
where b.provider = $1::text and b.account = $2::text and b.budget = $3::text
returning l.granted`,
});
