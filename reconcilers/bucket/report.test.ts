import { describe, expect, it } from 'vitest';
import { bucket } from '#resources/bucket.ts';
import type { JsonObject } from '#resources/json.ts';
import { classOf } from '#resources/reasons.ts';
import type { BindingView, BucketView } from '#reconcilers/providers/gcs/replies.ts';
import { made, observed, owners, reading, specOf } from './plan-scene.ts';
import { reportBucket } from './report.ts';

interface Sight {
  readonly spec?: JsonObject;
  readonly bucket?: Partial<BucketView>;
  readonly bindings?: readonly BindingView[];
}

function report({ spec = {}, bucket: changes = {}, bindings = [owners] }: Sight = {}) {
  const parsed = specOf(spec);
  const sight = { found: 'readable', bucket: made(parsed, changes) } as const;
  return reportBucket({ state: 'present', spec: parsed }, observed({ sight, policy: { etag: 'e', bindings } }));
}
const facts = (given: ReturnType<typeof report>) =>
  Object.fromEntries(given.facts.map((fact) => [fact.type, `${fact.status} ${fact.reason}`]));

describe('what a user sees of a bucket', () => {
  it('is its external name and place, and three facts', () => {
    expect(report().status).toEqual({
      external: { name: 'vibn-ws-acme-uploads', location: 'northamerica-northeast1' },
    });
    expect(facts(report())).toEqual({
      Created: 'True Created',
      PolicyApplied: 'True PolicyApplied',
      PublicAccessAsDeclared: 'True Private',
    });
  });

  it('is nothing of a bucket that is gone or not ours: what is known stays', () => {
    const spec = specOf();
    const gone = reportBucket({ state: 'present', spec }, observed());
    const sight = { found: 'readable', bucket: made(spec, { labels: {} }) } as const;
    const unmarked = reportBucket({ state: 'present', spec }, observed({ sight }));
    for (const seen of [gone, unmarked]) {
      expect(seen.status).toEqual({});
      expect(facts(seen)).toMatchObject({ Created: 'False NotCreated', PolicyApplied: 'Unknown NotCreated' });
    }
  });

  it('names the settings that differ, sorted', () => {
    const { facts: seen } = report({ bucket: { versioning: true, storageClass: 'ARCHIVE' } });
    expect(seen.find((fact) => fact.type === 'PolicyApplied')).toMatchObject({
      status: 'False',
      message: 'Not as declared: spec.storageClass, spec.versioning.',
    });
  });

  it.each<[string, Sight, string]>([
    ['prevented', { bindings: [reading] }, 'True Private'],
    ['not prevented, nothing given', { bucket: { publicAccessPrevented: false } }, 'True Private'],
    [
      'given against the declaration',
      { bucket: { publicAccessPrevented: false }, bindings: [reading] },
      'False Exposed',
    ],
    ['declared and given', { spec: { publicRead: true }, bindings: [reading] }, 'True PublicRead'],
    ['declared and not given', { spec: { publicRead: true } }, 'False NotExposed'],
    [
      'declared, given and prevented',
      { spec: { publicRead: true }, bucket: { publicAccessPrevented: true }, bindings: [reading] },
      'False NotExposed',
    ],
    [
      'given beyond reading',
      { spec: { publicRead: true }, bindings: [reading, { ...reading, role: 'roles/storage.admin' }] },
      'False Exposed',
    ],
  ])('says of public access %s: %s', (_what, sight, expected) => {
    expect(facts(report(sight))).toMatchObject({ PublicAccessAsDeclared: expected });
  });

  it('uses only reasons that have a class', () => {
    const seen = [
      ...report().facts,
      ...report({ spec: { publicRead: true } }).facts,
      ...report({ bucket: { versioning: true } }).facts,
      ...reportBucket({ state: 'present', spec: specOf() }, observed()).facts,
    ];
    for (const { reason } of seen) expect(classOf(reason, bucket)).not.toBe('internal');
  });
});
