import { describe, expect, it } from 'vitest';
import { silentLogger } from '#controller/log.ts';
import { createOptions } from '#controller/options.ts';
import { createVirtualClock } from '#controller/testing.ts';
import type { Claim } from '#controller/store/rows.ts';
import { createLeases } from './lease.ts';

function createBench() {
  const clock = createVirtualClock();
  const renewals: { shard: number; uids: readonly string[] }[] = [];
  const state = { stolen: new Set<string>(), silent: false };
  let lost = 0;
  const leases = createLeases({
    store: {
      renew({ shard, uids }) {
        renewals.push({ shard, uids });
        if (state.silent) return Promise.reject(new Error('no database'));
        return Promise.resolve(uids.filter((uid) => !state.stolen.has(uid)));
      },
    },
    holder: 'w1',
    clock,
    options: createOptions().engine,
    log: silentLogger,
    onLost: () => {
      lost += 1;
    },
  });
  const hold = (uid: string, shard = 1, passMs = 60_000) => leases.hold(claimOf(uid, shard), clock.monotonic(), passMs);
  return { clock, renewals, state, hold, lost: () => lost };
}

const claimOf = (uid: string, shard: number): Claim => ({
  shard,
  uid,
  workspace: 'acme',
  kind: 'Note',
  epoch: 1,
  wakeSeq: 1,
  claimedAt: 5,
});

describe('leases', () => {
  it('are renewed every 5 s, all rows of a shard in one statement, in the order of uid', async () => {
    const { clock, renewals, hold } = createBench();
    hold('b');
    hold('a');
    hold('c', 2);
    await clock.advance(5_000);
    expect(renewals).toEqual([
      { shard: 1, uids: ['a', 'b'] },
      { shard: 2, uids: ['c'] },
    ]);
  });

  it('hold as long as they are renewed', async () => {
    const { clock, hold } = createBench();
    const lease = hold('a');
    await clock.advance(55_000);
    expect(lease.isHeld()).toBe(true);
  });

  it('lapse when their pass is older than it may be', async () => {
    const { clock, renewals, hold, lost } = createBench();
    const lease = hold('a', 1, 20_000);
    await clock.advance(29_000);
    expect([lease.isHeld(), renewals.length]).toEqual([true, 3]);
    await clock.advance(6_000);
    await lease.lost;
    expect([lease.isHeld(), lost()]).toEqual([false, 1]);
  });

  it('are lost at once when the row is another holder’s', async () => {
    const { clock, state, hold } = createBench();
    const [mine, stolen] = [hold('a'), hold('b')];
    state.stolen.add('b');
    await clock.advance(5_000);
    await stolen.lost;
    expect([mine.isHeld(), stolen.isHeld()]).toEqual([true, false]);
  });

  it('are lost when the database is silent for their whole time, counted from before the claim', async () => {
    const { clock, state, hold } = createBench();
    state.silent = true;
    const lease = hold('a');
    await clock.advance(14_999);
    expect(lease.isHeld()).toBe(true);
    await clock.advance(1);
    expect(lease.isHeld()).toBe(false);
    await lease.lost;
  });

  it('cover a call that extended them, and are never shortened', async () => {
    const { clock, state, hold } = createBench();
    state.silent = true;
    const lease = hold('a');
    lease.extendTo(clock.monotonic() + 32_000);
    lease.extendTo(clock.monotonic() + 1_000);
    await clock.advance(31_999);
    expect(lease.isHeld()).toBe(true);
    await clock.advance(1);
    expect(lease.isHeld()).toBe(false);
  });

  it('are not renewed once dropped, and no timer runs while nothing is held', async () => {
    const { clock, renewals, hold } = createBench();
    hold('a').drop();
    await clock.advance(60_000);
    expect(renewals).toEqual([]);
  });

  it('of a row claimed again are the new pass’s own', async () => {
    const { clock, hold } = createBench();
    const before = hold('a');
    const now = hold('a');
    before.drop();
    await clock.advance(20_000);
    expect([before.isHeld(), now.isHeld()]).toEqual([false, true]);
  });
});
