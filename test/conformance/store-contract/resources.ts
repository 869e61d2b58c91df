import { describe, expect, test } from 'vitest';
import type { RowWrite } from '#controller/store/rows.ts';
import { readsMax } from '#controller/store/resource-store.ts';
import type { FeedChange } from '#controller/store/resource-store.ts';
import { keyText } from '#resources/reference.ts';
import {
  claim,
  declare,
  edit,
  eachWithStores,
  insertOf,
  isDue,
  keyOf,
  pass,
  principal,
  read,
  ready,
  remove,
  settleOf,
  shard,
  statusOf,
  undelete,
  versionNow,
  workspace,
  write,
  type MakeStores,
} from './fixture.ts';

const scope = { workspace };
const sweepAges = { tombstoneMs: 60_000, passMs: 60_000, topicMs: 60_000, doneIntentsKept: 10 };

/** The API's door: mutations under the shard's lock, reads, the change feed (R1–R3). */
export function resourceContract(makeStores: MakeStores): void {
  const { stores } = eachWithStores(makeStores);
  const plain = { labels: {}, annotations: {}, approved: [], fires: [], by: principal };

  describe('mutate', () => {
    test('counts generations of edits, deletes and undeletes, and keeps each revision', async () => {
      const uid = await declare(stores(), 'a', { spec: { size: 1 } });
      const named = { uid, name: 'a' };
      await edit(stores(), named, { size: 2 });
      await remove(stores(), named, 60_000);
      const deleted = (await read(stores(), uid)).row;
      expect(deleted).toMatchObject({ generation: 3, deletionPolicy: 'Delete', spec: { size: 2 } });
      expect((deleted.undoUntil ?? 0) - (deleted.deletedAt ?? 0)).toBe(60_000);
      await undelete(stores(), named);
      const back = (await read(stores(), uid)).row;
      expect(back).toMatchObject({ generation: 4, deletedAt: null, deletionPolicy: null, undoUntil: null });
      const revisions = await stores().resources.revisions(scope, { workspace, uid, limit: 10 });
      expect(revisions.map((one) => [one.generation, one.confirmed])).toEqual([
        [4, false],
        [3, true],
        [2, false],
        [1, false],
      ]);
      expect(revisions[3]?.spec).toEqual({ size: 1 });
    });

    test('of labels alone moves the version, not the generation, and wakes nothing', async () => {
      const uid = await declare(stores(), 'a');
      await pass(stores(), uid);
      const before = (await read(stores(), uid)).row;
      const update = { op: 'update', uid, key: keyOf('a'), spec: {}, newGeneration: false } as const;
      await write(stores(), [{ ...plain, ...update, labels: { team: 'web' } }]);
      const { row } = await read(stores(), uid);
      expect(row).toMatchObject({ generation: 1, labels: { team: 'web' } });
      expect(row.version).toBeGreaterThan(before.version);
      expect(await isDue(stores(), uid)).toBe(false);
    });

    test('that throws writes nothing', async () => {
      const refused = stores().resources.mutate({
        scope,
        workspace,
        reads: [],
        follow: () => [],
        decide: () => {
          throw new Error('refused');
        },
      });
      await expect(refused).rejects.toThrow('refused');
      expect(await versionNow(stores())).toBe(0);
    });

    test('that breaks a constraint on its second row writes neither', async () => {
      await declare(stores(), 'taken');
      const version = await versionNow(stores());
      await expect(write(stores(), [insertOf('free'), insertOf('taken')])).rejects.toThrow(/exist|duplicate|unique/i);
      expect((await stores().engine.readKey(keyOf('free'))).row).toBeNull();
      expect(await versionNow(stores())).toBe(version);
    });

    test('sees nothing stale: concurrent edits of one row each see the one before', async () => {
      const uid = await declare(stores(), 'a', { spec: { count: 0 } });
      const increment = () =>
        stores().resources.mutate({
          scope,
          workspace,
          reads: [keyOf('a')],
          follow: () => [],
          decide: ({ rows }) => {
            const count = Number(rows.get('Bucket/acme/a')?.spec['count']);
            const spec = { count: count + 1 };
            return [
              {
                ...plain,
                op: 'update',
                uid,
                key: keyOf('a'),
                spec,
                newGeneration: true,
              },
            ];
          },
        });
      await Promise.all(Array.from({ length: 12 }, increment));
      expect((await read(stores(), uid)).row).toMatchObject({ generation: 13, spec: { count: 12 } });
    });

    test('follows what rows lead to', async () => {
      await declare(stores(), 'a', { spec: { to: 'b' } });
      await declare(stores(), 'b', { spec: { to: 'c' } });
      await declare(stores(), 'c', { spec: { to: 'a' } });
      await declare(stores(), 'd', { key: keyOf('d', 'Queue') });
      const seen: unknown[] = [];
      await stores().resources.mutate({
        scope,
        workspace,
        reads: [keyOf('a')],
        follow: (row) => [keyOf(row.spec['to'] as string)],
        decide: ({ rows }) => {
          seen.push([...rows.keys()].sort());
          return [];
        },
      });
      expect(seen).toEqual([['Bucket/acme/a', 'Bucket/acme/b', 'Bucket/acme/c']]);
    });

    test('counts the rows of a workspace, for those who may see it', async () => {
      await declare(stores(), 'a');
      await declare(stores(), 'b', { key: keyOf('b', 'Queue') });
      expect(await stores().resources.countRows(scope, workspace)).toBe(2);
      expect(await stores().resources.countRows('platform', workspace)).toBe(2);
      expect(await stores().resources.countRows({ workspace: 'globex' }, workspace)).toBe(0);
    });

    test('with a request id remembers its results, and shows them to a repeat', async () => {
      const request = { lineage: 'l1', requestId: 'r1', bodyDigest: 'd1' };
      const insert = insertOf('a');
      const call = (decide: () => readonly RowWrite[], of = request) =>
        stores().resources.mutate({ scope, workspace, reads: [], follow: () => [], request: of, decide });
      const first = await call(() => [insert]);
      expect(first.snapshot.request).toBeNull();
      const repeat = await call(() => []);
      expect(repeat.snapshot.request).toEqual({ bodyDigest: 'd1', results: [{ uid: insert.uid, generation: 1 }] });
      const other = await call(() => [], { ...request, lineage: 'l2' });
      expect(other.snapshot.request).toBeNull();
      // However late, and whatever was trimmed since.
      await stores().elapse(40 * 86_400_000);
      await stores().engine.sweep(shard, { ...sweepAges, batchMax: 1_000 });
      expect((await call(() => [])).snapshot.request).toEqual(repeat.snapshot.request);
    });

    test('answers the rows as they are after it', async () => {
      const outcome = await stores().resources.mutate({
        scope,
        workspace,
        reads: [],
        follow: () => [],
        decide: () => [insertOf('a'), insertOf('b')],
      });
      expect(outcome.views.map((view) => [view.row.name, view.row.version])).toEqual([
        ['a', 1],
        ['b', 2],
      ]);
    });

    test('that leads to more rows than one may read says so, and those beside it go on', async () => {
      const rows = Array.from({ length: readsMax + 1 }, (_, index) => insertOf(`row-${index}`));
      await write(stores(), rows);
      const leadingTo = (count: number) =>
        stores().resources.mutate({
          scope,
          workspace,
          reads: [keyOf('row-0')],
          follow: (row) => (row.name === 'row-0' ? rows.slice(1, count).map((one) => one.key) : []),
          decide: () => [],
        });
      const results = await Promise.allSettled([1, readsMax + 1, readsMax, readsMax + 1, 2].map(leadingTo));
      const tooMany = { data: { code: 'VALIDATION', allowed: { rowsMax: readsMax } } };
      expect(results).toMatchObject([
        { status: 'fulfilled' },
        { status: 'rejected', reason: tooMany },
        { status: 'fulfilled' },
        { status: 'rejected', reason: tooMany },
        { status: 'fulfilled' },
      ]);
    });

    test('at once with others that touch the same rows is as one after the other', async () => {
      const uid = await declare(stores(), 'a', { spec: { n: 0 } });
      const edited = await Promise.all(
        Array.from({ length: 20 }, () =>
          stores().resources.mutate({
            scope,
            workspace,
            reads: [keyOf('a')],
            follow: () => [],
            decide: ({ rows }) => {
              const n = Number(rows.get(keyText(keyOf('a')))?.spec['n']) + 1;
              return [{ op: 'update', uid, key: keyOf('a'), spec: { n }, newGeneration: true, ...plain }];
            },
          }),
        ),
      );
      expect(edited.map((one) => one.views[0]?.row.spec['n']).toSorted((a, b) => Number(a) - Number(b))).toEqual(
        edited.map((_, index) => index + 1),
      );
      expect((await read(stores(), uid)).row).toMatchObject({ generation: 21, spec: { n: 20 } });
    });
  });

  describe('reads', () => {
    test('of another workspace find nothing', async () => {
      const uid = await declare(stores(), 'a');
      const stranger = { workspace: 'stranger' };
      expect(await stores().resources.get(stranger, keyOf('a'))).toBeNull();
      expect(await stores().resources.getByKeys(stranger, workspace, [keyOf('a')])).toEqual([]);
      expect(await stores().resources.getByKeys(stranger, 'stranger', [keyOf('a')])).toEqual([]);
      expect(await stores().resources.getByUid(stranger, workspace, [uid])).toEqual([]);
      expect((await stores().resources.list(stranger, { workspace, limit: 10 })).items).toEqual([]);
      const page = await stores().resources.changes(stranger, { workspace, afterVersion: 0, limit: 10 });
      expect(page.changes).toEqual([]);
      expect(await stores().resources.revisions(stranger, { workspace, uid, limit: 10 })).toEqual([]);
      expect(await stores().resources.get('platform', keyOf('a'))).not.toBeNull();
    });

    test('join the queue and the owner', async () => {
      const owner = await declare(stores(), 'owner');
      const child = await declare(stores(), 'child', { owner: { uid: owner, slot: 's' } });
      await pass(stores(), owner, { attempts: 4, verified: true });
      const view = await stores().resources.get(scope, keyOf('owner'));
      expect(view?.work?.attempts).toBe(4);
      expect(view?.work?.verifiedAt).not.toBeNull();
      const children = await stores().resources.children(scope, { workspace, uid: owner });
      expect(children.map((one) => [one.row.uid, one.owner])).toEqual([[child, { kind: 'Bucket', name: 'owner' }]]);
      expect(await stores().resources.getByUid(scope, workspace, [child, 'gone'])).toHaveLength(1);
      const named = await stores().resources.getByKeys(scope, workspace, [keyOf('child'), keyOf('gone')]);
      expect(named).toEqual([await stores().resources.get(scope, keyOf('child'))]);
    });

    test('that are bare say how rows stand, without what may be heavy', async () => {
      const heavy = { labels: { a: 'b' }, annotations: { c: 'd' }, spec: { text: 'x'.repeat(1_000) } };
      const uid = await declare(stores(), 'heavy', heavy);
      const { resources } = stores();
      const [whole] = await resources.getByUid(scope, workspace, [uid]);
      if (whole === undefined) throw new Error('no row');
      const bare = { ...whole, row: { ...whole.row, labels: {}, annotations: {}, spec: {}, status: {} } };
      expect(await resources.bareByUid(scope, workspace, [uid])).toEqual([bare]);
      expect(await resources.bareByKeys(scope, workspace, [keyOf('heavy')])).toEqual([bare]);
      const page = await resources.changes(scope, { workspace, afterVersion: 0, limit: 10, bare: true });
      expect(page.changes).toEqual([{ type: 'row', version: whole.row.version, view: bare }]);
      expect(whole.row.spec).toEqual(heavy.spec);
    });

    test('list in the order workspace, kind, name, page by page', async () => {
      for (const name of ['c', 'a', 'b']) await declare(stores(), name);
      await declare(stores(), 'z', { key: keyOf('z', 'App') });
      const page = await stores().resources.list(scope, { workspace, limit: 2 });
      expect(page.items.map((one) => one.row.name)).toEqual(['z', 'a']);
      expect(page).toMatchObject({ more: true, version: await versionNow(stores()) });
      const rest = await stores().resources.list(scope, { workspace, limit: 2, after: keyOf('a') });
      expect(rest.items.map((one) => one.row.name)).toEqual(['b', 'c']);
      expect(rest.more).toBe(false);
    });

    test('list by kind, labels, owner and condition', async () => {
      const a = await declare(stores(), 'a', { labels: { team: 'web', tier: '1' } });
      await declare(stores(), 'b', { labels: { team: 'web' }, owner: { uid: a, slot: 's' } });
      await declare(stores(), 'c', { key: keyOf('c', 'Queue') });
      await pass(stores(), a, { status: statusOf({ conditions: [ready('False', 'NotEmpty')] }) });
      const names = async (query: object) =>
        (await stores().resources.list(scope, { workspace, limit: 10, ...query })).items.map((one) => one.row.name);
      expect(await names({ kind: 'Queue' })).toEqual(['c']);
      expect(await names({ labels: { team: 'web' } })).toEqual(['a', 'b']);
      expect(await names({ labels: { team: 'web', tier: '1' } })).toEqual(['a']);
      expect(await names({ owner: a })).toEqual(['b']);
      expect(await names({ condition: { type: 'Ready', status: 'False' } })).toEqual(['a']);
      expect(await names({ condition: { type: 'Ready', reason: 'Available' } })).toEqual([]);
      await edit(stores(), { uid: a, name: 'a' }, { next: true });
      expect(await names({ condition: { type: 'Ready', status: 'False' } })).toEqual([]);
      expect(await names({ condition: { type: 'Ready', reason: 'NotYetReconciled' } })).toContain('a');
    });
  });

  describe('change feed', () => {
    const read = async (afterVersion: number, limit = 500) =>
      stores().resources.changes(scope, { workspace, afterVersion, limit });
    const text = (one: FeedChange) => `${one.version}:${one.type === 'row' ? one.view.row.name : one.key.name}`;

    test('answers each row once, at its newest version, with tombstones between them', async () => {
      const a = await declare(stores(), 'a');
      await declare(stores(), 'b');
      await edit(stores(), { uid: a, name: 'a' }, { size: 2 });
      expect((await read(0)).changes.map(text)).toEqual(['2:b', '3:a']);
      await remove(stores(), { uid: a, name: 'a' });
      const settle = settleOf(await claim(stores(), a), { generation: 3 });
      const removal = { settle, retained: [], claim: null, unrelatedKinds: [], needs: () => false };
      await stores().engine.settleRemoval(removal);
      await declare(stores(), 'c');
      expect((await read(0)).changes.map(text)).toEqual(['2:b', '5:a', '6:c']);
      expect(await read(6)).toMatchObject({ changes: [], full: false, version: 6, trimmedThrough: 0 });
    });

    test('says when a page is full', async () => {
      for (const name of ['a', 'b', 'c']) await declare(stores(), name);
      expect(await read(0, 2)).toMatchObject({ full: true, version: 3 });
      expect((await read(2, 2)).full).toBe(false);
    });

    test('misses nothing while many write', async () => {
      const seen = new Set<string>();
      let cursor = 0;
      const poll = async (): Promise<void> => {
        const { changes, version } = await read(cursor);
        for (const one of changes) {
          expect(one.version).toBeGreaterThan(cursor);
          if (one.type === 'row') seen.add(one.view.row.name);
        }
        cursor = version;
      };
      const done = new Set<number>();
      const writers = Array.from({ length: 8 }, async (_, writer) => {
        for (let n = 0; n < 5; n += 1) await declare(stores(), `row-${writer}-${n}`);
        done.add(writer);
      });
      while (done.size < writers.length) await poll();
      await Promise.all(writers);
      await poll();
      expect(seen.size).toBe(40);
    });

    test('forgets old tombstones and says through which version', async () => {
      const uid = await declare(stores(), 'a');
      await remove(stores(), { uid, name: 'a' });
      const settle = settleOf(await claim(stores(), uid), { generation: 2 });
      const removal = { settle, retained: [], claim: null, unrelatedKinds: [], needs: () => false };
      await stores().engine.settleRemoval(removal);
      const ages = { ...sweepAges, batchMax: 100 };
      await stores().engine.sweep(shard, ages);
      expect((await read(0)).trimmedThrough).toBe(0);
      await stores().elapse(60_001);
      await stores().engine.sweep(shard, ages);
      expect(await read(0)).toMatchObject({ changes: [], trimmedThrough: 3 });
    });
  });
}
