import { z } from 'zod';
import type { ApiKeyRow } from '#controller/store/rows.ts';
import { errorCode } from '#controller/store/sql-errors.ts';
import { ApiError, notFound, validationError } from '#resources/errors.ts';
import type { KeyClass, Ms } from '#resources/resource.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { hashSecret, mintKey, newKeyId } from '#api/key-text.ts';
import { audited, remember } from '#api/requests.ts';
import { allows, requirePlatform, requireScope, requireWorkspace, scopePattern } from '#api/scopes.ts';
import { idInput, requestIdInput, storable, workspaceInput } from './inputs.ts';

const classes = ['agent', 'human', 'ci', 'sre'] as const;

export const createKeyInput = z.strictObject({
  /** Null: a platform key. */
  workspace: workspaceInput.nullable(),
  name: storable(64).default(''),
  class: z.enum(classes).default('agent'),
  scopes: z.array(z.string().regex(scopePattern, 'A scope is "area:action", with * for either')).min(1).max(64),
  expires_at: z.iso.datetime({ offset: true }).nullable().default(null),
  /** Procedures a second; null: the platform's default. */
  ratePerSecond: z.int().min(1).max(100_000).nullable().default(null),
  requestId: requestIdInput.optional(),
});

export const listKeysInput = z.strictObject({ workspace: workspaceInput.nullable().optional() });
export const keyIdInput = z.strictObject({ id: idInput, requestId: requestIdInput.optional() });

/** A key without its secret. Times are ISO-8601. */
export interface KeyAnswer {
  readonly id: string;
  readonly name: string;
  readonly workspace: string | null;
  readonly class: KeyClass;
  readonly scopes: readonly string[];
  readonly lineage: string;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  readonly lastUsedAt: string | null;
  readonly ratePerSecond: number | null;
}

/** What making a key answers: the whole bearer text as `secret`, once. */
export type CreatedKey =
  | (KeyAnswer & { readonly secret: string })
  | { readonly id: string; readonly secret: null; readonly alreadyCreated: true };

/** Makes a key that can do no more than the one that asks for it. */
export async function createKey(
  deps: ApiDeps,
  call: Call,
  input: z.output<typeof createKeyInput>,
): Promise<CreatedKey> {
  mayManage(call, input.workspace, 'write');
  refuseEscalation(call, input);
  const expiresAt = lifeOf(deps, call, input.expires_at);
  const ratePerSecond = input.ratePerSecond ?? call.caller.ratePerSecond;
  refuseGreaterRate(deps, call, ratePerSecond);
  return store(deps, call, { input, made: { ...input, expiresAt, ratePerSecond, lineage: newKeyId() } });
}

export const rotateKeyInput = z.strictObject({
  id: idInput,
  expires_at: z.iso.datetime({ offset: true }).nullable().default(null),
  requestId: requestIdInput.optional(),
});

/** Makes a successor with the same class, scopes, rate and lineage. The old key holds until it is revoked, so that both overlap. */
export async function rotateKey(
  deps: ApiDeps,
  call: Call,
  input: z.output<typeof rotateKeyInput>,
): Promise<CreatedKey> {
  const old = await findKey(deps, call, input.id);
  mayManage(call, old.workspace, 'write');
  refuseEscalation(call, old);
  if (old.revokedAt !== null) {
    throw new ApiError('PRECONDITION_FAILED', 'A revoked key is not rotated. Make a new one with keys.create.');
  }
  refuseGreaterRate(deps, call, old.ratePerSecond);
  const expiresAt = lifeOf(deps, call, input.expires_at);
  return store(deps, call, { input, made: { ...old, expiresAt } });
}

/** SQLSTATE: the id is taken. */
const uniqueViolation = '23505';

type NewKey = Pick<ApiKeyRow, 'name' | 'workspace' | 'class' | 'scopes' | 'lineage' | 'expiresAt' | 'ratePerSecond'>;

/** The id is remembered before the key is stored: a repeat after a crash between the two makes the same key, and shows it. */
async function store(
  deps: ApiDeps,
  call: Call,
  { input, made }: { readonly input: { readonly requestId?: string | undefined }; readonly made: NewKey },
): Promise<CreatedKey> {
  const { requestId } = input;
  const { workspace } = made;
  const first = await remember(deps, call, { workspace, requestId, input, results: { id: newKeyId() } });
  const { id } = first.results;
  if (first.repeated && (await deps.stores.admin.findKey(id)) !== null)
    return { id, secret: null, alreadyCreated: true };
  const { text, secret } = mintKey(deps.keyEnv, id);
  const row: ApiKeyRow = {
    id,
    secretHash: hashSecret(deps.keyHmacSecret, secret),
    name: made.name,
    workspace,
    class: made.class,
    scopes: made.scopes,
    ratePerSecond: made.ratePerSecond,
    lineage: made.lineage,
    expiresAt: made.expiresAt,
    createdAt: deps.clock.now(),
    revokedAt: null,
    lastUsedAt: null,
  };
  try {
    await deps.stores.admin.createKey(call.scope, row);
  } catch (error) {
    // An equal request was quicker: it has shown the secret of the key that is stored.
    if (requestId !== undefined && errorCode(error) === uniqueViolation)
      return { id, secret: null, alreadyCreated: true };
    throw error;
  }
  await audited(deps, call, { workspace, input: { ...input, id } });
  return { ...keyAnswer(row), secret: text };
}

