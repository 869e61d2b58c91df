import { statement } from '#controller/store/statement.ts';

/**
 * Freezes an account's mutations: $1 provider, $2 account, $3 by whom, $4 why, $5 ms from now or null: until it is thawed. Writes only
 * what the platform's role may. No row: nothing was ever recorded of that account.
 */
export const freezeProvider = statement<
  [provider: string, account: string, by: string, why: string, ms: number | null],
  { provider: string }
>({
  name: 'freeze_provider',
  repeatable: true,
  text: `
update providers set
  frozen_by = $3::text,
  frozen_why = $4::text,
  frozen_until = statement_timestamp() + $5::bigint * interval '1 millisecond'
where provider = $1::text and account = $2::text
returning provider`,
});
