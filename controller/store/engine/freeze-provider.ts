import { statement } from '#controller/store/statement.ts';

/** Freezes an account's mutations: $1 provider, $2 account, $3 by whom, $4 why, $5 ms from now or null: until it is thawed. */
export const freezeProvider = statement<
  [provider: string, account: string, by: string, why: string, ms: number | null],
  never
>({
  name: 'freeze_provider',
  repeatable: true,
  text: `
insert into providers as p (provider, account, frozen_by, frozen_why, frozen_until)
values ($1::text, $2::text, $3::text, $4::text, statement_timestamp() + $5::bigint * interval '1 millisecond')
on conflict (provider, account) do update set
  frozen_by = excluded.frozen_by, frozen_why = excluded.frozen_why, frozen_until = excluded.frozen_until`,
});
