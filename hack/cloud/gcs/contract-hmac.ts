// The contract on HMAC keys: their life over the JSON API, and their use at the XML API.

import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { refused, sdk, withBucket, type ContractCase, type ContractTarget, type Scene } from './contract-kit.ts';

export function hmacCases(target: ContractTarget & { readonly account: string }): ContractCase[] {
  return [
    {
      name: 'an HMAC key shows its secret once, is deactivated, then deleted, and stays readable as DELETED',
      needs: ['hmac-keys'],
      run: () => keyLife(target),
    },
    withBucket(target, 'a request signed with an HMAC key is honoured, with another secret it is not', {
      play: (scene) => signedRequests(scene, target.account),
      needs: ['hmac-keys', 'hmac-signatures'],
    }),
  ];
}

async function keyLife(target: ContractTarget & { readonly account: string }): Promise<void> {
  const storage = sdk(target);
  const [key, secret] = await storage.createHmacKey(target.account);
  assert.match(secret, /^.{40}$/);
  const accessId = key.metadata?.accessId ?? '';
  assert.match(accessId, /^GOOG/);
  const own = { serviceAccountEmail: target.account };
  const idsOf = async (options: object): Promise<(string | undefined)[]> =>
    (await storage.getHmacKeys({ ...own, ...options }))[0].map((one) => one.metadata?.accessId);
  assert.ok((await idsOf({})).includes(accessId));
  await refused(key.delete(), 400);
  await refused(key.setMetadata({ state: 'ACTIVE' }), 400);
  const [metadata] = await key.setMetadata({ state: 'INACTIVE' });
  assert.equal(metadata.state, 'INACTIVE');
  await key.delete();
  assert.equal((await key.getMetadata())[0].state, 'DELETED');
  assert.equal((await idsOf({})).includes(accessId), false);
  assert.ok((await idsOf({ showDeletedKeys: true })).includes(accessId));
}

async function signedRequests({ bucket, target, storage }: Scene, account: string): Promise<void> {
  const [policy] = await bucket.iam.getPolicy({ requestedPolicyVersion: 3 });
  policy.bindings.push({ role: 'roles/storage.objectAdmin', members: [`serviceAccount:${account}`] });
  await bucket.iam.setPolicy(policy);
  const [key, secret] = await storage.createHmacKey(account);
  const accessId = key.metadata?.accessId ?? '';
  const url = `${target.endpoint}/${bucket.name}/dir/signed.txt`;
  try {
    for (const dialect of ['AWS4', 'GOOG4'] as const) {
      const send = (method: string, body?: string): Promise<Response> =>
        fetch(url, {
          method,
          ...(body === undefined ? {} : { body }),
          headers: sign({ dialect, accessId, secret, method, url, body }),
        });
      assert.equal((await send('PUT', dialect)).status, 200);
      assert.equal(await (await send('GET')).text(), dialect);
      const stranger = await fetch(url, {
        headers: sign({ dialect, accessId, secret: `${secret}x`, method: 'GET', url }),
      });
      assert.equal(stranger.status, 403);
      assert.match(await stranger.text(), /<Code>SignatureDoesNotMatch<\/Code>/);
      assert.equal((await send('DELETE')).status, 204);
    }
  } finally {
    await key.setMetadata({ state: 'INACTIVE' });
    await key.delete();
  }
}

interface ToSign {
  readonly dialect: 'AWS4' | 'GOOG4';
  readonly accessId: string;
  readonly secret: string;
  readonly method: string;
  readonly url: string;
  readonly body?: string | undefined;
}

const mac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const sha = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The headers of a V4-signed request, as S3 clients make them. */
function sign({ dialect, accessId, secret, method, url, body = '' }: ToSign): Record<string, string> {
  const { host, pathname } = new URL(url);
  const prefix = dialect === 'AWS4' ? 'x-amz' : 'x-goog';
  const tail = dialect === 'AWS4' ? ['auto', 's3', 'aws4_request'] : ['auto', 'storage', 'goog4_request'];
  const date = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const scope = [date.slice(0, 8), ...tail];
  const headers: Record<string, string> = { host, [`${prefix}-content-sha256`]: sha(body), [`${prefix}-date`]: date };
  const names = Object.keys(headers);
  const lines = names.map((name) => `${name}:${headers[name]}\n`).join('');
  const canonical = [method, pathname, '', lines, names.join(';'), sha(body)].join('\n');
  const toSign = [`${dialect}-HMAC-SHA256`, date, scope.join('/'), sha(canonical)].join('\n');
  let key: string | Buffer = `${dialect}${secret}`;
  for (const part of scope) key = mac(key, part);
  const { host: _host, ...sent } = headers;
  const credential = `${accessId}/${scope.join('/')}`;
  const signature = mac(key, toSign).toString('hex');
  const authorization = `${dialect}-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return { ...sent, authorization };
}
