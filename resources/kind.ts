import { z } from 'zod';
import type { ReasonClass } from './condition.ts';
import type { Json, JsonObject } from './json.ts';
import type { Reference } from './reference.ts';
import type { Verb } from './verb.ts';

/** A reason of a kind, beyond the engine's own (resources/reasons.ts), with the class it belongs to. */
export interface ReasonSpec {
  readonly reason: string;
  readonly class: ReasonClass;
  readonly meaning: string;
}

/** Why an update is refused: a field, what is allowed there, and a sentence. */
export interface UpdateProblem {
  readonly path: string;
  readonly message: string;
  readonly allowed: Json;
}

/**
 * What can be declared: pure data, no I/O. Field marks stand in the schema as zod metadata:
 * `.meta({ immutable: true })` may not change after creation; `.meta({ sticky: true })` omitted keeps, null clears.
 * References are named by `references`, a pure function of the spec.
 */
export interface Kind<Spec extends z.ZodObject = z.ZodObject, Status extends z.ZodObject = z.ZodObject> {
  /** CamelCase, e.g. "Bucket". */
  readonly name: string;
  /** Lower-case plural, e.g. "buckets". */
  readonly plural: string;
  /** Scope area of keys: "storage" means scopes storage:read, storage:write, storage:delete, storage:*. */
  readonly area: string;
  /** "once": after the effect is acknowledged Ready=True is final and nothing is observed again. */
  readonly lifecycle: 'loop' | 'once';
  /** Holds customers' data: undo window on delete, never re-created empty. */
  readonly holdsData: boolean;
  /** Strict zod object, common fields included (`defineKind` adds them). */
  readonly spec: Spec;
  /** The kind's status fields; every one optional. `external` is where provider-assigned ids live. */
  readonly status: Status;
  /** Fact types of this kind, e.g. ["Created", "PolicyApplied"]. */
  readonly conditions: readonly string[];
  readonly reasons: readonly ReasonSpec[];
  readonly verbs: Readonly<Record<string, Verb>>;
  /** References of a defaulted spec, the one to the Workspace included. Pure. */
  readonly references: (spec: JsonObject, workspace: string, name: string) => readonly Reference[];
  /** Kinds this one may `needs`-refer to: the edges of the rank graph, checked acyclic at start (a kind may need itself). */
  readonly needsKinds: readonly string[];
  /** The platform-wide external name that the row must hold before its first effect, or null. Pure. */
  readonly claims: (spec: JsonObject, workspace: string, name: string) => string | null;
  /** Problems of the name beyond the common rule; null is fine. */
  readonly checkName: (name: string) => string | null;
  /** Fills defaults that depend on the name into the raw spec, before it is parsed. Pure. */
  readonly defaults: (raw: JsonObject, workspace: string, name: string) => JsonObject;
  /** Problems of an update that the field marks cannot say; paths are dotted from the spec. Pure. */
  readonly checkUpdate: (before: JsonObject, after: JsonObject) => readonly UpdateProblem[];
  /** The fields of status that other rows may depend on; a change of these fires `ref:`. Pure. */
  readonly outputs: (status: JsonObject) => JsonObject;
  /** May only be declared with a platform key. */
  readonly platformOnly: boolean;
  /** Scope action that declaring a row needs: "delete" where the row is itself a wish to destroy. */
  readonly declaring: 'write' | 'delete';
  /** For "once" kinds: a finished row becomes a tombstone after this many seconds. */
  readonly ttlAfterFinishedSeconds: number | null;
  /** Default of the common field deletionProtection. */
  readonly protectedByDefault: boolean;
}

export type SpecOf<K> = K extends Kind<infer S> ? z.output<S> : never;
export type StatusOf<K> = K extends Kind<z.ZodObject, infer S> ? z.output<S> : never;

const isoTime = z.iso.datetime({ offset: true });

