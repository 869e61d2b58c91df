import { externalBucketName } from '#resources/bucket.ts';
import type { JsonObject } from '#resources/json.ts';
import { sameJson } from '#resources/json.ts';
import type { Clouds } from '#test/simulation/clouds.ts';
import { keyOf, workspaceName } from './scenario.ts';
import type { Drift, Named, Scenario } from './scenario.ts';

/** A bucket as Cloud Storage answers it. */
interface WireBucket {
  readonly name: string;
  readonly location: string;
  readonly storageClass: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly versioning?: { readonly enabled: boolean };
  readonly lifecycle?: { readonly rule: readonly { readonly condition: { readonly age?: number } }[] };
  readonly cors?: readonly unknown[];
  readonly iamConfiguration?: {
    readonly publicAccessPrevention?: string;
    readonly uniformBucketLevelAccess?: { readonly enabled: boolean };
  };
  readonly retentionPolicy?: { readonly retentionPeriod: string };
  readonly website?: JsonObject;
  readonly metageneration: string;
}

/** Asks the provider as the project's owner: not a worker's call, so no effect. */
function ask(clouds: Clouds, request: { method: string; path: string; body?: JsonObject }): unknown {
  const { method, path, body } = request;
  const [route = '', query = ''] = path.split('?');
  const delivery = clouds.gcs.door.handle({
    method,
    path: route.startsWith('/upload/') ? route : `/storage/v1${route}`,
    query,
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: Buffer.from(JSON.stringify(body)) }),
  });
  if (delivery.kind === 'lost' || delivery.response.status >= 400) return null;
  return delivery.response.body ?? null;
}

/** The bucket of that name at the provider, or null. */
export function bucketAt(clouds: Clouds, name: string): WireBucket | null {
  return ask(clouds, { method: 'GET', path: `/b/${name}` }) as WireBucket | null;
}

/** All buckets of the project. */
export function bucketsOf(clouds: Clouds): readonly WireBucket[] {
  const answer = ask(clouds, { method: 'GET', path: '/b?project=vibn-local' }) as {
    items?: readonly WireBucket[];
  } | null;
  return answer?.items ?? [];
}

interface WirePolicy {
  readonly etag: string;
  readonly bindings?: readonly { readonly role: string; readonly members: readonly string[] }[];
}

/** Who may do what with a bucket, or null. */
export function policyAt(clouds: Clouds, name: string): WirePolicy | null {
  return ask(clouds, { method: 'GET', path: `/b/${name}/iam` }) as WirePolicy | null;
}

function isPublic(clouds: Clouds, name: string): boolean {
  return (policyAt(clouds, name)?.bindings ?? []).some(({ members }) => members.includes('allUsers'));
}

const nameOf = (row: Pick<Named, 'workspace' | 'name'>): string => externalBucketName(row.workspace, row.name);
const ours = (clouds: Clouds, row: Named): WireBucket | null => {
  const found = bucketAt(clouds, nameOf(row));
  return found?.labels?.['vibn-uid'] === row.uid ? found : null;
};

function change(name: string, patch: JsonObject): Drift {
  return {
    name,
    mutate: (clouds, row) => void ask(clouds, { method: 'PATCH', path: `/b/${nameOf(row)}`, body: patch }),
  };
}

const iamChange = (fields: JsonObject): JsonObject => ({ iamConfiguration: fields });
const readers = 'roles/storage.objectViewer';

/** Gives a role to somebody, or takes every grant to the public away, as the bucket's users would. */
function grant(name: string, member: string | null): Drift {
  return {
    name,
    mutate(clouds, row) {
      const found = policyAt(clouds, nameOf(row));
      const kept = (found?.bindings ?? []).filter((one) => member !== null || !one.members.includes('allUsers'));
      const bindings = member === null ? kept : [...kept, { role: readers, members: [member] }];
      if (member === 'allUsers') {
        const open = iamChange({ publicAccessPrevention: 'inherited' });
        ask(clouds, { method: 'PATCH', path: `/b/${nameOf(row)}`, body: open });
      }
      const body = { etag: found?.etag ?? '', bindings: bindings.map(({ role, members }) => ({ role, members })) };
      ask(clouds, { method: 'PUT', path: `/b/${nameOf(row)}/iam`, body });
    },
  };
}

