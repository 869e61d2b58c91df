import { z } from 'zod';
import { validationError } from './errors.ts';
import type { Issue } from './errors.ts';
import { issuesOf } from './issues.ts';
import type { JsonObject } from './json.ts';
import type { Kind } from './kind.ts';
import { checkName, checkWorkspaceSlug, namePattern, workspacePattern } from './name-rules.ts';
import type { KindRegistry } from './registry.ts';
import type { ResourceKey } from './resource.ts';

export const apiVersion = 'vibn.dev/v1';

/** Limits of labels and annotations, as Kubernetes users expect them. */
export const labelsMax = 64;
export const labelCharsMax = 63;
export const annotationCharsMax = 4096;

const labelKey = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9_./]*[a-z0-9])?$/)
  .max(labelCharsMax);
const text = (max: number) => z.string().max(max).refine(isStorable, 'Text must be well-formed Unicode without U+0000');

/** Strings that Postgres stores as they are. */
function isStorable(value: string): boolean {
  return value.isWellFormed() && !value.includes('\u0000');
}

const labels = z
  .record(labelKey, text(labelCharsMax))
  .refine((map) => Object.keys(map).length <= labelsMax, `At most ${labelsMax} entries`);
const annotations = z
  .record(labelKey, text(annotationCharsMax))
  .refine((map) => Object.keys(map).length <= labelsMax, `At most ${labelsMax} entries`);

/** The envelope a client sends. Metadata that the server writes may be sent back and is ignored, so that get → edit → apply works. */
export const manifestSchema = z.strictObject({
  apiVersion: z.literal(apiVersion),
  kind: z.string().min(1).max(64),
  metadata: z.strictObject({
    workspace: z.string().max(64),
    name: z.string().max(253),
    labels: labels.default({}),
    annotations: annotations.default({}),
    uid: z.unknown().optional(),
    generation: z.unknown().optional(),
    version: z.unknown().optional(),
    createdAt: z.unknown().optional(),
    updatedAt: z.unknown().optional(),
    owner: z.unknown().optional(),
    deletedAt: z.unknown().optional(),
    undoUntil: z.unknown().optional(),
  }),
  spec: z.record(z.string(), z.json()).default({}),
  status: z.unknown().optional(),
});

/** A manifest whose envelope is right; its spec is still as it was sent. */
export interface Manifest {
  readonly kind: Kind;
  readonly key: ResourceKey;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly rawSpec: JsonObject;
  /** Where it stands in the input: "manifest" or "manifests[3]". */
  readonly path: string;
}

/** Parses one manifest's envelope. Throws VALIDATION with all problems: shape, unknown kind, bad workspace, bad name, bad text. */
export function parseManifest(input: unknown, kinds: KindRegistry, path: string): Manifest {
  const parsed = manifestSchema.safeParse(input);
  if (!parsed.success) throw validationError(issuesOf(parsed.error, path, Object.keys(manifestSchema.shape)));
  const { metadata, spec } = parsed.data;
  const kind = kinds.get(parsed.data.kind);
  const issues = [
    ...(kind === undefined ? [unknownKind(parsed.data.kind, kinds, `${path}.kind`)] : nameIssues(kind, metadata, path)),
    ...unstorable(spec, `${path}.spec`),
  ];
  if (kind === undefined || issues.length > 0) throw validationError(issues);
  return {
    kind,
    key: { workspace: metadata.workspace, kind: kind.name, name: metadata.name },
    labels: metadata.labels,
    annotations: metadata.annotations,
    rawSpec: spec,
    path,
  };
}

/** The problem of a kind that nobody declared. */
export function unknownKind(name: string, kinds: KindRegistry, path: string): Issue {
  return { path, message: `There is no kind "${name.slice(0, 64)}".`, allowed: kinds.all.map((kind) => kind.name) };
}

function nameIssues(kind: Kind, metadata: { workspace: string; name: string }, path: string): Issue[] {
  const slug = checkWorkspaceSlug(metadata.workspace);
  const issues: Issue[] = [];
  if (slug !== null)
    issues.push({ path: `${path}.metadata.workspace`, message: slug, allowed: workspacePattern.source });
  if (kind.name === 'Workspace') {
    if (metadata.name !== metadata.workspace) {
      issues.push({
        path: `${path}.metadata.name`,
        message: 'A Workspace is named by its own slug.',
        allowed: [metadata.workspace],
      });
    }
    return issues;
  }
  const problem = kind.checkName(metadata.name) ?? checkName(metadata.name);
  if (problem !== null) issues.push({ path: `${path}.metadata.name`, message: problem, allowed: namePattern.source });
  return issues;
}

/** Strings of a spec that Postgres could not store: one issue each. */
function unstorable(value: unknown, path: string): Issue[] {
  if (typeof value === 'string') {
    return isStorable(value)
      ? []
      : [{ path, message: 'Text must be well-formed Unicode without U+0000.', allowed: null }];
  }
  if (Array.isArray(value)) return value.flatMap((item, index) => unstorable(item, `${path}[${index}]`));
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, member]) => [
    ...unstorable(key, path),
    ...unstorable(member, `${path}.${key.slice(0, 64)}`),
  ]);
}