/** The fields every spec has (kinds.md, Common spec fields). */
export function commonSpec(protectedByDefault: boolean) {
  return {
    deletionPolicy: z.enum(['Delete', 'Orphan']).default('Delete'),
    deletionProtection: z.boolean().default(protectedByDefault).meta({ sticky: true }),
    suspend: z
      .strictObject({ reason: z.string().min(1).max(200), until: isoTime.optional() })
      .nullable()
      .default(null)
      .meta({ sticky: true }),
    managementPolicy: z.enum(['Enforce', 'Observe']).default('Enforce'),
    adopt: z.union([z.literal(false), z.string().min(1).max(256)]).default(false),
    recreate_requested_at: isoTime.nullable().default(null).meta({ sticky: true }),
  };
}

/** What a kind's author writes; the rest has defaults. */
export interface KindInput<Spec extends z.ZodRawShape, Status extends z.ZodRawShape> {
  readonly name: string;
  readonly plural: string;
  readonly area: string;
  readonly lifecycle?: 'loop' | 'once';
  readonly holdsData?: boolean;
  readonly protectedByDefault?: boolean;
  readonly platformOnly?: boolean;
  readonly declaring?: 'write' | 'delete';
  readonly spec: Spec;
  readonly status: Status;
  readonly conditions: readonly string[];
  readonly reasons?: readonly ReasonSpec[];
  readonly verbs?: Readonly<Record<string, Verb>>;
  /** Every row already needs its Workspace: only further references are named here. */
  readonly references?: (spec: JsonObject, workspace: string) => readonly Reference[];
  readonly needsKinds?: readonly string[];
  readonly claims?: (spec: JsonObject, workspace: string, name: string) => string | null;
  readonly checkName?: (name: string) => string | null;
  readonly defaults?: (raw: JsonObject, workspace: string, name: string) => JsonObject;
  readonly checkUpdate?: (before: JsonObject, after: JsonObject) => readonly UpdateProblem[];
  readonly outputs?: (status: JsonObject) => JsonObject;
  readonly ttlAfterFinishedSeconds?: number;
}

/** Seconds a finished `once` row stays: 7 days (architecture §5). */
export const ttlAfterFinishedDefault = 7 * 24 * 3600;

/** Makes a Kind: adds the common fields, the reference to the Workspace, and the defaults. Pure. */
export function defineKind<Spec extends z.ZodRawShape, Status extends z.ZodRawShape>(input: KindInput<Spec, Status>) {
  const lifecycle = input.lifecycle ?? 'loop';
  const protectedByDefault = input.protectedByDefault ?? false;
  const isWorkspace = input.name === 'Workspace';
  const own: Reference[] = [];
  return {
    ...input,
    lifecycle,
    protectedByDefault,
    holdsData: input.holdsData ?? false,
    platformOnly: input.platformOnly ?? false,
    declaring: input.declaring ?? 'write',
    spec: z.strictObject({ ...input.spec, ...commonSpec(protectedByDefault) }),
    status: z.object({ ...input.status }),
    reasons: input.reasons ?? [],
    verbs: input.verbs ?? {},
    references: (spec: JsonObject, workspace: string) => [
      ...(isWorkspace
        ? own
        : [{ mode: 'needs', kind: 'Workspace', name: workspace, path: 'metadata.workspace' } as const]),
      ...(input.references?.(spec, workspace) ?? []),
    ],
    needsKinds: [...(isWorkspace ? [] : ['Workspace']), ...(input.needsKinds ?? [])],
    claims: input.claims ?? (() => null),
    checkName: input.checkName ?? (() => null),
    defaults: input.defaults ?? ((raw: JsonObject) => raw),
    checkUpdate: input.checkUpdate ?? (() => []),
    outputs: input.outputs ?? ((status: JsonObject) => ({ external: status['external'] ?? null })),
    ttlAfterFinishedSeconds: lifecycle === 'once' ? (input.ttlAfterFinishedSeconds ?? ttlAfterFinishedDefault) : null,
  };
}
