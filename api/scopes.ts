import { ApiError, httpStatusOf, notFound } from '#resources/errors.ts';
import type { ErrorCode } from '#resources/errors.ts';
import type { KeyClass, Principal } from '#resources/resource.ts';

/**
 * What a key may do. A scope is `area:action`, with `*` for either, or `*` alone: all. No action implies another:
 * `storage:write` does not read. Foreign workspaces are NOT_FOUND, never FORBIDDEN, so that nothing can be probed.
 */
export const scopePattern = /^(\*|(\*|[a-z][a-z0-9_-]{0,31}):(\*|[a-z][a-z_]{0,31}))$/;

/** Whether the key's scopes cover `area:action`. */
export function allows(scopes: readonly string[], area: string, action: string): boolean {
  return scopes.some((scope) => {
    if (scope === '*') return true;
    const [scopeArea, scopeAction] = scope.split(':');
    return (scopeArea === '*' || scopeArea === area) && (scopeAction === '*' || scopeAction === action);
  });
}

/** Throws FORBIDDEN if the key lacks the scope. Ask `requireWorkspace` first. */
export function requireScope(principal: Principal, area: string, action: string): void {
  if (allows(principal.scopes, area, action)) return;
  throw new ApiError('FORBIDDEN', `This key lacks the scope ${area}:${action}. Use a key that has it.`, {
    allowed: [`${area}:${action}`, `${area}:*`],
    current: [...principal.scopes],
  });
}

/** A NOT_FOUND that is a denial: audited, and to the caller the same as any other. */
class ForeignWorkspace extends ApiError {
  constructor() {
    super('NOT_FOUND', notFound().message);
  }
}

const denials: ReadonlySet<ErrorCode> = new Set(
  (Object.keys(httpStatusOf) as ErrorCode[]).filter((code) => httpStatusOf[code] === 403),
);

/** Whether an error denies what the key may not do, rather than what nobody may: such attempts are audited. */
export function isDenial(error: unknown): error is ApiError {
  return error instanceof ForeignWorkspace || (error instanceof ApiError && denials.has(error.data.code));
}

/** Throws NOT_FOUND if the workspace is not the key's own; platform keys may use all. */
export function requireWorkspace(principal: Principal, workspace: string): void {
  if (principal.workspace !== null && principal.workspace !== workspace) throw new ForeignWorkspace();
}

/** Throws FORBIDDEN unless the key is platform-wide. */
export function requirePlatform(principal: Principal): void {
  if (principal.workspace === null) return;
  throw new ApiError('FORBIDDEN', 'This call needs a platform key; this key belongs to one workspace.', {
    allowed: ['platform'],
    current: 'workspace',
  });
}

/** Throws FORBIDDEN unless the key is of one of the classes. */
export function requireClass(principal: Principal, classes: readonly KeyClass[]): void {
  if (classes.includes(principal.class)) return;
  throw new ApiError('FORBIDDEN', `This call needs a key of class ${classes.join(' or ')}.`, {
    allowed: [...classes],
    current: principal.class,
  });
}
