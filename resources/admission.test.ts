import { describe, expect, test } from 'vitest';
import { admitDelete, admitUndelete } from './admit-delete.ts';
import { admitApply, desiredDigest, workspaceRowsMax } from './admission.ts';
import type { AdmissionContext } from './admission.ts';
import { admitChildren } from './children.ts';
import { needsDepthMax } from './admit-references.ts';
import { ApiError } from './errors.ts';
import type { JsonObject } from './json.ts';
import { parseManifest } from './manifest.ts';
import { mergePatch, patchedManifest } from './merge-patch.ts';
import type { StoredPlan } from './mutation.ts';
import { keyText } from './reference.ts';
import type { Principal, ResourceRow } from './resource.ts';
import { agent, human, makeRow, testKinds } from './testing.ts';

const workspace = makeRow({ uid: 'ws', kind: 'Workspace', name: 'acme', spec: {} });
const defaults: JsonObject = {
  text: 'hi',
  place: 'desk',
  paused: false,
  after: null,
  deletionPolicy: 'Delete',
  deletionProtection: false,
  suspend: null,
  managementPolicy: 'Enforce',
  adopt: false,
  recreate_requested_at: null,
};

function world(
  rows: readonly ResourceRow[],
  more: { principal?: Principal; plan?: StoredPlan; children?: readonly ResourceRow[] } = {},
): AdmissionContext {
  return {
    kinds: testKinds,
    principal: more.principal ?? human,
    uuid: () => 'new-uid',
    snapshot: {
      now: 10_000,
      version: 5,
      rows: new Map([workspace, ...rows].map((row) => [keyText(row), row])),
      children: more.children ?? [],
      request: null,
      plan: more.plan ?? null,
    },
  };
}

function manifest(spec: JsonObject, name = 'one', path = 'manifest') {
  return parseManifest(
    { apiVersion: 'vibn.dev/v1', kind: 'Note', metadata: { workspace: 'acme', name }, spec },
    testKinds,
    path,
  );
}

function refusal(run: () => unknown): ApiError['data'] {
  try {
    run();
  } catch (error) {
    if (error instanceof ApiError) return error.data;
    throw error;
  }
  throw new Error('It was not refused.');
}

describe('a manifest', () => {
  const parse = (input: unknown) => () => parseManifest(input, testKinds, 'manifest');
  const good = { apiVersion: 'vibn.dev/v1', kind: 'Note', metadata: { workspace: 'acme', name: 'one' }, spec: {} };

  test('of an unknown kind names the kinds there are', () => {
    expect(refusal(parse({ ...good, kind: 'Nope' }))).toMatchObject({
      code: 'VALIDATION',
      path: 'manifest.kind',
      allowed: ['Workspace', 'Note', 'Letter'],
    });
  });

  test.each(['Upper', '-a', 'a-', 'a_b', 'a'.repeat(33), ''])('with the name %j says what a name is', (name) => {
    expect(refusal(parse({ ...good, metadata: { workspace: 'acme', name } })).path).toBe('manifest.metadata.name');
  });

  test.each(['a-b', 'ab', '1ab', 'A'.repeat(5), 'a'.repeat(23)])(
    'with the workspace %j says what a slug is',
    (slug) => {
      expect(refusal(parse({ ...good, metadata: { workspace: slug, name: 'one' } })).path).toBe(
        'manifest.metadata.workspace',
      );
    },
  );

  test('with unknown fields names each of them', () => {
    const data = refusal(parse({ ...good, extra: 1, metadata: { ...good.metadata, nope: 1 } }));
    expect(data.issues.map((issue) => issue.path).sort()).toEqual(['manifest.extra', 'manifest.metadata.nope']);
  });

  test.each(['\u0000', '\ud800'])('with text that Postgres can not store (%j) is refused with its path', (bad) => {
    expect(refusal(parse({ ...good, spec: { text: bad } })).path).toBe('manifest.spec.text');
  });

  test('read back from the API may be sent again as it is', () => {
    const metadata = {
      ...good.metadata,
      uid: 'u',
      generation: 3,
      version: 9,
      createdAt: 'x',
      updatedAt: 'x',
      owner: null,
      deletedAt: null,
      undoUntil: null,
    };
    expect(parseManifest({ ...good, metadata, status: { conditions: [] } }, testKinds, 'manifest').key.name).toBe(
      'one',
    );
  });
});

