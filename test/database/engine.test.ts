import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock, systemRng } from '#controller/clock.ts';
import { createEngine } from '#controller/engine.ts';
import { silentLogger } from '#controller/log.ts';
import { createOptions } from '#controller/options.ts';
import {
  createProvider,
  declarerOf,
  Errand,
  reconcilersOf,
  said,
  Thing,
  Workspace,
} from '#test/simulation/engine-bench.ts';
import { createMemorySignals } from '#test/simulation/memory-store/signals.ts';
import { onCitus } from '#test/support/postgres.ts';
import { createSqlStores, type SqlStores } from '#test/support/stores.ts';

// The real engine over the real store: what the simulation shows in depth, shown once on Postgres.

let stores: SqlStores;
beforeAll(async () => {
  stores = await createSqlStores();
});
afterAll(() => stores[Symbol.asyncDispose]());

function createBench() {
  const provider = createProvider();
  const engineOf = (holder: string) =>
    createEngine({
      store: stores.engine,
      providers: stores.providers,
      replays: stores.replays,
      // No signal arrives: losing them all costs only the poll interval.
      signals: createMemorySignals(),
      registry: reconcilersOf(provider),
      clock: systemClock,
      rng: systemRng,
      options: createOptions({
        engine: { pollMs: 20 },
        gateway: { defaultBudget: { ratePerSecond: 5_000, burst: 5_000 } },
      }),
      log: silentLogger,
      buildId: 'test',
      holder,
    });
  return { provider, engineOf, ...declarerOf(stores.resources) };
}

describe('two engines over one Postgres', () => {
  it('carry rows from their declaration to their end, each effect once', { timeout: 60_000 }, async () => {
    const { provider, engineOf, apply, remove, read } = createBench();
    const engines = [engineOf('w1'), engineOf('w2')];
    await Promise.all(engines.map((engine) => engine.start()));
    // They wait for one shard, one after the other, and none longer than its deadline.
    const names = Array.from({ length: onCitus() ? 20 : 50 }, (_, index) => `t${index}`);
    await apply(Workspace, 'acme', {});
    await apply(Thing, 'owner', { parts: ['a', 'b'] });
    await apply(Errand, 'run', {});
    await Promise.all(names.map((name) => apply(Thing, name, { after: 'owner' })));

    const ready = async (): Promise<readonly (string | undefined)[]> => {
      const rows = await Promise.all(
        [...names, 'owner', 'part-a', 'part-b'].map(async (name) => said(await read(Thing, name))['Ready']),
      );
      return [...new Set([...rows, said(await read(Errand, 'run'))['Ready']])];
    };
    await expect.poll(ready, { timeout: 30_000 }).toEqual(['True/Available']);
    expect(provider.writes.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(
      [...names, 'owner', 'part-a', 'part-b', 'run']
        .map((name) => `write ${name}`)
        .toSorted((a, b) => (a < b ? -1 : 1)),
    );

    await Promise.all(names.map((name) => apply(Thing, name, { after: 'owner', text: 'new' })));
    const texts = (): readonly string[] => [
      ...new Set(names.map((name) => provider.objects.get(`Thing-${name}`) ?? '')),
    ];
    await expect.poll(texts, { timeout: 30_000 }).toEqual(['new']);

    const doomed = names.slice(0, 10);
    await remove(Thing, 'owner');
    await Promise.all(doomed.map((name) => remove(Thing, name)));
    const left = async (): Promise<readonly boolean[]> =>
      Promise.all(doomed.map(async (name) => (await read(Thing, name)) !== null));
    await expect.poll(left, { timeout: 30_000 }).toEqual(doomed.map(() => false));
    await expect
      .poll(async () => said(await read(Thing, 'owner'))['DeletionBlocked'], { timeout: 30_000 })
      .toBe('True/HasDependents');
    await Promise.all(engines.map((engine) => engine.stop()));
    const [held] = await stores.db.owner<
      { count: number }[]
    >`select count(*)::int as count from work where holder is not null`;
    expect(held?.count).toBe(0);
  });
});
