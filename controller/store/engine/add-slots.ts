import { statement } from '#controller/store/statement.ts';

/** Makes sure that slots 0 to $3 - 1 of an account exist: $1 provider, $2 account. */
export const addSlots = statement<[provider: string, account: string, count: number], never>({
  name: 'add_slots',
  repeatable: true,
  text: `
insert into provider_slots (provider, account, slot)
select $1::text, $2::text, n from generate_series(0, $3::int - 1) as n
on conflict (provider, account, slot) do nothing`,
});
