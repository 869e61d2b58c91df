import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { bucketVerbs } from './bucket-verbs.ts';
import { bucket, externalBucketName } from './bucket.ts';
import type { JsonObject } from './json.ts';
import { kinds } from './kinds.ts';
import { checkName, checkWorkspaceSlug } from './name-rules.ts';
import { checkObjectKey } from './object-key.ts';
import { createKindRegistry } from './registry.ts';

const seed = '0B9D7A5E-1111-4222-8333-444455556666';
const call = (verb: string, input: JsonObject) => {
  const found = bucketVerbs[verb];
  if (found === undefined) throw new Error(`no verb ${verb}`);
  return found.call(found.input.parse(input) as JsonObject, seed);
};
const accepts = (spec: JsonObject): boolean => bucket.spec.safeParse(spec).success;

describe('every kind', () => {
  it.each(kinds.map((kind) => ({ name: kind.name, kind })))(
    '$name has JSON Schemas of its spec, status and verbs',
    ({ kind }) => {
      expect(z.toJSONSchema(kind.spec)).toMatchObject({ type: 'object', additionalProperties: false });
      expect(z.toJSONSchema(kind.status)).toMatchObject({ type: 'object' });
      for (const verb of Object.values(kind.verbs)) {
        expect(z.toJSONSchema(verb.input)).toMatchObject({ type: 'object', additionalProperties: false });
      }
    },
  );

  it('is ranked after what it needs', () => {
    expect(createKindRegistry(kinds).ranks).toEqual({ Workspace: 0, Bucket: 1, ObjectDeletion: 2 });
  });
});

describe("a Bucket's spec", () => {
  it('has the defaults that every door shows', () => {
    expect(bucket.spec.parse({})).toEqual({
      publicRead: false,
      storageClass: 'STANDARD',
      versioning: false,
      cors: [],
      lifecycle: [],
      retention: null,
      objectRetention: false,
      emptyBeforeDelete: false,
      deletionPolicy: 'Delete',
      deletionProtection: false,
      suspend: null,
      managementPolicy: 'Enforce',
      adopt: false,
      recreate_requested_at: null,
    });
  });

  it('turns object retention on by default for the row named default alone, and lets a spec say otherwise', () => {
    expect(bucket.defaults({}, 'acme', 'default')).toEqual({ objectRetention: true });
    expect(bucket.defaults({}, 'acme', 'uploads')).toEqual({});
    expect(bucket.defaults({ objectRetention: false }, 'acme', 'default')).toEqual({ objectRetention: false });
  });

  it.each<[string, JsonObject]>([
    ['a rule without an age', { lifecycle: [{ prefix: 'tmp/' }] }],
    ['a rule with two ages', { lifecycle: [{ deleteAfterDays: 1, archiveAfterDays: 2 }] }],
    ['an age of nothing', { lifecycle: [{ deleteAfterDays: 0 }] }],
    ['half a day', { lifecycle: [{ deleteAfterDays: 0.5 }] }],
    ['more than 100 rules', { lifecycle: Array.from({ length: 101 }, () => ({ deleteAfterDays: 1 })) }],
    ['a retention of 100 years', { retention: { days: 36_525 } }],
    ['a CORS origin with a path', { cors: [{ origin: ['https://a.example/x'], method: ['GET'] }] }],
    ['a CORS rule without a method', { cors: [{ origin: ['*'], method: [] }] }],
    ['an unknown field', { colour: 'red' }],
    ['a storage class of another region', { storageClass: 'MULTI_REGIONAL' }],
    ['a location: it is not a choice', { location: 'us' }],
  ])('refuses %s', (_what, spec) => {
    expect(accepts(spec)).toBe(false);
  });

  it('accepts what the surface promises', () => {
    const lifecycle = [
      { deleteAfterDays: 30, prefix: 'tmp/' },
      { archiveAfterDays: 90 },
      { abortMultipartAfterDays: 1 },
    ];
    const cors = [
      { origin: ['https://app.example:8443', '*'], method: ['GET', 'PUT'], responseHeader: ['Content-Type'] },
    ];
    expect(accepts({ lifecycle, cors, retention: { days: 36_500, locked: true } })).toBe(true);
  });

  it('has a name of at most 63 characters at the provider, bare for the default bucket', () => {
    expect(externalBucketName('acme', 'default')).toBe('vibn-ws-acme');
    expect(externalBucketName('a'.repeat(22), 'b'.repeat(32))).toHaveLength(63);
    expect(bucket.claims({}, 'acme', 'uploads')).toBe('vibn-ws-acme-uploads');
  });
});

