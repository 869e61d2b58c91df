import fc from 'fast-check';
import { z } from 'zod';
import { apiVersion } from '#resources/manifest.ts';
import { kinds } from '#resources/kinds.ts';
import type { Kind } from '#resources/kind.ts';
import { valuesOf } from './schema-values.ts';
import type { Hints, Schema } from './schema-values.ts';

/** The JSON Schema of an input, as agents are given it. */
export function schemaOf(type: z.ZodType): Schema {
  return z.toJSONSchema(type, { io: 'input', unrepresentable: 'any' }) as Schema;
}

/** Specs that the schema of a kind allows. `buckets`: names that references may take. */
export function specsOf(kind: Kind, buckets: readonly string[]): fc.Arbitrary<unknown> {
  return valuesOf(schemaOf(kind.spec), { bucket: fc.constantFrom(...buckets), lifecycle });
}

/** What the schema does not say: a rule has exactly one age. */
const lifecycle = fc.array(
  fc
    .tuple(
      fc.constantFrom('deleteAfterDays', 'archiveAfterDays', 'abortMultipartAfterDays'),
      fc.integer({ min: 1, max: 36_500 }),
      fc.option(fc.stringMatching(/^[a-z/]{1,8}$/), { nil: undefined }),
    )
    .map(([age, days, prefix]) => ({ [age]: days, ...(prefix === undefined ? {} : { prefix }) })),
  { maxLength: 3 },
);

/** Manifests of all kinds that tenants declare, as their schemas allow them. */
export function manifestsOf(workspace: string, names: readonly string[]): fc.Arbitrary<unknown> {
  const labels = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.stringMatching(/^[a-z]{0,8}$/), { maxKeys: 2 });
  const of = (kind: Kind): fc.Arbitrary<unknown> =>
    fc.record({
      apiVersion: fc.constant(apiVersion),
      kind: fc.constant(kind.name),
      metadata: fc.record(
        { workspace: fc.constant(workspace), name: fc.constantFrom(...names), labels },
        { requiredKeys: ['workspace', 'name'] },
      ),
      spec: specsOf(kind, names),
    });
  return fc.oneof(...kinds.filter((kind) => kind.name !== 'Workspace').map(of));
}

/** What fields of these names are about in a workspace with these rows. */
export function hintsOf(workspace: string, names: readonly string[]): Hints {
  const manifests = manifestsOf(workspace, names);
  const name = fc.constantFrom(...names);
  const patches = fc.oneof(...kinds.map((kind) => specsOf(kind, names)));
  return {
    workspace: fc.constant(workspace),
    kind: fc.constantFrom(...kinds.map((kind) => kind.name)),
    name,
    bucket: name,
    confirm: name,
    manifest: manifests,
    manifests: fc.array(manifests, { minLength: 1, maxLength: 3 }),
    apply: manifests,
    patch: patches,
    lifecycle,
    names: fc.array(name, { minLength: 1, maxLength: 2 }),
    timeoutMs: fc.constantFrom(0, 1),
    until: fc.constantFrom('Ready', 'Settled', 'Deleted', 'InSync'),
    ifGeneration: fc.integer({ min: 0, max: 3 }),
    // Of the reader or of another call, never of this one: cursors are opaque.
    cursor: fc.constantFrom('made-up', 'WyJ3YXRjaCIsImFjbWUiLDFd'),
  };
}
