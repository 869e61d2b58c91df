import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { declarerOf } from '#test/simulation/engine-bench.ts';
import { machineMs } from '#hack/role-process.ts';
import { crate, parcel } from '#test/support/process/depot-kinds.ts';
import { createSite } from '#test/support/process/site.ts';
import type { Site, Worker } from '#test/support/process/site.ts';
import { skewedBy } from '#test/support/process/skewed-clock.ts';
import { earlySteals, foreignWrites, leaseChanges, takeovers } from '#test/support/process/work-log.ts';

/** Leases count by the database's clock and by monotonic time; what a worker's wall clock says is nobody's business. */
const minuteMs = 60_000;
const clocks = {
  slow: `${-10 * minuteMs}`,
  right: '0',
  fast: `${10 * minuteMs}`,
  // Steps 10 min back and forth while it works.
  steps: `${5 * minuteMs},${-5 * minuteMs}@1500,${5 * minuteMs}@3000,${-5 * minuteMs}@4500`,
};
/** A lapsed lease is taken over within this (reliability.md, clock skew). */
const stuckMsMax = 5_000;

let site: Site;
const fleet: Worker[] = [];
beforeAll(async () => {
  site = await createSite(['acme', 'beta']);
});
afterAll(() => site[Symbol.asyncDispose]());

describe('controllers whose clocks are 10 minutes apart, or step, beside a long open transaction', () => {
  test('steal no lease early, and leave none that is over', async () => {
    const open = await site.db.owner.reserve();
    await open`begin isolation level repeatable read`;
    await open`select count(*) from work`;
    for (const [name, list] of Object.entries(clocks)) fleet.push(await site.worker(name, skewedBy(list)));
    const offsets = fleet.map((worker) => offsetMinutes(worker, Date.now()));
    expect(offsets.slice(0, 3)).toEqual([-10, 0, 10]);
    expect(Math.abs(offsets[3] ?? 0)).toBe(5);
    for (const round of [0, 1, 2]) {
      await declareRound(site, round);
      const victim = fleet[round];
      // Leases are left behind by each of them in turn.
      site.depot.beforeCall = (call) => {
        if (call.worker !== victim?.name) return;
        site.depot.beforeCall = () => undefined;
        victim.signal('SIGKILL');
      };
      await site.settled();
    }
    await open`rollback`;
    open.release();

    const changes = await leaseChanges(site.db.owner);
    const taken = takeovers(changes);
    expect(earlySteals(changes)).toEqual([]);
    expect(foreignWrites(changes)).toEqual([]);
    expect(taken.length).toBeGreaterThan(0);
    expect(Math.max(...taken.map((change) => Math.min(-(change.leftMs ?? 0), change.dueForMs)))).toBeLessThan(
      stuckMsMax,
    );
    expect([...site.depot.done().values()].every((count) => count === 1)).toBe(true);
    // Each of them has worked, or its clock proves nothing.
    expect(new Set(site.depot.calls.map((call) => call.worker))).toEqual(new Set(Object.keys(clocks)));
  });

  test('end a freeze when the database says so, neither sooner nor later', async () => {
    for (const worker of fleet) worker.signal('SIGKILL');
    await Promise.all(fleet.map((worker) => worker.exited));
    await site.db.owner`
      insert into providers as p (provider, account, frozen_by, frozen_why, frozen_until)
      values ('depot', 'yard', 'test', 'test', statement_timestamp() + interval '4 seconds')
      on conflict (provider, account) do update set (frozen_by, frozen_why, frozen_until) =
        row (excluded.frozen_by, excluded.frozen_why, excluded.frozen_until)`;
    const thawsAt = machineMs() + 3_900;
    const callsBefore = site.depot.calls.length;
    await site.worker('slower', skewedBy(clocks.slow));
    await site.worker('faster', skewedBy(clocks.fast));
    await declareRound(site, 3);
    await site.settled(10_000);
    const calls = site.depot.calls.slice(callsBefore).filter((call) => call.mutating);
    expect(calls.length).toBeGreaterThan(10);
    expect(calls.filter((call) => call.at < thawsAt)).toEqual([]);
  });
});

/** What a worker's wall clock is off by, as it said when it came up, in whole minutes. */
function offsetMinutes(worker: Worker, startedAt: number): number {
  const [up] = worker.events();
  if (up?.event !== 'up') throw new Error('it did not come up');
  return Math.round((up.now - startedAt) / minuteMs) + 0;
}

async function declareRound({ resources }: Site, round: number): Promise<void> {
  const [acme, beta] = [declarerOf(resources, 'acme'), declarerOf(resources, 'beta')];
  const numbers = Array.from({ length: 12 }, (_, n) => n);
  await Promise.all(numbers.map((n) => (n % 2 === 0 ? acme : beta).apply(crate, `r${round}-c${n}`, {})));
  await Promise.all(numbers.slice(0, 4).map((n) => acme.apply(parcel, `r${round}-p${n}`, {})));
}