describe('an update of a locked retention', () => {
  const before = { retention: { days: 10, locked: true } };
  it.each<[string, JsonObject, string]>([
    ['removing it', { retention: null }, 'retention'],
    ['unlocking it', { retention: { days: 10, locked: false } }, 'retention'],
    ['shortening it', { retention: { days: 9, locked: true } }, 'retention.days'],
  ])('%s is refused with the field and what is allowed', (_what, after, path) => {
    const [problem] = bucket.checkUpdate(before, after);
    expect(problem?.path).toBe(path);
    expect(JSON.stringify(problem?.allowed)).toContain('10');
  });

  it('lengthening it is not, nor is anything while it is unlocked', () => {
    expect(bucket.checkUpdate(before, { retention: { days: 11, locked: true } })).toEqual([]);
    expect(bucket.checkUpdate({ retention: { days: 10, locked: false } }, { retention: null })).toEqual([]);
  });
});

describe('storage verbs', () => {
  it('are those that agents know', () => {
    expect(Object.keys(bucketVerbs)).toEqual([
      'storage.buckets.create',
      'storage.buckets.list',
      'storage.buckets.delete',
      'storage.set_lifecycle',
      'storage.delete_object',
      'storage.presign_upload',
      'storage.presign_download',
      'storage.list_objects',
    ]);
  });

  it('create declares a bucket that must not exist, "default" unless named, and leaves defaults to admission', () => {
    expect(call('storage.buckets.create', { workspace: 'acme' })).toEqual({
      do: 'apply',
      manifest: { kind: 'Bucket', metadata: { workspace: 'acme', name: 'default' }, spec: {} },
      mustNotExist: true,
    });
    expect(call('storage.buckets.create', { workspace: 'acme', name: 'pub', publicRead: true })).toMatchObject({
      manifest: { metadata: { name: 'pub' }, spec: { publicRead: true } },
    });
  });

  it('create refuses a field that a bucket does not have', () => {
    expect(() => call('storage.buckets.create', { workspace: 'acme', region: 'us' })).toThrow(z.ZodError);
  });

  it('delete passes the confirmation on, and none as an empty one', () => {
    const key = { workspace: 'acme', kind: 'Bucket', name: 'pub' };
    expect(call('storage.buckets.delete', { workspace: 'acme', name: 'pub', confirm: 'pub', planHash: 'h' })).toEqual({
      do: 'delete',
      key,
      confirm: 'pub',
      planHash: 'h',
    });
    expect(call('storage.buckets.delete', { workspace: 'acme', name: 'pub' })).toEqual({
      do: 'delete',
      key,
      confirm: '',
    });
  });

  it('set_lifecycle patches the rules alone', () => {
    const lifecycle = [{ deleteAfterDays: 3 }];
    expect(call('storage.set_lifecycle', { workspace: 'acme', bucket: 'pub', lifecycle })).toEqual({
      do: 'patch',
      key: { workspace: 'acme', kind: 'Bucket', name: 'pub' },
      patch: { lifecycle },
    });
  });

  it('delete_object declares an ObjectDeletion under a fresh valid name', () => {
    const wish = call('storage.delete_object', { workspace: 'acme', bucket: 'pub', key: 'a/b', generation: '5' });
    expect(wish).toEqual({
      do: 'apply',
      manifest: {
        kind: 'ObjectDeletion',
        metadata: { workspace: 'acme', name: 'del-0b9d7a5e11114222833344445555' },
        spec: { bucket: 'pub', name: 'a/b', generation: '5' },
      },
      mustNotExist: true,
    });
    expect(checkName('del-0b9d7a5e11114222833344445555')).toBeNull();
  });

  it('delete_object never reaches under backups/', () => {
    expect(() => call('storage.delete_object', { workspace: 'acme', bucket: 'pub', key: 'backups/x' })).toThrow(
      /backups/,
    );
  });

  it('reads name the bucket they are about', () => {
    expect(call('storage.list_objects', { workspace: 'acme', bucket: 'pub' })).toEqual({
      do: 'read',
      op: 'storage.list_objects',
      key: { workspace: 'acme', kind: 'Bucket', name: 'pub' },
      input: { workspace: 'acme', bucket: 'pub', limit: 100 },
    });
  });

  it.each(['text/plain\r\nx: y', 'text', '', 'text/plain, text/html'])(
    'an upload of type "%s" is refused',
    (contentType) => {
      expect(() => call('storage.presign_upload', { workspace: 'acme', bucket: 'pub', key: 'k', contentType })).toThrow(
        z.ZodError,
      );
    },
  );
});

describe('names', () => {
  it.each(['google', 'my-g00gle', 'goo-gle', 'goog1e', 'goog', 'googly'])(
    '"%s" is refused, as the provider would',
    (name) => {
      expect(checkName(name)).toMatch(/google/);
    },
  );

  it('of workspaces have no hyphen, so that no two buckets share an external name', () => {
    expect(checkWorkspaceSlug('acme-co')).not.toBeNull();
    expect(checkWorkspaceSlug('googles')).toMatch(/google/);
    expect(checkWorkspaceSlug('acme')).toBeNull();
  });

  it('of objects are counted in bytes', () => {
    expect(checkObjectKey('é'.repeat(512))).toBeNull();
    expect(checkObjectKey('é'.repeat(513))).toMatch(/1024/);
    expect(checkObjectKey('\ud800')).toMatch(/Unicode/);
  });
});
