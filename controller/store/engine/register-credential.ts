import { statement } from '#controller/store/statement.ts';

/** Stores the HMAC of an account's credential: $1 provider, $2 account, $3 digest. A row: it differs from the stored one. */
export const registerCredential = statement<[provider: string, account: string, digest: string], { provider: string }>({
  name: 'register_credential',
  text: `
insert into providers as p (provider, account, credential_digest)
values ($1::text, $2::text, $3::text)
on conflict (provider, account) do update set credential_digest = excluded.credential_digest
where p.credential_digest is distinct from excluded.credential_digest
returning p.provider`,
});
