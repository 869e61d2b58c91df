// Who is who at the local Google: projects, service accounts with their keys, bearer tokens, project policies.
//
// 1. A call without credentials is the local owner. It owns every project that it has named, and the default project.
// 2. A project first named by another identity is foreign: the local owner may not read it. This is how tests make "someone else".
// 3. A bearer is a registered token, or a JWT that a service account signed itself with a key that is registered here.

import { createPublicKey } from 'node:crypto';
import { hash32, type CloudClock } from '#hack/cloud/clock.ts';
import type { CloudState, Table } from '#hack/cloud/state.ts';
import { accountOfJwt } from './jwt.ts';
import { grantedRoles, normalisePolicy, type Binding, type StoredPolicy } from './policy.ts';
import { projectRoleAllowed } from './roles.ts';

/** Who calls. `owner` is the caller without credentials on JSON paths, `anonymous` the one on object URLs. */
export type Identity =
  | { readonly kind: 'owner' }
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'account'; readonly email: string; readonly project: string };

export interface Project {
  readonly id: string;
  readonly number: string;
  readonly foreign: boolean;
  readonly policy: StoredPolicy;
}

export interface ServiceAccountKey {
  readonly id: string;
  readonly publicKeyPem: string;
  readonly createdMs: number;
}

export interface ServiceAccount {
  readonly email: string;
  readonly project: string;
  readonly uniqueId: string;
  readonly displayName: string;
  readonly description: string;
  readonly disabled: boolean;
  readonly keys: readonly ServiceAccountKey[];
}

interface TokenRecord {
  readonly email: string;
  readonly project: string;
}

export interface IamOptions {
  readonly clock: CloudClock;
  readonly state: CloudState;
  /** The project that the local owner starts with. */
  readonly defaultProject?: string | undefined;
  readonly projectNumber?: string | undefined;
}

export const DEFAULT_PROJECT = 'vibn-local';
/** The operator's own service account in the default project; its processes upload their signing keys to it. */
export const OPERATOR_ACCOUNT = 'vibn-operator';

/** User-managed keys of one account (IAM quotas). */
export const KEYS_PER_ACCOUNT_MAX = 10;
/** Service accounts of one project before a quota increase (IAM quotas). */
export const ACCOUNTS_PER_PROJECT_MAX = 100;

/** Identities shared by the providers of the local cloud. Methods that change anything open a transaction of their own. */
export class IamModel {
  readonly clock: CloudClock;
  readonly state: CloudState;
  readonly defaultProject: string;
  readonly #projectNumber: string | undefined;
  readonly projects: Table<Project>;
  readonly accounts: Table<ServiceAccount>;
  readonly #tokens: Table<TokenRecord>;
  readonly #counters: Table<number>;

  constructor(options: IamOptions) {
    this.clock = options.clock;
    this.state = options.state;
    this.defaultProject = options.defaultProject ?? DEFAULT_PROJECT;
    this.#projectNumber = options.projectNumber;
    this.projects = options.state.table('projects');
    this.accounts = options.state.table('serviceAccounts', { groupOf: projectOfEmail });
    this.#tokens = options.state.table('tokens');
    this.#counters = options.state.table('counters');
  }

  /** What a production project has before the operator starts: itself, and the operator's own account with storage.admin. Repeatable. */
  ensureDefaults(): void {
    const email = `${OPERATOR_ACCOUNT}@${this.defaultProject}.iam.gserviceaccount.com`;
    if (this.accounts.get(email) !== undefined) return;
    this.state.transact(() => {
      this.touchProject(this.defaultProject, { kind: 'owner' });
      this.accounts.set(email, newAccount(email, this.newUniqueId()));
      this.grant(this.defaultProject, 'roles/storage.admin', `serviceAccount:${email}`);
    });
  }

  /** The project, made known as the caller's if it is new. */
  touchProject(id: string, by: Identity): Project {
    const known = this.projects.get(id);
    if (known !== undefined) return known;
    const project: Project = {
      id,
      number:
        id === this.defaultProject && this.#projectNumber !== undefined
          ? this.#projectNumber
          : String(100_000_000_000 + hash32(id)),
      foreign: by.kind !== 'owner' && id !== this.defaultProject,
      policy: { version: 1, revision: 1, bindings: [] },
    };
    this.state.transact(() => this.projects.set(id, project));
    return project;
  }

  /** Binds a bearer token to an address with roles on its project (default: owner of it). Repeating it replaces the binding. */
  registerToken(input: { token: string; email: string; project: string; roles?: readonly string[] | undefined }): void {
    const caller: Identity = { kind: 'account', email: input.email, project: input.project };
    this.state.transact(() => {
      this.#tokens.set(input.token, { email: input.email.toLowerCase(), project: input.project });
      this.touchProject(input.project, caller);
      for (const role of input.roles ?? ['roles/owner']) this.grant(input.project, role, this.memberOf(input.email));
    });
  }

  /**
   * Makes a service account (if new) able to sign with this key, as `keys:upload` does. Without `projectRoles` a new account gets
   * roles/storage.admin on its project: this door is for tests and start-up, over the wire nothing is granted by itself.
   */
  registerServiceAccountKey(input: {
    email: string;
    publicKeyPem: string;
    projectRoles?: readonly string[] | undefined;
  }): ServiceAccountKey {
    const email = input.email.toLowerCase();
    return this.state.transact(() => {
      const project = projectOfEmail(email);
      this.touchProject(project, { kind: 'owner' });
      if (this.accounts.get(email) === undefined) this.accounts.set(email, newAccount(email, this.newUniqueId()));
      for (const role of input.projectRoles ?? ['roles/storage.admin'])
        this.grant(project, role, `serviceAccount:${email}`);
      return this.addKey(email, input.publicKeyPem);
    });
  }

