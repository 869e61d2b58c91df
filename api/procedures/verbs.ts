import type { JsonObject } from '#resources/json.ts';
import { apiVersion } from '#resources/manifest.ts';
import type { Kind } from '#resources/kind.ts';
import type { Verb, VerbCall } from '#resources/verb.ts';
import { procedureBase } from '#api/context.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { withPaths } from '#api/errors.ts';
import { notFound } from '#resources/errors.ts';
import { requireScope, requireWorkspace } from '#api/scopes.ts';
import { apply, patch } from './apply.ts';
import type { Conditions } from './apply.ts';
import { verbInput } from './kinds.ts';
import { list } from './read.ts';
import { remove } from './remove.ts';

/**
 * The verbs of all kinds, by their dotted names: each is a pure function from its input to one of the generic procedures. Nothing here
 * knows a kind.
 */
export function verbProcedures(deps: ApiDeps) {
  const mounted = deps.kinds.all.flatMap((kind) =>
    Object.entries(kind.verbs).map(([name, verb]) => [name, verbProcedure(deps, kind, verb)] as const),
  );
  return Object.fromEntries(mounted);
}

function verbProcedure(deps: ApiDeps, kind: Kind, verb: Verb) {
  const procedure = procedureBase(deps).input(verbInput(verb));
  const answer = ({ ctx, input }: { ctx: Call; input: unknown }) => runVerb(deps, ctx, { kind, verb, input });
  return verb.mutates ? procedure.mutation(answer) : procedure.query(answer);
}

async function runVerb(
  deps: ApiDeps,
  call: Call,
  given: { readonly kind: Kind; readonly verb: Verb; readonly input: unknown },
): Promise<unknown> {
  const { kind, verb } = given;
  const input = given.input as JsonObject;
  const { requestId, ...body } = input;
  const asked = verb.call(body, deps.rng.uuid());
  requireWorkspace(call.principal, workspaceOf(asked, body));
  requireScope(call.principal, kind.area, verb.scope);
  const conditions = {
    ...(typeof requestId === 'string' ? { requestId } : {}),
    scope: verb.scope === 'delete' ? ('delete' as const) : ('write' as const),
    input,
  };
  return withPaths(verbPaths, () => carryOut(deps, call, { asked, conditions }));
}

/** A verb's fields are the spec's own, or name what the manifest is of. */
const verbPaths = [
  ['manifest.spec.', ''],
  ['manifest.metadata.', ''],
  ['patch.', ''],
] as const;

function workspaceOf(asked: VerbCall, body: JsonObject): string {
  switch (asked.do) {
    case 'apply':
      return asked.manifest.metadata.workspace;
    case 'patch':
    case 'delete':
      return asked.key.workspace;
    case 'list':
      return asked.workspace;
    case 'read':
      return asked.key?.workspace ?? (typeof body['workspace'] === 'string' ? body['workspace'] : '');
  }
}

async function carryOut(
  deps: ApiDeps,
  call: Call,
  { asked, conditions }: { readonly asked: VerbCall; readonly conditions: Conditions },
): Promise<unknown> {
  switch (asked.do) {
    case 'apply': {
      const exists = asked.mustNotExist === true ? { ifGeneration: 0 } : {};
      return apply(deps, call, { ...conditions, ...exists, manifest: { apiVersion, ...asked.manifest } });
    }
    case 'patch':
      return patch(deps, call, { ...conditions, key: asked.key, patch: asked.patch });
    case 'delete': {
      const { key, confirm, planHash } = asked;
      return remove(deps, call, { ...conditions, key, confirm, planHash });
    }
    case 'list': {
      const { workspace, kind, limit = deps.options.listLimitDefault, cursor } = asked;
      return list(deps, call, { workspace, kind, limit, cursor });
    }
    case 'read':
      return readVerb(deps, call, asked);
  }
}

/** Only a row that is there is asked about at a provider. */
async function readVerb(deps: ApiDeps, call: Call, asked: VerbCall & { readonly do: 'read' }): Promise<unknown> {
  const { op, key, input } = asked;
  if (key !== undefined && (await deps.stores.resources.get(call.scope, key)) === null) throw notFound();
  return deps.reader.read({ op, key: key ?? null, input, traceId: call.traceId });
}
