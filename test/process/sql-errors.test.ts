import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { StoreUnavailable } from '#controller/store/sql-errors.ts';
import { declarerOf } from '#test/simulation/engine-bench.ts';
import { createInjector } from '#test/support/injections.ts';
import type { Injector } from '#test/support/injections.ts';
import { crate, parcel } from '#test/support/process/depot-kinds.ts';
import { createSite } from '#test/support/process/site.ts';
import type { Site } from '#test/support/process/site.ts';
import { foreignWrites, leaseChanges } from '#test/support/process/work-log.ts';
import { allStatements } from '#test/support/statement-registry.ts';
import { statementProxy } from '#test/support/statement-proxy.ts';
import type { StatementProxy } from '#test/support/statement-proxy.ts';
import { until } from '#test/support/up.ts';
import { urlThrough } from '#test/support/urls.ts';

/**
 * Two controllers whose every statement fails again and again, before it is carried out or after, COMMITs included: with conflicts, lost
 * sessions, lost answers, no connection free. Each round, the first three executions of each fail. All ways for all statements by
 * command: VIBN_SQL_ROUNDS=20 npx vitest run --project process test/process/sql-errors.test.ts
 */
const rounds = Number(process.env['VIBN_SQL_ROUNDS'] ?? '3');

/** What such a controller asks all the time. */
const everyday = [
  'begin',
  'commit',
  'due_shards',
  'claim_rows',
  'read_rows',
  'extend_lease',
  'announce_intent',
  'mark_sending',
  'answer_intent',
  'lock_shard',
  'settle_changed',
  'removal_look',
  'remove_row',
  'begin_finalizing',
];

let site: Site;
let proxy: StatementProxy;
let injector: Injector;
beforeAll(async () => {
  site = await createSite();
  proxy = await statementProxy(site.db.ownerUrl);
  injector = createInjector(await allStatements(), { max: 3, answersMayBeLost: () => true });
  proxy.decide = (name) => injector.decide(name);
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
});

describe('controllers whose statements fail', () => {
  test(
    'go on, converge, and do each thing once',
    async () => {
      const url = urlThrough(proxy, site.db.urlOf('vibn_controller'));
      const workers = [await site.worker('w0', { url }), await site.worker('w1', { url })];
      const declare = declarerOf(site.resources);
      for (let round = 0; round < rounds; round += 1) {
        injector.again();
        const numbers = [0, 1, 2, 3];
        const writes = numbers.flatMap((n) => [
          () => declare.apply(crate, `r${round}-c${n}`, { text: 'first' }),
          () => declare.apply(parcel, `r${round}-p${n}`, {}),
          ...(round < 1 ? [] : [() => declare.apply(crate, `r${round - 1}-c${n}`, { text: 'second' })]),
          ...(round < 2 || n > 1 ? [] : [() => declare.remove(crate, `r${round - 2}-c${n}`)]),
        ]);
        // The declaring side has sessions of its own; what it waits for are locks of sessions that were lost.
        await Promise.all(writes.map((write) => until(() => write().then(() => true, unavailable))));
        await site.settled(60_000);
      }
      injector.stop();
      for (const worker of workers) worker.signal('SIGTERM');
      expect(await Promise.all(workers.map((worker) => worker.exited))).toEqual([0, 0]);
      const counts = Object.groupBy(site.depot.done(), ([what]) => what.split(' ').slice(0, 2).join(' '));
      const deleted = Math.max(0, rounds - 2) * 2;
      expect([...site.depot.done()].filter(([what, times]) => !what.startsWith('update') && times > 1)).toEqual([]);
      expect([counts['create crate']?.length, counts['send parcel']?.length]).toEqual([rounds * 4, rounds * 4]);
      expect(counts['delete crate']?.length ?? 0).toBe(deleted);
      expect(foreignWrites(await leaseChanges(site.db.owner))).toEqual([]);
      const ways = Object.fromEntries([...injector.suffered].map(([name, some]) => [name, some.size]));
      console.log(JSON.stringify({ rounds, statements: injector.suffered.size, ways }));
      const spared = everyday.filter((name) => !injector.suffered.has(name));
      expect(rounds < 3 ? [] : spared).toEqual([]);
    },
    60_000 + rounds * 60_000,
  );
});

/** Null for what passes; throws what does not. */
function unavailable(error: unknown): null {
  if (error instanceof StoreUnavailable) return null;
  throw error;
}
