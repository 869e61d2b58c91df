import { statement } from '#controller/store/statement.ts';

/** Thaws an account: $1 provider, $2 account. A row: it was frozen. */
export const thawProvider = statement<[provider: string, account: string], { provider: string }>({
  name: 'thaw_provider',
  text: `
update providers set frozen_by = null, frozen_why = null, frozen_until = null
where provider = $1::text and account = $2::text and frozen_by is not null
returning provider`,
});