describe('apply', () => {
  test('creates a row with defaults filled in, and fires its ref topic', () => {
    const [result] = admitApply(world([]), [{ manifest: manifest({ text: 'x' }) }]);
    expect(result?.write).toMatchObject({
      op: 'insert',
      uid: 'new-uid',
      spec: { ...defaults, text: 'x' },
      fires: ['ref:Note/acme/one'],
    });
  });

  test('names every wrong field with what is allowed', () => {
    const data = refusal(() =>
      admitApply(world([]), [{ manifest: manifest({ text: 'far too long a text', place: 'roof', nope: 1 }) }]),
    );
    expect(data.issues.map((issue) => issue.path).sort()).toEqual([
      'manifest.spec.nope',
      'manifest.spec.place',
      'manifest.spec.text',
    ]);
    expect(data.issues.find((issue) => issue.path.endsWith('place'))?.allowed).toEqual(['desk', 'wall']);
    expect(data.issues.find((issue) => issue.path.endsWith('text'))?.allowed).toEqual({ maximum: 10 });
  });

  test('that leaves everything as it is writes nothing', () => {
    expect(admitApply(world([makeRow({ spec: defaults })]), [{ manifest: manifest({}) }])).toEqual([
      { write: null, kept: ['spec.paused', 'spec.deletionProtection', 'spec.suspend', 'spec.recreate_requested_at'] },
    ]);
  });

  test('keeps a sticky field that is omitted and clears one that is null', () => {
    const row = makeRow({ spec: { ...defaults, paused: true } });
    expect(admitApply(world([row]), [{ manifest: manifest({ text: 'a' }) }])[0]?.write).toMatchObject({
      spec: { paused: true },
    });
    expect(admitApply(world([row]), [{ manifest: manifest({ text: 'a', paused: null }) }])[0]?.write).toMatchObject({
      spec: { paused: false },
    });
  });

  test('of other labels alone is no new generation', () => {
    const sent = { ...manifest({}), labels: { team: 'web' } };
    expect(admitApply(world([makeRow({ spec: defaults })]), [{ manifest: sent }])[0]?.write).toMatchObject({
      op: 'update',
      newGeneration: false,
      fires: [],
    });
  });

  test('refuses to change an immutable field, and says what it is', () => {
    const data = refusal(() =>
      admitApply(world([makeRow({ spec: defaults })]), [{ manifest: manifest({ place: 'wall' }) }]),
    );
    expect(data).toMatchObject({ code: 'VALIDATION', path: 'manifest.spec.place', allowed: 'desk' });
  });

  test('refuses a stale generation with the current one', () => {
    const apply = (ifGeneration: number, rows: ResourceRow[]) =>
      refusal(() => admitApply(world(rows), [{ manifest: manifest({}), ifGeneration }]));
    expect(apply(3, [makeRow({ generation: 4 })])).toMatchObject({
      code: 'GENERATION_CONFLICT',
      current: 4,
      message: 'Note acme/one is at generation 4, not 3.',
    });
    expect(apply(0, [makeRow({})])).toMatchObject({ code: 'GENERATION_CONFLICT', current: 1 });
    expect(apply(1, [])).toMatchObject({ code: 'GENERATION_CONFLICT', current: 0 });
  });

  test('refuses a dangling reference, and one to a row being deleted', () => {
    expect(refusal(() => admitApply(world([]), [{ manifest: manifest({ after: 'gone' }) }]))).toMatchObject({
      code: 'VALIDATION',
      path: 'manifest.spec.after',
    });
    const deleting = makeRow({ name: 'two', deletedAt: 1 });
    expect(refusal(() => admitApply(world([deleting]), [{ manifest: manifest({ after: 'two' }) }])).message).toContain(
      'being deleted',
    );
  });

  test('lets rows of one request refer to each other, but not in a circle', () => {
    const chain = [manifest({ after: 'two' }, 'one', 'manifests[0]'), manifest({}, 'two', 'manifests[1]')].map(
      (one) => ({ manifest: one }),
    );
    expect(admitApply(world([]), chain)).toHaveLength(2);
    const circle = [
      manifest({ after: 'two' }, 'one', 'manifests[0]'),
      manifest({ after: 'one' }, 'two', 'manifests[1]'),
    ].map((one) => ({ manifest: one }));
    expect(refusal(() => admitApply(world([]), circle))).toMatchObject({ code: 'CYCLE', path: 'manifests[0].spec' });
    expect(refusal(() => admitApply(world([]), [{ manifest: manifest({ after: 'one' }) }])).code).toBe('CYCLE');
  });

  test('looks at a wide graph of references once each, and refuses a chain that is too long', () => {
    const chain = Array.from({ length: needsDepthMax + 2 }, (_, index) =>
      manifest({ after: `n${index + 1}` }, `n${index}`, `manifests[${index}]`),
    );
    const last = manifest({}, `n${needsDepthMax + 2}`, 'manifests[99]');
    const all = [...chain, last].map((one) => ({ manifest: one }));
    expect(refusal(() => admitApply(world([]), all))).toMatchObject({ code: 'CYCLE', path: 'manifests[0].spec' });
    expect(admitApply(world([]), all.slice(-needsDepthMax))).toHaveLength(needsDepthMax);
  });

  test('refuses a row being deleted, and offers undelete and wait', () => {
    const data = refusal(() => admitApply(world([makeRow({ deletedAt: 5 })]), [{ manifest: manifest({}) }]));
    expect(data.code).toBe('IN_USE');
    expect(data.remedy.map((remedy) => remedy.call.proc)).toEqual(['resources.undelete', 'resources.wait']);
  });

  test('refuses to name a row twice in one request', () => {
    expect(
      refusal(() =>
        admitApply(world([]), [{ manifest: manifest({}) }, { manifest: manifest({}, 'one', 'manifests[1]') }]),
      ),
    ).toMatchObject({ path: 'manifests[1]' });
  });

  test('lets users patch only the sticky fields of an owned row', () => {
    const row = makeRow({ spec: defaults, ownerUid: 'parent', slot: 's' });
    const parent = makeRow({ uid: 'parent', name: 'papa' });
    const patch = (value: JsonObject) =>
      admitApply(world([row, parent]), [{ manifest: patchedManifest(testKinds.all[1]!, row, value) }]);
    expect(patch({ paused: true })[0]?.write).toMatchObject({ op: 'update', newGeneration: true });
    expect(refusal(() => patch({ text: 'x' }))).toMatchObject({ code: 'IN_USE', current: 'Note/acme/papa' });
  });

  test('refuses more rows than a workspace may have', () => {
    const full = { ...world([]), workspaceRows: workspaceRowsMax };
    expect(refusal(() => admitApply(full, [{ manifest: manifest({}) }]))).toMatchObject({
      code: 'QUOTA_EXCEEDED',
      current: workspaceRowsMax,
    });
    const edit = { ...world([makeRow({ spec: defaults })]), workspaceRows: workspaceRowsMax };
    expect(admitApply(edit, [{ manifest: manifest({ text: 'x' }) }])).toHaveLength(1);
  });

  test('declares platform-only kinds with a platform key alone', () => {
    const sent = parseManifest(
      { apiVersion: 'vibn.dev/v1', kind: 'Workspace', metadata: { workspace: 'newco', name: 'newco' } },
      testKinds,
      'manifest',
    );
    expect(refusal(() => admitApply(world([], { principal: agent }), [{ manifest: sent }])).code).toBe('FORBIDDEN');
  });

  test('accepts no other spec for a finished once row', () => {
    const done = makeRow({
      kind: 'Letter',
      spec: { to: 'a' },
      conditions: [{ type: 'Ready', status: 'True' } as never],
    });
    const sent = parseManifest(
      { apiVersion: 'vibn.dev/v1', kind: 'Letter', metadata: { workspace: 'acme', name: 'one' }, spec: { to: 'b' } },
      testKinds,
      'manifest',
    );
    expect(refusal(() => admitApply(world([done]), [{ manifest: sent }])).message).toContain('finished');
  });
});

