import { describe, expect, test } from 'vitest';
import type { ReplaySelector } from '#controller/store/replay-store.ts';
import { shardCount } from '#resources/shard.ts';
import { declare, eachWithStores, isDue, keyOf, pass, ready, statusOf, type MakeStores } from './fixture.ts';

const engine = 'engine-a';

/** Replays: filled per shard, asked by rank, done when a pass was claimed after the asking (architecture §5, Replay). */
export function replayContract(makeStores: MakeStores): void {
  const { stores } = eachWithStores(makeStores);
  const create = (id: string, selector: ReplaySelector = {}, requestId?: string) =>
    stores().replays.create({
      id,
      selector,
      ratePerSecond: 50,
      createdBy: 'lineage1',
      ...(requestId === undefined ? {} : { requestId }),
    });
  const ranks = { Workspace: 0, Bucket: 1, ObjectDeletion: 2 };
  /** Fills all shards as an engine does: from the one after filledThrough. */
  const fill = async (id: string): Promise<void> => {
    const lease = await stores().replays.engineLease(engine, 15_000);
    for (let shard = (lease?.filledThrough ?? 0) + 1; shard < shardCount; shard += 1) {
      await stores().replays.engineFill({ id, shard, ranks, onceKinds: ['ObjectDeletion'] });
    }
  };
  const ask = (id: string, count = 100) => stores().replays.engineAsk({ id, count, rankPatienceMs: 60_000 });

  describe('replay', () => {
    test('created twice with one request id is one', async () => {
      expect((await create('r1', {}, 'q1')).id).toBe('r1');
      expect((await create('r2', {}, 'q1')).id).toBe('r1');
      expect((await create('r3')).id).toBe('r3');
      expect((await stores().replays.list(10)).map((one) => one.id).sort()).toEqual(['r1', 'r3']);
    });

    test('fills with the selected rows, without suspended and finished once rows', async () => {
      await declare(stores(), 'a');
      await declare(stores(), 'suspended', { spec: { suspend: { reason: 'x' } } });
      const once = await declare(stores(), 'once', { key: keyOf('once', 'ObjectDeletion') });
      await pass(stores(), once, { status: statusOf() });
      await create('r1');
      expect(await stores().replays.get('r1')).toMatchObject({ state: 'filling', total: 0 });
      await fill('r1');
      expect(await stores().replays.get('r1')).toMatchObject({ state: 'running', total: 1, waiting: 1, asked: 0 });
    });

    test('fills by kind, labels, names and condition', async () => {
      const a = await declare(stores(), 'a', { labels: { team: 'web' } });
      await declare(stores(), 'b');
      await pass(stores(), a, { status: statusOf({ conditions: [ready('False', 'ProviderUnavailable')] }) });
      const selectors: ReplaySelector[] = [
        { labels: { team: 'web' } },
        { names: ['a'] },
        { condition: { type: 'Ready', status: 'False' } },
        { kind: 'Bucket', workspace: 'acme', names: ['b', 'c'] },
      ];
      for (const [index, selector] of selectors.entries()) {
        const id = `r${index}`;
        await create(id, selector);
        await fill(id);
        expect(await stores().replays.get(id)).toMatchObject({ total: 1 });
        await stores().replays.setState(id, 'cancel');
      }
    });

    test('asks rank by rank, and counts what healed and what still fails', async () => {
      const rank0 = await declare(stores(), 'acme', { key: keyOf('acme', 'Workspace') });
      const bucket = await declare(stores(), 'a');
      await pass(stores(), rank0, { status: statusOf({ conditions: [ready('False', 'X')] }) });
      await pass(stores(), bucket, { status: statusOf() });
      await create('r1');
      await fill('r1');
      expect(await ask('r1')).toBe(1);
      expect(await ask('r1')).toBe(0);
      expect(await isDue(stores(), rank0)).toBe(true);
      expect(await isDue(stores(), bucket)).toBe(false);
      await stores().elapse(1);
      await pass(stores(), rank0, { status: statusOf() });
      expect(await stores().replays.engineCheck('r1')).toBe(1);
      expect(await ask('r1')).toBe(1);
      await stores().elapse(1);
      await pass(stores(), bucket, { status: statusOf({ conditions: [ready('False', 'NotEmpty')] }) });
      expect(await stores().replays.engineCheck('r1')).toBe(0);
      const done = { state: 'done', total: 2, waiting: 0, asked: 0, done: 2, healed: 1, unchanged: 0 };
      expect(await stores().replays.get('r1')).toMatchObject({ ...done, failing: [{ reason: 'NotEmpty', count: 1 }] });
    });

    test('asks rows of kinds that this build does not know after all that it knows', async () => {
      const unknown = await declare(stores(), 'new', { key: keyOf('new', 'NewerKind') });
      const last = await declare(stores(), 'last', { key: keyOf('last', 'ObjectDeletion') });
      for (const uid of [unknown, last]) await pass(stores(), uid);
      await create('r1');
      await fill('r1');
      expect(await ask('r1')).toBe(1);
      expect([await isDue(stores(), last), await isDue(stores(), unknown)]).toEqual([true, false]);
      await stores().elapse(1);
      await pass(stores(), last);
      expect(await stores().replays.engineCheck('r1')).toBe(1);
      expect(await ask('r1')).toBe(1);
      expect(await isDue(stores(), unknown)).toBe(true);
    });

    test('goes on to the next rank when a row of the one before takes too long', async () => {
      await declare(stores(), 'acme', { key: keyOf('acme', 'Workspace') });
      const bucket = await declare(stores(), 'a');
      await pass(stores(), bucket);
      await create('r1');
      await fill('r1');
      expect(await ask('r1')).toBe(1);
      await stores().elapse(59_000);
      expect(await ask('r1')).toBe(0);
      await stores().elapse(1_100);
      expect(await ask('r1')).toBe(1);
    });

    test('a pass claimed before the asking does not count', async () => {
      const uid = await declare(stores(), 'a');
      await pass(stores(), uid);
      await stores().elapse(1);
      await create('r1');
      await fill('r1');
      await ask('r1');
      expect(await stores().replays.engineCheck('r1')).toBe(1);
    });

    test('is led by one engine at a time, until its lease is over', async () => {
      await create('r1');
      expect(await stores().replays.engineLease(engine, 15_000)).toMatchObject({ id: 'r1', filledThrough: -1 });
      expect(await stores().replays.engineLease(engine, 15_000)).toMatchObject({ id: 'r1' });
      expect(await stores().replays.engineLease('engine-b', 15_000)).toBeNull();
      await stores().elapse(15_001);
      expect(await stores().replays.engineLease('engine-b', 15_000)).toMatchObject({ id: 'r1' });
    });

    test('suspended asks nothing, resumed goes on, cancelled is over', async () => {
      const uid = await declare(stores(), 'a');
      await pass(stores(), uid);
      await create('r1');
      await fill('r1');
      expect(await stores().replays.setState('r1', 'suspend')).toMatchObject({ state: 'suspended' });
      expect(await ask('r1')).toBe(0);
      expect(await stores().replays.setState('r1', 'resume')).toMatchObject({ state: 'running' });
      expect(await stores().replays.setState('r1', 'cancel')).toMatchObject({ state: 'cancelled' });
      expect(await ask('r1')).toBe(0);
      expect(await stores().replays.setState('r1', 'resume')).toMatchObject({ state: 'cancelled' });
      expect(await stores().replays.setState('unknown', 'cancel')).toBeNull();
    });
  });
}
