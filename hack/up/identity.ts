import { readFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseKey } from '#api/key-text.ts';
import { newKey } from '#api/new-key.ts';
import { createSqlAdminStore } from '#controller/store/sql-admin-store.ts';
import type { AdminStore } from '#controller/store/admin-store.ts';
import type { ApiKeyRow } from '#controller/store/rows.ts';
import type { Sql } from '#controller/store/sql.ts';
import { writePrivate } from './secrets.ts';

/** Project and signing account of the local cloud. */
export const localProject = 'vibn-local';
const signerId = 'vibn-signer';
export const signerEmail = `${signerId}@${localProject}.iam.gserviceaccount.com`;

/**
 * Makes the reader's signing account known to the local cloud, as an administrator would: the account, its public key, its right to
 * objects. Safe to repeat: an account or key that is there is left alone.
 */
export async function registerSigner(iam: string, publicKeyPem: string): Promise<void> {
  const account = `${iam}/v1/projects/${localProject}/serviceAccounts`;
  const publicKeyData = Buffer.from(publicKeyPem).toString('base64');
  await post(account, { accountId: signerId, serviceAccount: { displayName: 'Signs URLs' } }, [409]);
  await post(`${account}/${signerEmail}/keys:upload`, { publicKeyData }, [409]);
  const policy = await post(
    `${iam}/v3/projects/${localProject}:getIamPolicy`,
    { options: { requestedPolicyVersion: 3 } },
    [],
  );
  const bindings = (policy['bindings'] ?? []) as { role: string; members: string[] }[];
  const member = `serviceAccount:${signerEmail}`;
  if (bindings.some((binding) => binding.members.includes(member))) return;
  const wanted = { ...policy, bindings: [...bindings, { role: 'roles/storage.objectAdmin', members: [member] }] };
  await post(`${iam}/v3/projects/${localProject}:setIamPolicy`, { policy: wanted }, []);
}

async function post(url: string, body: object, alsoFine: readonly number[]): Promise<Record<string, unknown>> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok && !alsoFine.includes(response.status)) {
    throw new Error(`The local cloud answered ${response.status} to ${url}: ${await response.text()}`);
  }
  return (await response.json()) as Record<string, unknown>;
}

/**
 * The admin key in `admin.key` (platform-wide, class human, all scopes). Kept across restarts; if the file is missing, a new key is
 * made and the old ones are revoked. The row is written before the file: a key in the file always works.
 */
export async function ensureAdminKey(platform: Sql, dataDir: string, hmacSecret: string): Promise<void> {
  const file = join(dataDir, 'admin.key');
  const admin = createSqlAdminStore({ api: platform, platform, controller: platform });
  const parts = existsSync(file) ? parseKey(readFileSync(file, 'utf8').trim()) : null;
  const stored = parts === null ? null : await admin.findKey(parts.id);
  if (stored !== null && stored.revokedAt === null) return;
  await revokeOld(admin);
  const made = { name: adminKeyName, workspace: null, class: 'human', scopes: ['*'], createdAt: Date.now() } as const;
  const { row, text } = newKey({ env: 'local', hmacSecret }, { ...made, ratePerSecond: adminRatePerSecond });
  await admin.createKey('platform', row);
  writePrivate(file, `${text}\n`);
}

const adminKeyName = 'npm start admin';
/** Procedures a second: scripts and benchmarks on one machine use this key. */
const adminRatePerSecond = 10_000;

async function revokeOld(admin: AdminStore): Promise<void> {
  let after: ApiKeyRow | undefined;
  for (let more = true; more;) {
    const query = { workspace: null, limit: 100, ...(after === undefined ? {} : { after }) };
    const page = await admin.listKeys('platform', query);
    for (const key of page.items) {
      if (key.name === adminKeyName && key.revokedAt === null) await admin.revokeKey('platform', key.id);
    }
    after = page.items.at(-1);
    ({ more } = page);
  }
}
