import { statement } from '#controller/store/statement.ts';

/** Makes sure that a provider account has its row: $1 provider, $2 account. */
export const addProvider = statement<[provider: string, account: string], never>({
  name: 'add_provider',
  repeatable: true,
  text: `
insert into providers (provider, account) values ($1::text, $2::text)
on conflict (provider, account) do nothing`,
});
