import { z } from 'zod';
import type { ListQuery } from '#controller/store/resource-store.ts';
import { projectResource } from '#resources/conditions.ts';
import { notFound, validationError } from '#resources/errors.ts';
import type { Resource, ResourceKey, ResourceView } from '#resources/resource.ts';
import { kindOf } from '#api/context.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { badCursor, decodeCursor, encodeCursor } from '#api/cursors.ts';
import { allows, requireScope, requireWorkspace } from '#api/scopes.ts';
import { watchCursor } from '#api/watch-cursor.ts';
import {
  conditionInput,
  cursorInput,
  defined,
  idInput,
  keyInput,
  keyOf,
  labelsInput,
  workspaceInput,
} from './inputs.ts';

export const getInput = z.strictObject(keyInput);

export const listInput = (limits: { readonly listLimitDefault: number; readonly listLimitMax: number }) =>
  z.strictObject({
    workspace: workspaceInput.optional(),
    kind: z.string().min(1).max(64).optional(),
    labels: labelsInput.optional(),
    condition: conditionInput.optional(),
    owner: idInput.optional(),
    limit: z.int().min(1).max(limits.listLimitMax).default(limits.listLimitDefault),
    cursor: cursorInput.optional(),
  });

export interface ListAnswer {
  readonly items: readonly Resource[];
  readonly nextCursor: string | null;
  /** Where a watch goes on from this list; null for a list of all workspaces. */
  readonly watchCursor: string | null;
}

/** A row that the key may read, or NOT_FOUND. */
export async function readable(deps: ApiDeps, call: Call, input: ResourceKey): Promise<ResourceView> {
  const kind = kindOf(deps, input.kind);
  requireWorkspace(call.principal, input.workspace);
  requireScope(call.principal, kind.area, 'read');
  const view = await deps.stores.resources.get(call.scope, keyOf(input));
  if (view === null) throw notFound();
  return view;
}

export async function get(deps: ApiDeps, call: Call, input: ResourceKey): Promise<Resource> {
  return projectResource(await readable(deps, call, input));
}

/** The kinds whose rows a key may read; null: all. */
export function readableKinds(deps: ApiDeps, call: Call, kind: string | undefined): ReadonlySet<string> | null {
  if (kind !== undefined) {
    requireScope(call.principal, kindOf(deps, kind).area, 'read');
    return null;
  }
  const some = deps.kinds.all.filter((one) => allows(call.principal.scopes, one.area, 'read'));
  if (some.length === deps.kinds.all.length) return null;
  return new Set(some.map((one) => one.name));
}

/** Lists rows in the order workspace, kind, name. Rows of kinds that the key may not read are left out. */
export async function list(
  deps: ApiDeps,
  call: Call,
  input: z.output<ReturnType<typeof listInput>>,
): Promise<ListAnswer> {
  const workspace = input.workspace ?? call.principal.workspace ?? undefined;
  if (workspace !== undefined) requireWorkspace(call.principal, workspace);
  const kinds = readableKinds(deps, call, input.kind);
  const { kind, labels, owner, limit, cursor } = input;
  const condition = input.condition === undefined ? undefined : defined(input.condition);
  const query = defined({ workspace, kind, labels, condition, owner }) as Omit<ListQuery, 'limit'>;
  const after = cursor === undefined ? undefined : keyAt(cursor, workspace);
  const page = await readPage(deps, call, { query, limit, after, kinds });
  return {
    items: page.views.map(projectResource),
    nextCursor: page.last === null ? null : encodeCursor('list', [page.last.workspace, page.last.kind, page.last.name]),
    watchCursor:
      workspace === undefined || page.version === null ? null : watchCursor({ workspace, version: page.version }),
  };
}

interface Page {
  readonly views: readonly ResourceView[];
  /** The last key looked at, if there is more after it. */
  readonly last: ResourceKey | null;
  readonly version: number | null;
}

/** Pages looked through for one answer when the key may not read all kinds: 20 of 500 rows. */
const pagesMax = 20;

async function readPage(
  deps: ApiDeps,
  call: Call,
  input: {
    readonly query: Omit<ListQuery, 'limit'>;
    readonly limit: number;
    readonly after: ResourceKey | undefined;
    readonly kinds: ReadonlySet<string> | null;
  },
): Promise<Page> {
  const views: ResourceView[] = [];
  let { after } = input;
  let version: number | null = null;
  for (let round = 0; round < pagesMax; round += 1) {
    const page = await deps.stores.resources.list(call.scope, {
      ...input.query,
      limit: input.limit - views.length,
      ...(after === undefined ? {} : { after }),
    });
    version ??= page.version;
    views.push(...page.items.filter((view) => input.kinds === null || input.kinds.has(view.row.kind)));
    after = page.items.at(-1)?.row ?? after;
    if (!page.more) return { views, last: null, version };
    if (views.length >= input.limit) break;
  }
  return { views, last: after ?? null, version };
}

function keyAt(cursor: string, workspace: string | undefined): ResourceKey {
  const [at, kind, name] = decodeCursor('list', cursor);
  if (typeof at !== 'string' || typeof kind !== 'string' || typeof name !== 'string') throw badCursor();
  if (workspace !== undefined && at !== workspace) {
    throw validationError([{ path: 'cursor', message: 'The cursor belongs to another list.', allowed: null }]);
  }
  return { workspace: at, kind, name };
}
