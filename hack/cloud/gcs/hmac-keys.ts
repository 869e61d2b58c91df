// HMAC keys of service accounts: their life. Requests signed with them are checked in signature.ts. Wire facts: gcp-aws §2.7.

import type { Identity } from '#hack/cloud/iam/model.ts';
import { counterEtag } from '#hack/cloud/iam/policy.ts';
import type { JsonObject } from '#hack/cloud/json.ts';
import { demandOnProject } from './access.ts';
import { isoTime } from './bucket-fields.ts';
import { randomText, type GcsContext, type HmacKeyRecord } from './context.ts';
import { conditionNotMet, GcsError, invalid, required } from './errors.ts';
import { boolean, decodePageToken, encodePageToken, pageSize, type Query } from './preconditions.ts';

/** Keys of one account that are not deleted. */
const KEYS_PER_ACCOUNT_MAX = 10;
const ID_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const SECRET_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** The operations on HMAC keys. Each checks the caller's permission itself and throws GcsError. */
export class HmacKeys {
  readonly #context: GcsContext;

  constructor(context: GcsContext) {
    this.#context = context;
  }

  /** Makes a key. The secret is in this answer and nowhere else; a repeat makes another key. */
  create(identity: Identity, project: string, query: Query): JsonObject {
    const context = this.#context;
    demandOnProject(context, identity, { permission: 'storage.hmacKeys.create', project });
    const email = query.get('serviceAccountEmail')?.toLowerCase();
    if (email === undefined || email === '') throw required('serviceAccountEmail');
    if (context.iam.accounts.get(email)?.project !== project) throw missing(`Service Account '${email}' not found.`);
    const held = [...context.tables.hmacKeys.entries()].filter(
      ([, key]) => key.email === email && key.state !== 'DELETED',
    );
    if (held.length >= KEYS_PER_ACCOUNT_MAX)
      throw invalid(`A service account can have at most ${KEYS_PER_ACCOUNT_MAX} HMAC keys.`);
    const nowMs = context.clock.now();
    const accessId = `GOOG1E${randomText(context, ID_ALPHABET, 55)}`;
    const secret = randomText(context, SECRET_ALPHABET, 40);
    const key: HmacKeyRecord = {
      accessId,
      secret,
      project,
      email,
      state: 'ACTIVE',
      createdMs: nowMs,
      updatedMs: nowMs,
      revision: 1,
    };
    context.tables.hmacKeys.set(accessId, key);
    return { kind: 'storage#hmacKey', secret, metadata: resource(key) };
  }

  /** The key to check a signature with: an ACTIVE one, of an account that is there and not disabled. */
  signing(accessId: string): { readonly secret: string; readonly email: string } | undefined {
    const key = this.#context.tables.hmacKeys.get(accessId);
    const account = key?.state === 'ACTIVE' ? this.#context.iam.accounts.get(key.email) : undefined;
    return account === undefined || account.disabled ? undefined : key;
  }

  get(identity: Identity, project: string, accessId: string): JsonObject {
    demandOnProject(this.#context, identity, { permission: 'storage.hmacKeys.get', project });
    return resource(this.#existing(project, accessId));
  }

  list(identity: Identity, project: string, query: Query): JsonObject {
    demandOnProject(this.#context, identity, { permission: 'storage.hmacKeys.list', project });
    const { hmacKeys } = this.#context.tables;
    const email = query.get('serviceAccountEmail')?.toLowerCase();
    const after = decodePageToken(query) ?? '';
    const size = pageSize(query);
    const found = hmacKeys
      .keys()
      .filter((accessId) => accessId > after)
      .flatMap((accessId) => hmacKeys.get(accessId) ?? [])
      .filter((key) => key.project === project && (email === undefined || key.email === email))
      .filter((key) => key.state !== 'DELETED' || boolean(query, 'showDeletedKeys'));
    const page = found.slice(0, size);
    const last = page.at(-1);
    const more = found.length > size && last !== undefined ? { nextPageToken: encodePageToken(last.accessId) } : {};
    return { kind: 'storage#hmacKeysMetadata', ...(page.length === 0 ? {} : { items: page.map(resource) }), ...more };
  }

  /** Switches between ACTIVE and INACTIVE; to set what is already so is refused, as the provider does. */
  update(identity: Identity, key: { project: string; accessId: string }, body: JsonObject): JsonObject {
    demandOnProject(this.#context, identity, { permission: 'storage.hmacKeys.update', project: key.project });
    const before = this.#existing(key.project, key.accessId);
    const { state, etag } = body;
    if (state !== 'ACTIVE' && state !== 'INACTIVE') throw invalid('state must be ACTIVE or INACTIVE.');
    if (typeof etag === 'string' && etag !== counterEtag(before.revision)) throw conditionNotMet();
    if (before.state === 'DELETED') throw invalid('A deleted HMAC key cannot be changed.');
    if (before.state === state) throw invalid(`The HMAC key is ${state} already.`);
    return resource(this.#store(before, state));
  }

  /** Deletes an INACTIVE key. It stays readable as DELETED. */
  delete(identity: Identity, project: string, accessId: string): void {
    demandOnProject(this.#context, identity, { permission: 'storage.hmacKeys.delete', project });
    const before = this.#existing(project, accessId);
    if (before.state !== 'INACTIVE') throw invalid('Cannot delete HMAC key unless it is in INACTIVE state.');
    this.#store(before, 'DELETED');
  }

  #existing(project: string, accessId: string): HmacKeyRecord {
    const key = this.#context.tables.hmacKeys.get(accessId);
    if (key?.project !== project) throw missing(`Access ID '${accessId}' not found.`);
    return key;
  }

  #store(before: HmacKeyRecord, state: HmacKeyRecord['state']): HmacKeyRecord {
    const key = { ...before, state, updatedMs: this.#context.clock.now(), revision: before.revision + 1 };
    this.#context.tables.hmacKeys.set(key.accessId, key);
    return key;
  }
}

function resource(key: HmacKeyRecord): JsonObject {
  return {
    kind: 'storage#hmacKeyMetadata',
    id: `${key.project}/${key.accessId}`,
    accessId: key.accessId,
    projectId: key.project,
    serviceAccountEmail: key.email,
    state: key.state,
    timeCreated: isoTime(key.createdMs),
    updated: isoTime(key.updatedMs),
    etag: counterEtag(key.revision),
  };
}

function missing(message: string): GcsError {
  return new GcsError({ status: 404, reason: 'notFound', message });
}
