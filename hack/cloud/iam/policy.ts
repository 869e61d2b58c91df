// IAM policies as every Google API keeps them: bindings of a role to members, perhaps under a condition, guarded by an etag.

import { createHash } from 'node:crypto';
import { isConditionValid, type ConditionAttributes, conditionHolds } from './condition.ts';

export interface Condition {
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  readonly expression: string;
}

export interface Binding {
  readonly role: string;
  readonly members: readonly string[];
  readonly condition?: Condition | undefined;
}

/** A policy as stored: normalised bindings and a counter that the etag is made of. */
export interface StoredPolicy {
  readonly version: 1 | 3;
  readonly revision: number;
  readonly bindings: readonly Binding[];
}

/** Why a policy was refused: terminal, for the caller to put in its API's form. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
}

/** Principals in one policy (IAM quotas page). */
const PRINCIPALS_MAX = 1_500;

const MEMBER_FORMS: readonly RegExp[] = [
  /^(allUsers|allAuthenticatedUsers)$/,
  /^(user|serviceAccount|group):[^\s@:]+@[^\s@:]+\.[^\s@:]+$/,
  /^domain:[a-z0-9.-]+\.[a-z]+$/,
  /^project(Owner|Editor|Viewer):[a-z0-9.:-]+$/,
  /^principal(Set)?:\/\/[^\s]+$/,
  /^deleted:(user|serviceAccount|group):[^\s@]+@[^\s@]+\?uid=\d+$/,
];

/** What a caller may send; anything else in it is ignored, as the APIs do (the Storage SDK sends a broken resourceId). */
interface PolicyInput {
  version?: unknown;
  bindings?: unknown;
}

/** The checks that differ between resources. */
export interface PolicyRules {
  /** Whether the role can be granted here. */
  roleAllowed(role: string): boolean;
  /** For addresses under iam.gserviceaccount.com: whether the account exists. */
  accountExists(email: string): boolean;
}

/**
 * Checks and normalises a policy to be stored: members lower-cased after the prefix, de-duplicated and sorted, bindings with the same
 * role and condition merged, empty ones dropped, sorted by role and condition. Throws PolicyError.
 */
export function normalisePolicy(input: PolicyInput, rules: PolicyRules): { version: 1 | 3; bindings: Binding[] } {
  const version = input.version ?? 1;
  if (version !== 0 && version !== 1 && version !== 3)
    throw new PolicyError(`Invalid policy version: ${JSON.stringify(version)}. Use 1 or 3.`);
  if (input.bindings !== undefined && !Array.isArray(input.bindings)) throw new PolicyError('bindings must be a list.');
  const merged = new Map<string, Binding>();
  for (const raw of (input.bindings ?? []) as unknown[]) mergeBinding(merged, readBinding(raw, rules));
  const bindings = [...merged.values()]
    .filter((binding) => binding.members.length > 0)
    .sort((a, b) => (bindingKey(a) < bindingKey(b) ? -1 : 1));
  const conditional = bindings.some((binding) => binding.condition !== undefined);
  if (conditional && version !== 3) throw new PolicyError('Policy version must be 3 for a policy with conditions.');
  const principals = new Set(bindings.flatMap((binding) => binding.members));
  if (principals.size > PRINCIPALS_MAX)
    throw new PolicyError(`A policy may name at most ${PRINCIPALS_MAX} principals; this one names ${principals.size}.`);
  return { version: conditional ? 3 : 1, bindings };
}

function readBinding(raw: unknown, rules: PolicyRules): Binding {
  const binding = (raw ?? {}) as { role?: unknown; members?: unknown; condition?: unknown };
  if (typeof binding.role !== 'string' || !rules.roleAllowed(binding.role)) {
    throw new PolicyError(
      `Role ${typeof binding.role === 'string' ? binding.role : JSON.stringify(binding.role)} is not supported for this resource.`,
    );
  }
  if (binding.members !== undefined && !Array.isArray(binding.members))
    throw new PolicyError('members must be a list.');
  const members = ((binding.members ?? []) as unknown[]).map((member) => readMember(member, rules));
  return { role: binding.role, members, condition: readCondition(binding.condition) };
}

