import { createSign, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CallLog } from '#hack/cloud/call-log.ts';
import { manualClock, type ManualClock } from '#hack/cloud/clock.ts';
import { Faults } from '#hack/cloud/faults.ts';
import { CloudState } from '#hack/cloud/state.ts';
import { IamModel } from './model.ts';
import { openIam } from './wire.ts';

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = publicKey.export({ type: 'spki', format: 'pem' });
const EMAIL = 'ws-acme@vibn-local.iam.gserviceaccount.com';
const ACCOUNTS = '/v1/projects/vibn-local/serviceAccounts';

function iam() {
  const clock = manualClock();
  const model = new IamModel({ clock, state: new CloudState(clock) });
  model.ensureDefaults();
  const door = openIam(model, { faults: new Faults(), calls: new CallLog(clock), later: () => undefined });
  const ask = (line: string, body?: unknown, headers: Record<string, string> = {}): { status: number; json: any } => {
    const [method = '', url = ''] = line.split(' ');
    const [path = '', query = ''] = url.split('?');
    const delivery = door.handle({
      method,
      path,
      query,
      headers,
      body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
    });
    if (delivery.kind === 'lost') throw new Error('lost');
    return { status: delivery.response.status, json: delivery.response.body };
  };
  return { clock, model, ask };
}

function jwt(clock: ManualClock, claims: object = {}): string {
  const iat = clock.now() / 1_000;
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const head = `${part({ alg: 'RS256', typ: 'JWT' })}.${part({ iss: EMAIL, sub: EMAIL, iat, exp: iat + 3_600, ...claims })}`;
  return `${head}.${createSign('RSA-SHA256').update(head).sign(privateKey).toString('base64url')}`;
}

describe('service accounts', () => {
  it('are created once, read, listed, and a new one of an old address has another id', () => {
    const { ask } = iam();
    const made = ask(`POST ${ACCOUNTS}`, { accountId: 'ws-acme', serviceAccount: { description: 'uid-1' } });
    expect(made.json).toMatchObject({
      name: `projects/vibn-local/serviceAccounts/${EMAIL}`,
      email: EMAIL,
      description: 'uid-1',
    });
    expect(ask(`POST ${ACCOUNTS}`, { accountId: 'ws-acme' }).json.error).toEqual({
      code: 409,
      message: 'Service account ws-acme already exists within project projects/vibn-local.',
      status: 'ALREADY_EXISTS',
    });
    expect(ask(`GET ${ACCOUNTS}/${made.json.uniqueId}`).json.email).toBe(EMAIL);
    expect(ask(`GET ${ACCOUNTS}`).json.accounts.map((account: { email: string }) => account.email)).toEqual([
      'vibn-operator@vibn-local.iam.gserviceaccount.com',
      EMAIL,
    ]);
    expect(ask(`DELETE ${ACCOUNTS}/${EMAIL}`)).toEqual({ status: 200, json: {} });
    expect(ask(`GET ${ACCOUNTS}/${EMAIL}`).status).toBe(404);
    expect(ask(`GET /v1/projects/-/serviceAccounts/${EMAIL}`).status).toBe(403);
    expect(ask(`POST ${ACCOUNTS}`, { accountId: 'ws-acme' }).json.uniqueId).not.toBe(made.json.uniqueId);
  });

  it.each(['short', 'Upper-case', '1-digit-first', 'ends-with-', 'x'.repeat(31)])(
    'may not be called %s',
    (accountId) => {
      expect(iam().ask(`POST ${ACCOUNTS}`, { accountId }).json.error.status).toBe('INVALID_ARGUMENT');
    },
  );

  it('take an uploaded public key once, list it and drop it', () => {
    const { ask } = iam();
    ask(`POST ${ACCOUNTS}`, { accountId: 'ws-acme' });
    const publicKeyData = Buffer.from(pem).toString('base64');
    const key = ask(`POST ${ACCOUNTS}/${EMAIL}/keys:upload`, { publicKeyData }).json;
    expect(ask(`POST ${ACCOUNTS}/${EMAIL}/keys:upload`, { publicKeyData }).json.name).toBe(key.name);
    expect(ask(`GET ${ACCOUNTS}/${EMAIL}/keys?keyTypes=USER_MANAGED`).json.keys).toHaveLength(1);
    expect(ask(`DELETE /v1/${key.name}`).status).toBe(200);
    expect(ask(`GET ${ACCOUNTS}/${EMAIL}/keys`).json).toEqual({});
    expect(ask(`POST ${ACCOUNTS}/${EMAIL}/keys:upload`, { publicKeyData: 'rubbish' }).json.error.status).toBe(
      'INVALID_ARGUMENT',
    );
  });
});

describe('bearers', () => {
  it('are accepted if a service account signed them with a registered key, and only while they are current', () => {
    const { clock, model, ask } = iam();
    expect(model.authenticate(`Bearer ${jwt(clock)}`)).toBeUndefined();
    model.registerServiceAccountKey({ email: EMAIL, publicKeyPem: pem, projectRoles: [] });
    const token = jwt(clock);
    expect(model.authenticate(`Bearer ${token}`)).toEqual({ kind: 'account', email: EMAIL, project: 'vibn-local' });
    expect(model.authenticate(`Bearer ${token.slice(0, -4)}AAAA`)).toBeUndefined();
    expect(model.authenticate(`Bearer ${jwt(clock, { sub: 'other@x.y' })}`)).toBeUndefined();
    expect(model.authenticate(`Bearer ${jwt(clock, { exp: clock.now() / 1_000 + 9_000 })}`)).toBeUndefined();
    ask(`POST ${ACCOUNTS}/${EMAIL}:disable`);
    expect(model.authenticate(`Bearer ${token}`)).toBeUndefined();
    ask(`POST ${ACCOUNTS}/${EMAIL}:enable`);
    expect(model.authenticate(`Bearer ${token}`)).toBeDefined();
    clock.advance(4_000_000);
    expect(model.authenticate(`Bearer ${token}`)).toBeUndefined();
  });

  it('of a workspace may not manage identities', () => {
    const { clock, model, ask } = iam();
    model.registerServiceAccountKey({ email: EMAIL, publicKeyPem: pem });
    expect(ask(`POST ${ACCOUNTS}`, { accountId: 'second' }, { authorization: `Bearer ${jwt(clock)}` }).status).toBe(
      403,
    );
    expect(ask(`GET ${ACCOUNTS}`, undefined, { authorization: 'Bearer unknown' }).status).toBe(401);
  });
});

describe('a project policy', () => {
  it('is replaced under its etag; a stale one is 409 ABORTED', () => {
    const { model, ask } = iam();
    const policy = ask('POST /v3/projects/vibn-local:getIamPolicy').json;
    model.registerServiceAccountKey({ email: EMAIL, publicKeyPem: pem, projectRoles: [] });
    policy.bindings.push({ role: 'roles/storage.objectViewer', members: [`serviceAccount:${EMAIL}`] });
    expect(ask('POST /v3/projects/vibn-local:setIamPolicy', { policy }).status).toBe(200);
    expect(model.projectRoles({ kind: 'account', email: EMAIL, project: 'vibn-local' }, 'vibn-local')).toEqual([
      'roles/storage.objectViewer',
    ]);
    expect(ask('POST /v3/projects/vibn-local:setIamPolicy', { policy }).json.error).toMatchObject({
      code: 409,
      status: 'ABORTED',
    });
  });
});
