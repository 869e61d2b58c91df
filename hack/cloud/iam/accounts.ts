// Service accounts and their keys, as iam.googleapis.com v1 answers. Wire facts: gcp-aws §7.

import { createPublicKey } from 'node:crypto';
import { isObject, type JsonObject } from '#hack/cloud/json.ts';
import {
  ACCOUNTS_PER_PROJECT_MAX,
  KEYS_PER_ACCOUNT_MAX,
  newAccount,
  type IamModel,
  type ServiceAccount,
  type ServiceAccountKey,
} from './model.ts';

/** An error in the form of Google's newer APIs. `code` is the google.rpc name. */
export class IamError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'IamError';
    this.status = status;
    this.code = code;
  }
}

const ACCOUNT_ID = /^[a-z](?:[-a-z0-9]{4,28}[a-z0-9])$/;
const DISPLAY_NAME_BYTES_MAX = 100;
const DESCRIPTION_BYTES_MAX = 256;

/** Path parameters: project, then e-mail or unique id. */
type Params = readonly string[];

export function createAccount(model: IamModel, project: string, body: JsonObject): object {
  const { accountId } = body;
  if (typeof accountId !== 'string' || !ACCOUNT_ID.test(accountId)) {
    throw new IamError(
      400,
      'INVALID_ARGUMENT',
      'accountId must be 6 to 30 characters: a lower-case letter, then letters, digits or -, not ending in -.',
    );
  }
  model.touchProject(project, { kind: 'owner' });
  const email = `${accountId}@${project}.iam.gserviceaccount.com`;
  if (model.accounts.get(email) !== undefined) {
    throw new IamError(
      409,
      'ALREADY_EXISTS',
      `Service account ${accountId} already exists within project projects/${project}.`,
    );
  }
  if (model.accounts.keys(project).length >= ACCOUNTS_PER_PROJECT_MAX)
    throw new IamError(429, 'RESOURCE_EXHAUSTED', 'Maximum number of service accounts on project reached.');
  const details = isObject(body['serviceAccount']) ? body['serviceAccount'] : {};
  const account = {
    ...newAccount(email, model.newUniqueId()),
    displayName: text(details['displayName'], 'displayName', DISPLAY_NAME_BYTES_MAX),
    description: text(details['description'], 'description', DESCRIPTION_BYTES_MAX),
  };
  model.accounts.set(email, account);
  return accountBody(account);
}

export function getAccount(model: IamModel, params: Params): object {
  return accountBody(existing(model, params));
}

export function listAccounts(model: IamModel, project: string, query: URLSearchParams): object {
  const size = Math.min(Number(query.get('pageSize') ?? 20) || 20, 100);
  const after = query.get('pageToken') ?? '';
  const keys = model.accounts.keys(project).filter((email) => email > after);
  const page = keys.slice(0, size).flatMap((email) => model.accounts.get(email) ?? []);
  const more = keys.length > size ? { nextPageToken: keys[size - 1] } : {};
  return page.length === 0 ? {} : { accounts: page.map(accountBody), ...more };
}

export function deleteAccount(model: IamModel, params: Params): object {
  model.accounts.delete(existing(model, params).email);
  return {};
}

export function setDisabled(model: IamModel, params: Params, disabled: boolean): object {
  const account = existing(model, params);
  model.accounts.set(account.email, { ...account, disabled });
  return {};
}

/** keys:upload. `publicKeyData` is base64 of a PEM certificate (as Google asks) or of a PEM public key. */
export function addKey(model: IamModel, params: Params, body: JsonObject): object {
  const account = existing(model, params);
  const data = body['publicKeyData'];
  const pem = typeof data === 'string' ? Buffer.from(data, 'base64').toString() : '';
  let publicKeyPem: string;
  try {
    publicKeyPem = createPublicKey(pem).export({ type: 'spki', format: 'pem' });
  } catch {
    throw new IamError(
      400,
      'INVALID_ARGUMENT',
      'publicKeyData must be the base64 of an X.509 certificate or public key in PEM.',
    );
  }
  const known = account.keys.some((key) => key.publicKeyPem === publicKeyPem);
  if (!known && account.keys.length >= KEYS_PER_ACCOUNT_MAX)
    throw new IamError(429, 'RESOURCE_EXHAUSTED', 'Maximum number of keys on account reached.');
  return keyBody(account, model.addKey(account.email, publicKeyPem));
}

export function listKeys(model: IamModel, params: Params): object {
  const account = existing(model, params);
  return account.keys.length === 0 ? {} : { keys: account.keys.map((key) => keyBody(account, key)) };
}

export function deleteKey(model: IamModel, params: Params): object {
  const account = existing(model, params);
  const keys = account.keys.filter((key) => key.id !== params[2]);
  if (keys.length === account.keys.length)
    throw new IamError(404, 'NOT_FOUND', `Service account key ${params[2] ?? ''} does not exist.`);
  model.accounts.set(account.email, { ...account, keys });
  return {};
}

function existing(model: IamModel, params: Params): ServiceAccount {
  const [project = '', id = ''] = params;
  const byEmail = model.accounts.get(id.toLowerCase());
  const account = byEmail ?? [...model.accounts.entries()].find(([, candidate]) => candidate.uniqueId === id)?.[1];
  if (account !== undefined && (project === '-' || account.project === project)) return account;
  // Google hides whether the account exists from those who do not name its project.
  if (project === '-')
    throw new IamError(
      403,
      'PERMISSION_DENIED',
      "Permission 'iam.serviceAccounts.get' denied on resource (or it may not exist).",
    );
  throw new IamError(404, 'NOT_FOUND', `Unknown service account: ${id}`);
}

function accountBody(account: ServiceAccount): object {
  return {
    name: `projects/${account.project}/serviceAccounts/${account.email}`,
    projectId: account.project,
    uniqueId: account.uniqueId,
    email: account.email,
    ...(account.displayName === '' ? {} : { displayName: account.displayName }),
    ...(account.description === '' ? {} : { description: account.description }),
    etag: 'MDEwMjE5MjA=',
    oauth2ClientId: account.uniqueId,
    ...(account.disabled ? { disabled: true } : {}),
  };
}

function keyBody(account: ServiceAccount, key: ServiceAccountKey): object {
  return {
    name: `projects/${account.project}/serviceAccounts/${account.email}/keys/${key.id}`,
    validAfterTime: new Date(key.createdMs).toISOString(),
    validBeforeTime: '9999-12-31T23:59:59Z',
    keyAlgorithm: 'KEY_ALG_RSA_2048',
    keyOrigin: 'USER_PROVIDED',
    keyType: 'USER_MANAGED',
  };
}

function text(value: unknown, field: string, bytesMax: number): string {
  if (value === undefined) return '';
  if (typeof value === 'string' && Buffer.byteLength(value) <= bytesMax) return value;
  throw new IamError(400, 'INVALID_ARGUMENT', `${field} must be a string of at most ${bytesMax} bytes.`);
}