/** Keys of a workspace; null, or nothing said with a platform key: the platform's own. */
export async function listKeys(
  deps: ApiDeps,
  call: Call,
  input: z.output<typeof listKeysInput>,
): Promise<{ readonly items: readonly KeyAnswer[] }> {
  const workspace = input.workspace === undefined ? call.principal.workspace : input.workspace;
  mayManage(call, workspace, 'read');
  const rows = await deps.stores.admin.listKeys(call.scope, workspace);
  return { items: rows.map(keyAnswer) };
}

/** Revokes a key: it fails everywhere within 5 s. Revoking twice is revoking once. */
export async function revokeKey(
  deps: ApiDeps,
  call: Call,
  input: z.output<typeof keyIdInput>,
): Promise<KeyAnswer & { readonly replayed: boolean }> {
  const row = await findKey(deps, call, input.id);
  mayManage(call, row.workspace, 'write');
  const { requestId } = input;
  const { repeated } = await remember(deps, call, {
    workspace: row.workspace,
    requestId,
    input,
    results: { id: row.id },
  });
  if (!(await deps.stores.admin.revokeKey(call.scope, row.id))) throw notFound();
  deps.auth.forget(row.id);
  if (!repeated) await audited(deps, call, { workspace: row.workspace, input });
  return { ...keyAnswer(await findKey(deps, call, row.id)), replayed: repeated };
}

/** The key, if it is of a workspace that the caller may see. */
async function findKey(deps: ApiDeps, call: Call, id: string): Promise<ApiKeyRow> {
  const row = await deps.stores.admin.findKey(id);
  if (row === null) throw notFound();
  if (call.principal.workspace !== null && row.workspace === null) throw notFound();
  if (row.workspace !== null) requireWorkspace(call.principal, row.workspace);
  return row;
}

function mayManage(call: Call, workspace: string | null, action: 'read' | 'write'): void {
  if (workspace === null) requirePlatform(call.principal);
  else requireWorkspace(call.principal, workspace);
  requireScope(call.principal, 'keys', action);
}

/** Agents and CI make agents and CI; only a platform key of class human or sre makes an sre key. */
const mayMake: Readonly<Record<KeyClass, readonly KeyClass[]>> = {
  agent: ['agent', 'ci'],
  ci: ['agent', 'ci'],
  human: ['agent', 'ci', 'human', 'sre'],
  sre: ['agent', 'ci', 'human', 'sre'],
};

function refuseEscalation(call: Call, wanted: { readonly class: KeyClass; readonly scopes: readonly string[] }): void {
  const { principal } = call;
  const allowed = mayMake[principal.class].filter((one) => one !== 'sre' || principal.workspace === null);
  if (!allowed.includes(wanted.class)) {
    throw new ApiError('FORBIDDEN', `A key of class ${principal.class} can't make one of class ${wanted.class}.`, {
      path: 'class',
      allowed,
      current: wanted.class,
    });
  }
  const beyond = wanted.scopes.filter((scope) => !covers(principal.scopes, scope));
  if (beyond.length === 0) return;
  throw new ApiError('FORBIDDEN', `This key can't give scopes that it lacks: ${beyond.slice(0, 10).join(', ')}.`, {
    path: 'scopes',
    allowed: [...principal.scopes],
    current: [...wanted.scopes],
  });
}

/** Whether all that `scope` allows is allowed already. */
function covers(scopes: readonly string[], scope: string): boolean {
  const [area = '*', action = '*'] = scope === '*' ? ['*', '*'] : scope.split(':');
  return allows(scopes, area, action);
}

/** A tenant has no say in its own rate: its keys give at most the rate they have. Platform keys set any. */
function refuseGreaterRate(deps: ApiDeps, call: Call, ratePerSecond: number | null): void {
  const standard = deps.options.ratePerSecondDefault;
  const max = call.caller.ratePerSecond ?? standard;
  if (call.principal.workspace === null || (ratePerSecond ?? standard) <= max) return;
  throw new ApiError('FORBIDDEN', `This key can't give a rate above its own, ${max} procedures a second.`, {
    path: 'ratePerSecond',
    allowed: { max },
    current: ratePerSecond,
  });
}

/** When a new key ends: at the time asked for, else with the key that makes it; never later than that key, or no key would ever end. */
function lifeOf(deps: ApiDeps, call: Call, time: string | null): Ms | null {
  const own = call.caller.expiresAt;
  const asked = futureTime(deps, time) ?? own;
  if (own === null || asked === null || asked <= own) return asked;
  const max = new Date(own).toISOString();
  throw new ApiError('FORBIDDEN', `This key ends at ${max} and can't make one that lives longer.`, {
    path: 'expires_at',
    allowed: { max },
    current: time,
  });
}

function futureTime(deps: ApiDeps, time: string | null): Ms | null {
  if (time === null) return null;
  const at = Date.parse(time);
  if (at > deps.clock.now()) return at;
  throw validationError([{ path: 'expires_at', message: 'A key expires in the future.', allowed: null }]);
}

function keyAnswer(row: ApiKeyRow): KeyAnswer {
  const iso = (ms: Ms | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  const { id, name, workspace, scopes, lineage, ratePerSecond } = row;
  return {
    id,
    name,
    workspace,
    class: row.class,
    scopes,
    lineage,
    ratePerSecond,
    createdAt: new Date(row.createdAt).toISOString(),
    expiresAt: iso(row.expiresAt),
    revokedAt: iso(row.revokedAt),
    lastUsedAt: iso(row.lastUsedAt),
  };
}