const rule = (age: number): JsonObject => ({ action: { type: 'Delete' }, condition: { age } });
const cors: JsonObject = { origin: ['https://a.example'], method: ['GET'], responseHeader: [], maxAgeSeconds: 60 };
const secondsPerDay = 86_400;

function matches(clouds: Clouds, row: Named, spec: JsonObject): boolean {
  const found = ours(clouds, row);
  if (found === null) return false;
  // Rules are a set at the provider, and each has one age.
  const declared = (spec['lifecycle'] ?? []) as readonly Readonly<Record<string, unknown>>[];
  const ages = declared.flatMap((one) => Object.values(one).filter((value) => typeof value === 'number'));
  const have = (found.lifecycle?.rule ?? []).map((one) => one.condition.age);
  const { days = 0 } = (spec['retention'] ?? {}) as { readonly days?: number };
  const access = found.iamConfiguration;
  return (
    found.labels?.['workspace'] === row.workspace &&
    found.storageClass === (spec['storageClass'] ?? 'STANDARD') &&
    (found.versioning?.enabled ?? false) === (spec['versioning'] ?? false) &&
    new Set(have).symmetricDifference(new Set(ages)).size === 0 &&
    (found.cors?.length ?? 0) === ((spec['cors'] as unknown[] | undefined)?.length ?? 0) &&
    Number(found.retentionPolicy?.retentionPeriod ?? 0) === days * secondsPerDay &&
    access?.uniformBucketLevelAccess?.enabled === true &&
    (access.publicAccessPrevention === 'enforced') === (spec['publicRead'] !== true) &&
    // Where it is prevented, what the policy grants to the public gives nobody anything.
    (spec['publicRead'] !== true || isPublic(clouds, nameOf(row)))
  );
}

/** A bucket of our name: with a mark that is somebody else's, or with none. */
function plantForeign(clouds: Clouds, name: string, labels: JsonObject): () => boolean {
  const body = { name, location: 'NORTHAMERICA-NORTHEAST1', labels };
  ask(clouds, { method: 'POST', path: '/b?project=vibn-local', body });
  const before = bucketAt(clouds, name);
  return () => before !== null && sameJson(bucketAt(clouds, name), before);
}

const common = {
  kind: 'Bucket',
  needs: [],
  objects: (clouds: Clouds, row: Named) => (ours(clouds, row) === null ? 0 : 1),
  matches,
  whenGone: 'stalled' as const,
  destroy: (clouds: Clouds, row: Named) => void ask(clouds, { method: 'DELETE', path: `/b/${nameOf(row)}` }),
  untraceable: false,
  lagMs: 8_000,
  sameCounts: true,
};

/** Bucket over the local cloud's Cloud Storage. */
export const bucketScenario: Scenario = {
  ...common,
  title: 'Bucket',
  sample: { versioning: true, lifecycle: [{ deleteAfterDays: 30 }], cors: [cors] },
  update: { versioning: true, lifecycle: [{ deleteAfterDays: 60 }], storageClass: 'NEARLINE' },
  drifts: [
    change('versioning', { versioning: { enabled: false } }),
    change('storageClass', { storageClass: 'COLDLINE' }),
    change('lifecycle', { lifecycle: { rule: [rule(1)] } }),
    change('cors', { cors: null }),
    change('publicAccessPrevention', iamChange({ publicAccessPrevention: 'inherited' })),
    change('uniformBucketLevelAccess', iamChange({ uniformBucketLevelAccess: { enabled: false } })),
    change('retention', { retentionPolicy: { retentionPeriod: String(secondsPerDay) } }),
    change('the label workspace', { labels: { workspace: 'meddled' } }),
    grant('a grant to the public', 'allUsers'),
  ],
  unmanaged: [
    {
      ...change('a label of theirs', { labels: { team: 'web' } }),
      kept: (clouds, row) => ours(clouds, row)?.labels?.['team'] === 'web',
    },
    {
      ...change('website', { website: { mainPageSuffix: 'index.html' } }),
      kept: (clouds, row) => sameJson(ours(clouds, row)?.website, { mainPageSuffix: 'index.html' }),
    },
    {
      ...grant('a grant to somebody', 'user:ann@a.example'),
      kept: (clouds, row) =>
        (policyAt(clouds, nameOf(row))?.bindings ?? []).some((one) => one.members.includes('user:ann@a.example')),
    },
  ],
  foreign: {
    'of somebody else': (clouds, key) => plantForeign(clouds, nameOf(key), { 'vibn-uid': 'somebody-else' }),
    'without a mark': (clouds, key) => plantForeign(clouds, nameOf(key), {}),
  },
};