describe('a plan hash', () => {
  const key = { workspace: 'acme', kind: 'Note', name: 'one' };
  const spec = { ...defaults, text: 'x' };
  const plan: StoredPlan = {
    hash: 'h',
    workspace: 'acme',
    ref: key,
    baseGeneration: 1,
    desiredDigest: desiredDigest({ op: 'apply', key, spec }),
    actions: [{ digest: 'd1', risk: 'guarded' }],
    expiresAt: 20_000,
  };
  const apply = (stored: StoredPlan | undefined) =>
    admitApply(world([makeRow({ spec: defaults })], stored === undefined ? {} : { plan: stored }), [
      { manifest: manifest({ text: 'x' }), planHash: 'h' },
    ]);

  test('approves the actions it stands for', () => {
    expect(apply(plan)[0]?.write).toMatchObject({ approved: ['d1'] });
  });

  test('approves them even if the spec is as it was: approval is a new generation', () => {
    const same = { ...plan, desiredDigest: desiredDigest({ op: 'apply', key, spec: defaults }) };
    const result = admitApply(world([makeRow({ spec: defaults })], { plan: same }), [
      { manifest: manifest({}), planHash: 'h' },
    ]);
    expect(result[0]?.write).toMatchObject({ op: 'update', newGeneration: true, approved: ['d1'] });
  });

  test.each(['agent', 'ci'] as const)('of what cannot be undone is not quoted by a key of class %s', (keyClass) => {
    const final = { ...plan, actions: [...plan.actions, { digest: 'd2', risk: 'irreversible' }] };
    const quoted = (principal: Principal) =>
      admitApply(world([makeRow({ spec: defaults })], { plan: final, principal }), [
        { manifest: manifest({ text: 'x' }), planHash: 'h' },
      ]);
    const data = refusal(() => quoted({ ...agent, class: keyClass }));
    expect(data).toMatchObject({ code: 'APPROVAL_REQUIRED', path: 'planHash', allowed: ['human', 'sre'] });
    expect(quoted(human)[0]?.write).toMatchObject({ approved: ['d1', 'd2'] });
  });

  test.each([
    ['unknown', undefined],
    ['expired', { ...plan, expiresAt: 9_999 }],
    ['of another base generation', { ...plan, baseGeneration: 2 }],
    ['of another desired state', { ...plan, desiredDigest: 'other' }],
    ['of another row', { ...plan, ref: { ...key, name: 'two' } }],
  ])('that is %s is PLAN_STALE', (_why, stored) => {
    expect(refusal(() => apply(stored)).code).toBe('PLAN_STALE');
  });
});