  /** Adds a public key (PEM of a key or an X.509 certificate); the same key again is the same key. Throws on an unreadable one. */
  addKey(email: string, publicKeyPem: string): ServiceAccountKey {
    const account = this.accounts.get(email);
    if (account === undefined) throw new Error(`service account ${email} does not exist`);
    const pem = createPublicKey(publicKeyPem).export({ type: 'spki', format: 'pem' });
    const known = account.keys.find((key) => key.publicKeyPem === pem);
    if (known !== undefined) return known;
    const key = { id: keyId(email, pem), publicKeyPem: pem, createdMs: this.clock.now() };
    this.state.transact(() => this.accounts.set(email, { ...account, keys: [...account.keys, key] }));
    return key;
  }

  /** The identity behind an Authorization header; undefined if it is not a credential known here (401). */
  authenticate(authorization: string): Identity | undefined {
    const token = /^Bearer (.+)$/i.exec(authorization.trim())?.[1];
    if (token === undefined) return undefined;
    const known = this.#tokens.get(token);
    if (known !== undefined) return { kind: 'account', email: known.email, project: known.project };
    const email = accountOfJwt(token, this.clock.now(), (address) => this.signingKeys(address));
    return email === undefined ? undefined : { kind: 'account', email, project: projectOfEmail(email) };
  }

  /** Public keys that may sign for this account now: none if it is missing or disabled. */
  signingKeys(email: string): readonly ServiceAccountKey[] {
    const account = this.accounts.get(email);
    return account === undefined || account.disabled ? [] : account.keys;
  }

  /** How policies name this address. */
  memberOf(email: string): string {
    return `${email.endsWith('.gserviceaccount.com') ? 'serviceAccount' : 'user'}:${email.toLowerCase()}`;
  }

  /** Roles of an identity on a project as a whole. The local owner is owner of all that is not foreign. */
  projectRoles(identity: Identity, projectId: string): string[] {
    const project = this.projects.get(projectId);
    if (project === undefined || identity.kind === 'anonymous') return [];
    if (identity.kind === 'owner') return project.foreign ? [] : ['roles/owner'];
    const about = {
      resourceName: `projects/${projectId}`,
      resourceType: 'cloudresourcemanager.googleapis.com/Project',
      nowMs: this.clock.now(),
    };
    return grantedRoles(project.policy, new Set([this.memberOf(identity.email)]), about);
  }

  /** Replaces a project's bindings. Throws PolicyError. */
  setProjectPolicy(projectId: string, input: { version?: unknown; bindings?: unknown }): Project {
    const project = this.touchProject(projectId, { kind: 'owner' });
    const next = normalisePolicy(input, {
      roleAllowed: projectRoleAllowed,
      accountExists: (email) => this.accountExists(email),
    });
    const changed = { ...project, policy: { ...next, revision: project.policy.revision + 1 } };
    this.state.transact(() => this.projects.set(projectId, changed));
    return changed;
  }

  /** Adds one binding to a project. */
  grant(projectId: string, role: string, member: string): void {
    const project = this.touchProject(projectId, { kind: 'owner' });
    const bindings: Binding[] = [...project.policy.bindings, { role, members: [member] }];
    const merged = normalisePolicy(
      { version: 3, bindings },
      { roleAllowed: projectRoleAllowed, accountExists: () => true },
    );
    this.state.transact(() =>
      this.projects.set(projectId, { ...project, policy: { ...merged, revision: project.policy.revision + 1 } }),
    );
  }

  accountExists(email: string): boolean {
    return this.accounts.get(email) !== undefined || this.isServiceAgent(email);
  }

  /** Google's own accounts, which every project has without creating them. */
  isServiceAgent(email: string): boolean {
    return /^service-\d+@gs-project-accounts\.iam\.gserviceaccount\.com$/.test(email);
  }

  /** A numeric id never given before: 21 digits, as Google's. */
  newUniqueId(): string {
    const next = (this.#counters.get('uniqueId') ?? 0) + 1;
    this.state.transact(() => this.#counters.set('uniqueId', next));
    return `1${String(next).padStart(20, '0')}`;
  }
}

/** A service account without keys. */
export function newAccount(email: string, uniqueId: string): ServiceAccount {
  return {
    email,
    project: projectOfEmail(email),
    uniqueId,
    displayName: '',
    description: '',
    disabled: false,
    keys: [],
  };
}

/** "ws-1@my-project.iam.gserviceaccount.com" → "my-project"; other addresses: what follows the "@". */
export function projectOfEmail(email: string): string {
  const domain = email.slice(email.indexOf('@') + 1);
  return domain.endsWith('.iam.gserviceaccount.com') ? domain.slice(0, -'.iam.gserviceaccount.com'.length) : domain;
}

function keyId(email: string, pem: string): string {
  const parts = [0, 1, 2, 3, 4].map((salt) => hash32(`${salt}${email}${pem}`).toString(16).padStart(8, '0'));
  return parts.join('');
}
