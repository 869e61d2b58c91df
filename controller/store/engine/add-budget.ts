import { statement } from '#controller/store/statement.ts';

/** Makes a full bucket where there is none: $1 provider, $2 account, $3 budget, $4 burst. */
export const addBudget = statement<[provider: string, account: string, budget: string, burst: number], never>({
  name: 'add_budget',
  repeatable: true,
  text: `
insert into provider_budgets (provider, account, budget, tokens, filled_at)
values ($1::text, $2::text, $3::text, $4::float8, statement_timestamp())
on conflict (provider, account, budget) do nothing`,
});
