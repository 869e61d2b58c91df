import { z } from 'zod';
import type { ReasonClass } from '#resources/condition.ts';
import { engineReasons } from '#resources/reasons.ts';
import type { Json } from '#resources/json.ts';
import type { Kind } from '#resources/kind.ts';
import type { Verb } from '#resources/verb.ts';
import { kindOf } from '#api/context.ts';
import type { ApiDeps } from '#api/context.ts';
import { requestIdInput } from './inputs.ts';

export const schemaInput = z.strictObject({ kind: z.string().min(1).max(64) });

export interface KindSummary {
  readonly kind: string;
  readonly plural: string;
  readonly lifecycle: 'loop' | 'once';
  readonly holdsData: boolean;
  readonly verbs: readonly string[];
  readonly conditions: readonly string[];
}

export function listKinds(deps: ApiDeps): readonly KindSummary[] {
  return deps.kinds.all.map(({ name, plural, lifecycle, holdsData, verbs, conditions }) => ({
    kind: name,
    plural,
    lifecycle,
    holdsData,
    verbs: Object.keys(verbs),
    conditions,
  }));
}

export interface KindSchema {
  readonly kind: string;
  readonly spec: Json;
  readonly status: Json;
  readonly reasons: readonly { readonly reason: string; readonly class: ReasonClass; readonly meaning: string }[];
  readonly verbs: readonly { readonly name: string; readonly input: Json }[];
}

export function kindSchema(deps: ApiDeps, input: { readonly kind: string }): KindSchema {
  const kind = kindOf(deps, input.kind);
  return {
    kind: kind.name,
    spec: jsonSchema(kind.spec),
    status: jsonSchema(kind.status),
    reasons: reasonsOf(kind),
    verbs: Object.entries(kind.verbs).map(([name, verb]) => ({ name, input: jsonSchema(verbInput(verb)) })),
  };
}

/** A verb's input as the API takes it: one that changes something may carry a requestId. */
export function verbInput(verb: Verb): z.ZodObject {
  return verb.mutates ? verb.input.safeExtend({ requestId: requestIdInput.optional() }) : verb.input;
}

/** The kind's own reasons, then those that the engine gives to every kind. */
function reasonsOf(kind: Kind): KindSchema['reasons'] {
  const engine = engineReasons.map(({ reason, class: name }) => ({ reason, class: name, meaning: meaningOf[name] }));
  return [...kind.reasons, ...engine];
}

/** What a class of reasons means to whoever reads a condition (conditions.md, Reasons). */
const meaningOf: Readonly<Record<ReasonClass, string>> = {
  none: 'All is as declared.',
  progress: 'Work goes on, or is planned; it leaves by itself.',
  dependency: 'A referenced row is missing, not usable yet, or going.',
  spec: 'The declaration cannot be carried out; change the spec.',
  credential: 'The provider refuses our credential; an operator must act.',
  quota: 'A limit of the provider or of the workspace is reached.',
  provider: 'The provider is unavailable, or refused.',
  ownership: 'The name belongs to something that is not ours.',
  money: 'A price, a budget, a balance or an approval stands in the way.',
  drift: 'The world differs from the declaration.',
  admin: 'A person, a protection or a deadline holds it back.',
  backup: 'A backup is late, missing or not proved.',
  unknown: 'Whether a change happened is not known yet.',
  internal: 'A fault of ours; an operator must look.',
};

function jsonSchema(schema: z.ZodType): Json {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Json;
}
