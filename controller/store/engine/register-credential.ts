import { asksFiring } from './fragments.ts';
import { statement } from '#controller/store/statement.ts';

/**
 * Stores the HMAC of an account's credential: $1 provider, $2 account, $3 digest. A row: it differs from the stored
 * one, and the topic $4 is asked to be fired at $5 rows a second.
 */
export const registerCredential = statement<
  [provider: string, account: string, digest: string, topic: string, ratePerSecond: number],
  { provider: string }
>({
  name: 'register_credential',
  text: `
with changed as (
  insert into providers as p (provider, account, credential_digest)
  values ($1::text, $2::text, $3::text)
  on conflict (provider, account) do update set credential_digest = excluded.credential_digest
  where p.credential_digest is distinct from excluded.credential_digest
  returning p.provider
),
causes as (select $4::text as topic, $5::float8 as rate, statement_timestamp() as now from changed),
asked as (${asksFiring})
select provider from changed`,
});