/** A bucket that everybody may read, and that keeps its objects for a day. */
export const publicBucketScenario: Scenario = {
  ...common,
  title: 'Bucket, public',
  readInParts: true,
  sample: { publicRead: true, retention: { days: 1 } },
  update: { publicRead: false, retention: { days: 2 } },
  drifts: [
    grant('the grant to the public', null),
    change('publicAccessPrevention', iamChange({ publicAccessPrevention: 'enforced' })),
    change('retention', { retentionPolicy: null }),
  ],
  unmanaged: [],
  foreign: null,
};

function put(clouds: Clouds, bucket: string, name: string): void {
  const path = `/upload/storage/v1/b/${bucket}/o?uploadType=media&name=${name}`;
  ask(clouds, { method: 'POST', path, body: { text: 'x' } });
}

const data: NonNullable<Scenario['data']> = {
  fill: (clouds, row) => ['a.txt', 'a.txt', 'b.txt'].forEach((name) => put(clouds, nameOf(row), name)),
  count(clouds, row) {
    const listed = ask(clouds, { method: 'GET', path: `/b/${nameOf(row)}/o?versions=true` });
    return (listed as { items?: readonly unknown[] } | null)?.items?.length ?? 0;
  },
};

/** A bucket that holds objects, an older version of one among them, and is emptied when it is deleted. */
export const fullBucketScenario: Scenario = {
  ...common,
  title: 'Bucket, full',
  sample: { versioning: true, emptyBeforeDelete: true },
  update: { versioning: true, emptyBeforeDelete: true, storageClass: 'NEARLINE' },
  drifts: [],
  unmanaged: [],
  foreign: null,
  destroy: null,
  data,
};

function adopted(name: string): JsonObject {
  return { adopt: nameOf({ workspace: workspaceName, name }) };
}

/** A bucket that outlives its row, and is taken back when it is declared again. */
export const keptBucketScenario: Scenario = {
  ...fullBucketScenario,
  title: 'Bucket, kept',
  sample: { versioning: true, deletionPolicy: 'Orphan', ...adopted('subject') },
  update: { versioning: true, deletionPolicy: 'Orphan', storageClass: 'NEARLINE', ...adopted('subject') },
  own: adopted,
  kept: (clouds, row) => bucketAt(clouds, nameOf(row)) !== null && data.count(clouds, row) > 0,
};

const doomed = { bucket: externalBucketName(workspaceName, 'files'), name: 'doomed.txt' };
const doomedAt = (clouds: Clouds): unknown =>
  ask(clouds, { method: 'GET', path: `/b/${doomed.bucket}/o/${doomed.name}` });

/** ObjectDeletion: one object goes, once. */
export const objectDeletionScenario: Scenario = {
  kind: 'ObjectDeletion',
  title: 'ObjectDeletion',
  needs: [{ key: keyOf('Bucket', 'files'), spec: {} }],
  plant(clouds) {
    put(clouds, doomed.bucket, doomed.name);
    if (doomedAt(clouds) === null) throw new Error('the object could not be planted');
  },
  sample: { bucket: 'files', name: doomed.name },
  update: null,
  objects: () => 0,
  matches: (clouds) => doomedAt(clouds) === null,
  drifts: [],
  unmanaged: [],
  foreign: null,
  whenGone: 'nothing',
  destroy: null,
  untraceable: false,
  lagMs: 8_000,
  sameCounts: true,
};
