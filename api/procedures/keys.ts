import { z } from 'zod';
import type { ApiKeyRow } from '#controller/store/rows.ts';
import { ApiError, notFound, validationError } from '#resources/errors.ts';
import type { Json } from '#resources/json.ts';
import type { KeyClass, Ms } from '#resources/resource.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { newKeyId } from '#api/key-text.ts';
import { newKey } from '#api/new-key.ts';
import type { NewKey } from '#api/new-key.ts';
import { badCursor, decodeCursor, encodeCursor } from '#api/cursors.ts';
import type { ApiOptions } from '#api/options.ts';
import { doOnce, earlierResults } from '#api/requests.ts';
import { allows, requirePlatform, requireScope, requireWorkspace, scopePattern } from '#api/scopes.ts';
import { tenantOf } from '#api/tenant.ts';
import { cursorInput, idInput, requestIdInput, storable, workspaceInput } from './inputs.ts';

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

export const listKeysInput = (limits: Pick<ApiOptions, 'listLimitDefault' | 'listLimitMax'>) =>
  z.strictObject({
    workspace: workspaceInput.nullable().optional(),
    limit: z.int().min(1).max(limits.listLimitMax).default(limits.listLimitDefault),
    cursor: cursorInput.optional(),
  });
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
  const { workspace, requestId } = input;
  const before = await madeBefore(deps, call, { workspace, requestId, input });
  if (before !== null) return before;
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
  const { workspace } = old;
  const before = await madeBefore(deps, call, { workspace, requestId: input.requestId, input });
  if (before !== null) return before;
  if (old.revokedAt !== null) {
    throw new ApiError('PRECONDITION_FAILED', 'A revoked key is not rotated. Make a new one with keys.create.');
  }
  refuseGreaterRate(deps, call, old.ratePerSecond);
  const expiresAt = lifeOf(deps, call, input.expires_at);
  return store(deps, call, { input, made: { ...old, expiresAt } });
}

/** The key that an equal request has made: its secret was shown then. Null: there is none. */
async function madeBefore(
  deps: ApiDeps,
  call: Call,
  request: { readonly workspace: string | null; readonly requestId: string | undefined; readonly input: object },
): Promise<CreatedKey | null> {
  const earlier = await earlierResults(deps, call, request);
  return earlier === null ? null : alreadyCreated(earlier.results);
}

function alreadyCreated(results: Json): CreatedKey {
  return { id: (results as { id: string }).id, secret: null, alreadyCreated: true };
}

/** Of two equal requests at once, one makes the key and shows it. */
async function store(
  deps: ApiDeps,
  call: Call,
  {
    input,
    made,
  }: { readonly input: { readonly requestId?: string | undefined }; readonly made: Omit<NewKey, 'createdAt'> },
): Promise<CreatedKey> {
  const mint = { env: deps.keyEnv, hmacSecret: deps.keyHmacSecret };
  const { row, text } = newKey(mint, { ...made, createdAt: deps.clock.now() });
  const { id } = row;
  const { repeated, results } = await doOnce(deps, call, {
    workspace: made.workspace,
    requestId: input.requestId,
    input,
    results: { id },
    id,
    act: async (recording) => {
      const holdingMax = deps.options.keysPerWorkspaceMax;
      const holding = await deps.stores.admin.createKey(call.scope, row, { recording, holdingMax });
      if (holding !== null) throw tooManyKeys({ workspace: row.workspace, holding, max: holdingMax });
    },
  });
  return repeated ? alreadyCreated(results) : { ...keyAnswer(row), secret: text };
}

/** Keys of a workspace, oldest first; null, or nothing said with a platform key: the platform's own. */
export async function listKeys(
  deps: ApiDeps,
  call: Call,
  input: z.output<ReturnType<typeof listKeysInput>>,
): Promise<{ readonly items: readonly KeyAnswer[]; readonly nextCursor: string | null }> {
  const workspace = input.workspace === undefined ? call.principal.workspace : input.workspace;
  mayManage(call, workspace, 'read');
  const { limit, cursor } = input;
  const after = cursor === undefined ? {} : { after: keyAt(cursor) };
  const { items, more } = await deps.stores.admin.listKeys(call.scope, { workspace, limit, ...after });
  const last = more ? items.at(-1) : undefined;
  const nextCursor = last === undefined ? null : encodeCursor('keys', [last.createdAt, last.id]);
  return { items: items.map(keyAnswer), nextCursor };
}

function keyAt(cursor: string): Pick<ApiKeyRow, 'createdAt' | 'id'> {
  const [createdAt, id] = decodeCursor('keys', cursor);
  if (!isTime(createdAt) || typeof id !== 'string') throw badCursor();
  return { createdAt, id };
}

const yearTenThousand = Date.UTC(10_000, 0);

/** What is written with a year of four digits: the database reads no other. */
function isTime(value: unknown): value is Ms {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < yearTenThousand;
}

/** Revokes a key: it fails everywhere within 5 s. Revoking twice is revoking once. */
export async function revokeKey(
  deps: ApiDeps,
  call: Call,
  input: z.output<typeof keyIdInput>,
): Promise<KeyAnswer & { readonly replayed: boolean }> {
  const row = await findKey(deps, call, input.id);
  mayManage(call, row.workspace, 'write');
  const { repeated } = await doOnce(deps, call, {
    workspace: row.workspace,
    requestId: input.requestId,
    input,
    results: { id: row.id },
    act: async (recording) => {
      if (!(await deps.stores.admin.revokeKey(call.scope, row.id, recording))) throw notFound();
    },
  });
  deps.auth.forget(row.id);
  return { ...keyAnswer(await findKey(deps, call, row.id)), replayed: repeated };
}

/** The key, if it is of a workspace that the caller may see. */
async function findKey(deps: ApiDeps, call: Call, id: string): Promise<ApiKeyRow> {
  const row = await deps.stores.admin.findKey(id, `calls of ${tenantOf(call.principal)}`);
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

function tooManyKeys(found: {
  readonly workspace: string | null;
  readonly holding: number;
  readonly max: number;
}): ApiError {
  const { workspace, holding, max } = found;
  const whose = workspace === null ? 'The platform' : `Workspace "${workspace}"`;
  return new ApiError('QUOTA_EXCEEDED', `${whose} has ${holding} keys that hold; at most ${max} may.`, {
    allowed: { max },
    current: holding,
    remedy: [{ id: 'see-keys', call: { proc: 'keys.list', input: { workspace } }, destructive: false, needs: 'admin' }],
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