describe('delete', () => {
  const key = { workspace: 'acme', kind: 'Note', name: 'one' };

  test('needs the name quoted, protection off and the row there', () => {
    expect(refusal(() => admitDelete(world([makeRow({})]), { key })).code).toBe('CONFIRMATION_REQUIRED');
    expect(
      refusal(() => admitDelete(world([makeRow({ spec: { deletionProtection: true } })]), { key, confirm: 'one' }))
        .code,
    ).toBe('PROTECTED');
    expect(refusal(() => admitDelete(world([]), { key, confirm: 'one' })).code).toBe('NOT_FOUND');
  });

  test('opens the undo window of what holds data: 72 h, or what the workspace says', () => {
    const hours = (spec: JsonObject) => {
      const context = world([makeRow({})]);
      const rows = new Map(context.snapshot.rows).set('Workspace/acme/acme', { ...workspace, spec });
      return admitDelete({ ...context, snapshot: { ...context.snapshot, rows } }, { key, confirm: 'one' });
    };
    expect(hours({})).toMatchObject({ op: 'delete', policy: 'Delete', undoForMs: 72 * 3_600_000 });
    expect(hours({ undoWindowHours: 1 })).toMatchObject({ undoForMs: 3_600_000 });
  });

  test('by an agent needs a plan hash, and the remedy is the plan to ask for', () => {
    const data = refusal(() => admitDelete(world([makeRow({})], { principal: agent }), { key, confirm: 'one' }));
    expect(data).toMatchObject({ code: 'APPROVAL_REQUIRED', path: 'planHash' });
    expect(data.remedy[0]?.call).toEqual({
      proc: 'resources.plan',
      input: { workspace: 'acme', changes: [{ delete: { kind: 'Note', name: 'one', policy: 'Delete' } }] },
    });
  });

  test('of a row being deleted writes nothing more', () => {
    expect(admitDelete(world([makeRow({ deletedAt: 1 })]), { key, confirm: 'one' })).toBeNull();
  });

  test('can be undone until destruction may have begun', () => {
    expect(admitUndelete(world([makeRow({ deletedAt: 1 })]), key)).toMatchObject({ op: 'undelete' });
    expect(admitUndelete(world([makeRow({})]), key)).toBeNull();
    expect(refusal(() => admitUndelete(world([makeRow({ deletedAt: 1, finalizingAt: 2 })]), key)).code).toBe(
      'PRECONDITION_FAILED',
    );
  });
});

