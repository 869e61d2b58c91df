import { describe, expect, it } from 'vitest';
import { makeRow, testKinds } from '#resources/testing.ts';
import type { JsonObject } from '#resources/json.ts';
import type { Action } from '#controller/contract.ts';
import { desiredOf, forbiddenForOrphan, hasDependents, isRemovedUnseen, needs, takesAway } from './deletion.ts';

const action = (effect: Action['effect']): Action => ({ type: effect, effect, risk: 'free' });
const note = testKinds.get('Note');

describe('deletion', () => {
  it('is a desired state: absent once the row has deleted_at', () => {
    expect(desiredOf(makeRow({ spec: { text: 'a' } }))).toEqual({ state: 'present', spec: { text: 'a' } });
    expect(desiredOf(makeRow({ deletedAt: 5, deletionPolicy: 'Orphan' }))).toEqual({
      state: 'absent',
      policy: 'Orphan',
      spec: {},
    });
  });

  it('of a row that is only observed needs neither an action nor a look', () => {
    const spec = { managementPolicy: 'Observe' };
    expect(isRemovedUnseen(makeRow({ deletedAt: 5, spec }))).toBe(true);
    expect(isRemovedUnseen(makeRow({ spec }))).toBe(false);
    expect(isRemovedUnseen(makeRow({ deletedAt: 5 }))).toBe(false);
  });

  it('leaves the object where it is when it orphans: only our mark goes, and the children', () => {
    const orphan = desiredOf(makeRow({ deletedAt: 5, deletionPolicy: 'Orphan' }));
    expect(forbiddenForOrphan(orphan, [action('declare'), action('operation'), action('release')])).toBeNull();
    expect(forbiddenForOrphan(orphan, [action('release'), action('delete')])?.effect).toBe('delete');
    expect(forbiddenForOrphan(desiredOf(makeRow({ deletedAt: 5 })), [action('delete')])).toBeNull();
  });

  it('takes our object away by delete and release alone', () => {
    const effects = ['create', 'update', 'delete', 'release', 'declare', 'operation'] as const;
    expect(effects.filter((effect) => takesAway(action(effect)))).toEqual(['delete', 'release']);
  });

  it('is held up by rows that need this one, not by rows of other workspaces or names', () => {
    const wanted = { workspace: 'acme', kind: 'Note', name: 'one' };
    const row = makeRow({ name: 'two', spec: { after: 'one' } });
    expect(needs(note, row, wanted)).toBe(true);
    expect(needs(note, makeRow({ name: 'two', spec: { after: 'three' } }), wanted)).toBe(false);
    expect(needs(note, { ...row, workspace: 'other' }, wanted)).toBe(false);
  });

  const spec = (value: unknown) => ({ value }) as JsonObject;
  it.each([
    ['names it', spec('one'), true],
    ['names it in a list', spec([{ bucket: 'one' }]), true],
    ['names it in a key', spec({ one: 'a' }), true],
    ['names it with its workspace', spec('acme/one'), true],
    ['names it in a text', spec(`\${one.url}`), true],
    ['names a longer one', spec('one-more'), false],
    ['names one that ends alike', spec('phone'), false],
    ['names another', spec(['two', 1, null, true]), false],
  ])('is held up by a row of a kind that this build does not know, if it %s', (_how, mentioned, isHeld) => {
    const row = makeRow({ kind: 'Newer', name: 'two', spec: mentioned });
    expect(needs(undefined, row, { workspace: 'acme', kind: 'Note', name: 'one' })).toBe(isHeld);
    expect(needs(undefined, row, { workspace: 'other', kind: 'Note', name: 'one' })).toBe(false);
  });

  it('of a workspace is held up by every row of it, whatever its kind', () => {
    const row = makeRow({ kind: 'Newer', name: 'two', spec: {} });
    expect(needs(undefined, row, { workspace: 'acme', kind: 'Workspace', name: 'acme' })).toBe(true);
    expect(needs(undefined, row, { workspace: 'other', kind: 'Workspace', name: 'other' })).toBe(false);
  });

  it('names at most ten dependents, sorted, and says nothing that moves', () => {
    const keys = Array.from({ length: 12 }, (_, index) => ({
      workspace: 'acme',
      kind: 'Note',
      name: `n${11 - index}`,
    }));
    const refusal = hasDependents(makeRow({}), keys, 0);
    expect(refusal.message.match(/Note\/acme\/n/g)).toHaveLength(10);
    expect(refusal.message).toBe(hasDependents(makeRow({}), keys.toReversed(), 0).message);
    expect(refusal).toMatchObject({ as: 'DeletionBlocked', clearsOn: ['refers:Note/acme/one'] });
  });

  it('speaks of children where nothing else needs it', () => {
    expect(hasDependents(makeRow({}), [], 2).message).toContain('still owns rows');
  });
});
