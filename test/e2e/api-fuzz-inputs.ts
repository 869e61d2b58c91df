import fc from 'fast-check';
import '#test/support/seeds.ts';
import { bucketManifest, bucketRef } from './api-support.ts';

/** Right inputs, to be bent. */
export const seeds: readonly (readonly [procedure: string, input: unknown])[] = [
  [
    'resources.apply',
    { manifest: bucketManifest('there', { spec: { versioning: true } }), requestId: 'r', ifGeneration: 1 },
  ],
  [
    'resources.apply',
    {
      manifest: bucketManifest('there', {
        metadata: { labels: { a: 'b' }, annotations: { c: 'd' } },
        spec: {
          lifecycle: [{ deleteAfterDays: 1, prefix: 'tmp/' }],
          cors: [{ origin: ['*'], method: ['GET'] }],
          retention: { days: 1, locked: false },
          suspend: { reason: 'x', until: '2030-01-01T00:00:00Z' },
          adopt: 'x',
        },
      }),
    },
  ],
  ['resources.patch', { ...bucketRef('there'), patch: { versioning: null, lifecycle: [] } }],
  ['resources.apply_all', { manifests: [bucketManifest('there'), bucketManifest('b')], requestId: 'all' }],
  ['resources.delete', { ...bucketRef('there'), confirm: 'x', policy: 'Orphan', planHash: 'h' }],
  ['resources.undelete', bucketRef('there')],
  ['resources.get', bucketRef('there')],
  [
    'resources.list',
    { workspace: 'acme', kind: 'Bucket', labels: { a: 'b' }, condition: { type: 'Ready', status: 'True' }, limit: 5 },
  ],
  ['resources.wait', { refs: [{ ...bucketRef('there'), generation: 1 }], until: 'Ready', timeoutMs: 0 }],
  [
    'resources.plan',
    { workspace: 'acme', changes: [{ apply: bucketManifest('there') }, { delete: { kind: 'Bucket', name: 'x' } }] },
  ],
  ['resources.history', { ...bucketRef('there'), limit: 1 }],
  [
    'keys.create',
    { workspace: 'acme', scopes: ['storage:*'], class: 'ci', expires_at: '2999-01-01T00:00:00Z', requestId: 'k' },
  ],
  [
    'replays.create',
    { selector: { workspace: 'acme', kind: 'Bucket', names: ['x'] }, ratePerSecond: 1, requestId: 'p' },
  ],
  ['providers.freeze', { provider: 'gcs', account: 'a', why: 'x', forMs: 1_000 }],
  [
    'decisions.resolve',
    { ...bucketRef('there'), effect: 'create:1', outcome: 'happened', evidence: 'x', requestId: 'd' },
  ],
  ['operations.get', { workspace: 'acme', uid: 'u', key: 'k' }],
  ['storage.buckets.create', { workspace: 'acme', name: 'c', lifecycle: [{ archiveAfterDays: 3 }] }],
  ['storage.delete_object', { workspace: 'acme', bucket: 'there', key: 'a/b', generation: '12' }],
  [
    'storage.presign_upload',
    { workspace: 'acme', bucket: 'there', key: 'a', contentType: 'text/plain', ttlSeconds: 1 },
  ],
];

const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    null,
    '',
    0,
    -1,
    1e308,
    2 ** 53,
    [],
    {},
    [[]],
    '\u0000',
    '\ud800',
    '../..',
    "' or 1=1",
    true,
    '__proto__',
  ),
);
/** A place in the input, and what happens to it. */
export const bend = fc.record({
  at: fc.nat(),
  what: fc.constantFrom('replace', 'remove', 'add', 'wrap'),
  value: odd,
  key: fc.string({ maxLength: 8 }),
});

type Bend = typeof bend extends fc.Arbitrary<infer T> ? T : never;

/** The input with one place bent. */
export function bent(input: unknown, { at, what, value, key }: Bend): unknown {
  const copy: unknown = structuredClone(input);
  const places: { parent: Record<string, unknown>; name: string }[] = [];
  const walk = (parent: unknown): void => {
    if (parent === null || typeof parent !== 'object') return;
    for (const [name, member] of Object.entries(parent)) {
      places.push({ parent: parent as Record<string, unknown>, name });
      walk(member);
    }
  };
  walk(copy);
  const place = places[at % Math.max(1, places.length)];
  if (place === undefined) return value;
  const { parent, name } = place;
  if (what === 'replace') parent[name] = value;
  else if (what === 'remove') delete parent[name];
  else if (what === 'wrap') parent[name] = [parent[name]];
  else if (key !== '__proto__') parent[key] = value;
  return copy;
}