describe('children', () => {
  const owner = makeRow({ uid: 'parent', name: 'papa' });
  const child = makeRow({ uid: 'c1', name: 'kid', ownerUid: 'parent', slot: 'a', spec: defaults });
  const want = (slot: string, text = 'hi') => ({ slot, manifest: { kind: 'Note', name: 'kid', spec: { text } } });
  const declare = (children: readonly ResourceRow[], wanted: ReturnType<typeof want>[]) =>
    admitChildren(world([owner, ...children], { children }), { owner, wanted, approved: ['d'], policy: 'Delete' });

  test('a slot without a row gets one with its owner', () => {
    expect(declare([], [want('a')])).toMatchObject([{ op: 'insert', owner: { uid: 'parent', slot: 'a' } }]);
  });

  test('the same children again write nothing; another spec is an update; one not named is deleted with the approval copied', () => {
    expect(declare([child], [want('a')])).toEqual([]);
    expect(declare([child], [want('a', 'new')])).toMatchObject([{ op: 'update', newGeneration: true }]);
    expect(declare([child], [])).toMatchObject([
      { op: 'delete', uid: 'c1', approved: ['d'], undoForMs: 72 * 3_600_000 },
    ]);
  });

  test('a slot being deleted is undeleted while that is possible, else the owner waits', () => {
    expect(declare([{ ...child, deletedAt: 1 }], [want('a', 'new')])).toMatchObject([{ op: 'undelete', uid: 'c1' }]);
    expect(declare([{ ...child, deletedAt: 1, finalizingAt: 2 }], [want('a')])).toMatchObject({
      refused: { reason: 'DependencyDeleting', slot: 'a' },
    });
  });

  test('a refused child refuses all of them with its reason', () => {
    expect(declare([], [want('a', 'far too long a text')])).toMatchObject({
      refused: { reason: 'SpecInvalid', slot: 'a' },
    });
  });
});

describe('a merge patch', () => {
  test('merges objects, replaces lists and removes what is null', () => {
    expect(mergePatch({ a: { b: 1, c: 2 }, d: [1], e: 1 }, { a: { b: null, x: 1 }, d: [2], e: null })).toEqual({
      a: { c: 2, x: 1 },
      d: [2],
    });
  });
});
