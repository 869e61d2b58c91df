import { statement } from '#controller/store/statement.ts';

/** Holds all replicas' calls of an account: $1 provider, $2 account, $3 ms from now. Never shortens a hold. */
export const blockProvider = statement<[provider: string, account: string, ms: number], never>({
  name: 'block_provider',
  repeatable: true,
  text: `
insert into providers as p (provider, account, blocked_until)
values ($1::text, $2::text, statement_timestamp() + $3::bigint * interval '1 millisecond')
on conflict (provider, account) do update set blocked_until = greatest(p.blocked_until, excluded.blocked_until)`,
});