function readMember(raw: unknown, rules: PolicyRules): string {
  if (typeof raw !== 'string' || !MEMBER_FORMS.some((form) => form.test(raw))) {
    throw new PolicyError(
      `Invalid member: ${JSON.stringify(raw)}. Use allUsers, allAuthenticatedUsers, user:, serviceAccount:, group:, domain:, projectOwner:, projectEditor: or projectViewer:.`,
    );
  }
  const colon = raw.indexOf(':');
  const member = /^(user|serviceAccount|group|domain):/.test(raw)
    ? raw.slice(0, colon + 1) + raw.slice(colon + 1).toLowerCase()
    : raw;
  const email = member.startsWith('serviceAccount:') ? member.slice('serviceAccount:'.length) : '';
  if (email.endsWith('.iam.gserviceaccount.com') && !rules.accountExists(email))
    throw new PolicyError(`Service account ${email} does not exist.`);
  return member;
}

function readCondition(raw: unknown): Condition | undefined {
  if (raw === undefined || raw === null) return undefined;
  const { title, description, expression } = raw as { title?: unknown; description?: unknown; expression?: unknown };
  if (typeof expression !== 'string' || !isConditionValid(expression)) {
    throw new PolicyError(`Invalid condition expression: ${JSON.stringify(expression)}.`);
  }
  if (typeof title !== 'string' || title === '') throw new PolicyError('A condition needs a title.');
  return typeof description === 'string' ? { title, description, expression } : { title, expression };
}

function mergeBinding(merged: Map<string, Binding>, binding: Binding): void {
  const key = bindingKey(binding);
  const members = new Set([...(merged.get(key)?.members ?? []), ...binding.members]);
  merged.set(key, { ...binding, members: [...members].sort((a, b) => (a < b ? -1 : 1)) });
}

function bindingKey(binding: Binding): string {
  return binding.condition === undefined ? binding.role : `${binding.role} ${JSON.stringify(binding.condition)}`;
}

/** A policy as answered. Version 1 hides conditions, which is why writing such a reading back would drop them. */
export function policyBody(
  policy: StoredPolicy,
  requestedVersion: number,
): { version: number; etag: string; bindings: object[] } {
  const shown = policy.bindings.map((binding) =>
    binding.condition !== undefined && requestedVersion >= 3
      ? { role: binding.role, members: binding.members, condition: binding.condition }
      : {
          role: binding.condition === undefined ? binding.role : hiddenConditionRole(binding),
          members: binding.members,
        },
  );
  return { version: requestedVersion >= 3 ? policy.version : 1, etag: counterEtag(policy.revision), bindings: shown };
}

/** IAM names a conditional binding role_withcond_<hash> to those who asked for version 1. */
function hiddenConditionRole(binding: Binding): string {
  const hash = createHash('sha256').update(JSON.stringify(binding.condition)).digest('hex');
  return `${binding.role}_withcond_${hash.slice(0, 20)}`;
}

/** The roles that a policy gives to any of these members on the thing described. */
export function grantedRoles(policy: StoredPolicy, members: ReadonlySet<string>, about: ConditionAttributes): string[] {
  return policy.bindings
    .filter((binding) => binding.members.some((member) => members.has(member)))
    .filter((binding) => binding.condition === undefined || conditionHolds(binding.condition.expression, about))
    .map((binding) => binding.role);
}

/** Google's etag of a counter: a protobuf message with the counter as field 1, in base64 ("CAE=" for 1). */
export function counterEtag(...counters: readonly (number | bigint)[]): string {
  const bytes: number[] = [];
  counters.forEach((counter, index) => {
    bytes.push(((index + 1) << 3) | 0);
    let rest = BigInt(counter);
    while (rest >= 128n) {
      bytes.push(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    bytes.push(Number(rest));
  });
  return Buffer.from(bytes).toString('base64');
}
