import { describe, expect, it } from 'vitest';
import { keyText } from '#resources/reference.ts';
import type { Principal, ResourceRow } from '#resources/resource.ts';
import { agent, human, makeRow, testKinds } from '#resources/testing.ts';
import type { MutationSnapshot } from '#resources/mutation.ts';
import { declareInput, isDeclare, isOperation, refusedChildren } from './declare.ts';
import { createOptions } from '#controller/options.ts';
import { makeFacts } from './pass-facts-testing.ts';
import { settlePass } from '#controller/settle.ts';

const owner = makeRow({ uid: 'owner', name: 'owner', generation: 4 });
const workspace = makeRow({ uid: 'ws', kind: 'Workspace', name: 'acme' });
const settle = settlePass(
  makeFacts({ outcome: { type: 'acted', effect: 'declare', steps: [] } }),
  createOptions().engine,
);
const child = (name: string, after?: string) => ({
  slot: name,
  manifest: { kind: 'Note', name, spec: after === undefined ? {} : { after } },
});

function input(names: readonly ReturnType<typeof child>[], by: Principal = human) {
  let made = 0;
  const uuid = (): string => `uid-of-child-${(made += 1)}`;
  const revision = { generation: 4, spec: {}, by, requestId: null, approved: [], confirmed: false, at: 1 };
  return declareInput({ settle, owner, revision, children: names, kinds: testKinds, uuid });
}
function snapshot(rows: readonly ResourceRow[], children: readonly ResourceRow[] = []): MutationSnapshot {
  const byKey = new Map([...rows, ...children].map((row) => [keyText(row), row]));
  return { now: 5, version: 9, rows: byKey, children, request: null, plan: null };
}

describe('declare', () => {
  it('reads its owner, the Workspace, the children and what their specs refer to', () => {
    const { reads } = input([child('a', 'b')]);
    expect(reads.map(keyText).toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
      'Note/acme/a',
      'Note/acme/b',
      'Note/acme/owner',
      'Workspace/acme/acme',
    ]);
  });

  it('writes a row for each new slot, with a uid of its own and as whoever declared this generation of the owner', () => {
    const writes = input([child('a'), child('b')], agent).decide(snapshot([owner, workspace]));
    expect(owner.createdBy).not.toEqual(agent);
    expect(writes).toMatchObject([
      { op: 'insert', uid: 'uid-of-child-1', owner: { uid: 'owner', slot: 'a' }, by: agent },
      { op: 'insert', uid: 'uid-of-child-2', owner: { uid: 'owner', slot: 'b' } },
    ]);
  });

  it('gives up a child that is no longer named', () => {
    const old = makeRow({ uid: 'old', name: 'old', ownerUid: 'owner', slot: 'old' });
    expect(input([]).decide(snapshot([owner, workspace], [old]))).toMatchObject([{ op: 'delete', uid: 'old' }]);
  });

  it('writes nothing for an owner whose spec has moved, or that is another row by now', () => {
    for (const now of [
      { ...owner, generation: 5 },
      { ...owner, uid: 'other' },
    ]) {
      expect(input([child('a')]).decide(snapshot([now, workspace]))).toEqual({ refused: 'moved' });
    }
    expect(input([child('a')]).decide(snapshot([workspace]))).toEqual({ refused: 'moved' });
  });

  it('ends its pass as superseded, waiting or stalled when it is refused', () => {
    const refusal = { slot: 'a', message: 'why' };
    expect(refusedChildren(owner, 'moved').type).toBe('superseded');
    expect(refusedChildren(owner, { ...refusal, reason: 'DependencyDeleting' })).toMatchObject({ type: 'blocked' });
    expect(refusedChildren(owner, { ...refusal, reason: 'SpecInvalid' })).toMatchObject({
      type: 'stalled',
      reason: 'SpecInvalid',
      clearsOn: ['spec:owner'],
    });
  });

  it('and operation are told from a kind’s own actions by name and effect', () => {
    const free = { risk: 'free' } as const;
    expect(isDeclare({ ...free, type: 'declare', effect: 'declare' })).toBe(true);
    expect(isDeclare({ ...free, type: 'declare', effect: 'update' })).toBe(false);
    expect(isOperation({ ...free, type: 'operation', effect: 'operation' })).toBe(true);
    expect(isOperation({ ...free, type: 'backup', effect: 'operation' })).toBe(false);
  });
});
