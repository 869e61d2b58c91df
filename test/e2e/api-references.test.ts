import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shardOf } from '#resources/shard.ts';
import { testKinds } from '#resources/testing.ts';
import { pooled } from '#test/support/pooler/pooled.ts';
import { startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';

/** Kinds whose rows refer to each other: a Note may need another Note; a Letter is `once`. */
let api: TestApi;
beforeAll(async () => {
  api = await startApi({ kinds: testKinds });
});
afterAll(() => api.close());

const note = (name: string, spec: object = {}, kind = 'Note') => ({
  apiVersion: 'vibn.dev/v1',
  kind,
  metadata: { workspace: 'acme', name },
  spec,
});
const ref = (name: string) => ({ workspace: 'acme', kind: 'Note', name });
const apply = (name: string, spec: object = {}) => api.call('resources.apply', { manifest: note(name, spec) });

describe('references', () => {
  it('may be new in a patch: the rows that it leads to are looked at', async () => {
    await apply('far');
    await apply('middle', { after: 'far' });
    await apply('near');
    const { status, data } = await api.call('resources.patch', { ...ref('near'), patch: { after: 'middle' } });
    expect(status).toBe(200);
    expect(data).toMatchObject({ spec: { after: 'middle' } });
  });

  it('of a patch must lead somewhere', async () => {
    const { error } = await api.call('resources.patch', { ...ref('near'), patch: { after: 'absent' } });
    expect(error.data).toMatchObject({ code: 'VALIDATION', path: 'patch.after' });
  });

  it('make no circle: by one apply, by a patch, or within one apply_all', async () => {
    expect((await apply('self', { after: 'self' })).error.data).toMatchObject({ code: 'CYCLE', httpStatus: 400 });
    const patched = await api.call('resources.patch', { ...ref('far'), patch: { after: 'near' } });
    expect(patched.error.data.code).toBe('CYCLE');
    const manifests = [note('ring-1', { after: 'ring-2' }), note('ring-2', { after: 'ring-1' })];
    expect((await api.call('resources.apply_all', { manifests })).error.data.code).toBe('CYCLE');
    expect((await api.call('resources.get', ref('ring-1'))).status).toBe(404);
  });

  it('do not point at what is being deleted', async () => {
    await apply('leaving');
    await api.call('resources.delete', { ...ref('leaving'), confirm: 'leaving' });
    expect((await apply('late', { after: 'leaving' })).error.data).toMatchObject({
      code: 'VALIDATION',
      path: 'manifest.spec.after',
    });
  });
});

describe('rows that are not free to change', () => {
  it('keep immutable fields', async () => {
    await apply('placed', { place: 'desk' });
    expect((await apply('placed', { place: 'wall' })).error.data).toMatchObject({
      code: 'VALIDATION',
      path: 'manifest.spec.place',
      allowed: 'desk',
    });
  });

  it.skipIf(pooled)('belong to their owner, which is named', async () => {
    await apply('parent');
    await apply('child');
    own('child', 'parent');
    const edited = await api.call('resources.patch', { ...ref('child'), patch: { text: 'mine' } });
    expect(edited).toMatchObject({ status: 409, error: { data: { code: 'IN_USE', current: 'Note/acme/parent' } } });
    expect(edited.error.message).toContain('Note/acme/parent');
    const deleted = await api.call('resources.delete', { ...ref('child'), confirm: 'child' });
    expect(deleted.error.data).toMatchObject({ code: 'IN_USE', current: 'Note/acme/parent' });
    const paused = await api.call('resources.patch', { ...ref('child'), patch: { paused: true } });
    expect(paused.data).toMatchObject({ spec: { paused: true }, metadata: { owner: { name: 'parent', slot: 'one' } } });
    const tree = await api.call('resources.tree', ref('parent'));
    expect(tree.data).toMatchObject({ root: { children: [{ ref: { name: 'child' }, slot: 'one' }] } });
  });
});

/** As after the parent's `declare`. */
function own(child: string, parent: string): void {
  const tables = api.tables().shards.get(shardOf('acme'));
  const rows = [...(tables?.rows.values() ?? [])];
  const [row, owner] = [child, parent].map((name) => rows.find((one) => one.name === name));
  if (tables === undefined || row === undefined || owner === undefined) throw new Error('no rows');
  tables.rows.set(row.uid, { ...row, ownerUid: owner.uid, slot: 'one' });
}
