import { expect, it } from 'vitest';
import { runLoop } from './loop.ts';
import type { LoopDeps } from './loop.ts';
import { silentLogger } from './log.ts';
import { createOptions } from './options.ts';
import { createWake } from './queue/wake.ts';
import { createFixedRng, createVirtualClock } from './testing.ts';

it('claims what is noted in the very turn in which the claims before it end', async () => {
  const pending = new Set<number>();
  const claimed: number[] = [];
  const wakes: PromiseWithResolvers<readonly number[] | null>[] = [];
  const answers: PromiseWithResolvers<null>[] = [];
  const deps = {
    wake: {
      next: () => {
        const asked = Promise.withResolvers<readonly number[] | null>();
        wakes.push(asked);
        return asked.promise;
      },
      isStopped: () => false,
    },
    claimer: {
      note: (shards: readonly number[]) => shards.forEach((shard) => pending.add(shard)),
      next: () => {
        claimed.push(...pending);
        pending.clear();
        const answer = Promise.withResolvers<null>();
        answers.push(answer);
        return answer.promise;
      },
    },
    finish: { pass: { options: createOptions({ engine: { claimsAtOnce: 1 } }).engine } },
  } as unknown as LoopDeps;

  const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
  const loop = runLoop(deps);
  wakes[0]?.resolve([1]);
  await turn();
  // In one turn: the claim finds nothing more, and another shard is noted.
  answers[0]?.resolve(null);
  wakes[1]?.resolve([2]);
  await turn();
  expect(claimed).toEqual([1, 2]);

  wakes[2]?.resolve(null);
  answers.forEach((answer) => answer.resolve(null));
  await loop;
});

/** A loop over one shard whose claims take a few ms and fail until they are told to succeed. */
function failingClaims({ claimsAtOnce, claimMs = 0 }: { claimsAtOnce: number; claimMs?: number }) {
  const clock = createVirtualClock();
  const options = createOptions({ engine: { claimsAtOnce, pollMs: 1_000, claimRetryMs: 50 } }).engine;
  const state = { failing: true, claimedAt: [] as number[] };
  const pending = new Set<number>();
  const wake = createWake({
    store: { dueShards: () => Promise.resolve([]) },
    signals: { onSignal: () => () => undefined },
    clock,
    rng: createFixedRng(),
    options,
    log: silentLogger,
  });
  const deps = {
    wake,
    claimer: {
      note: (shards: readonly number[]) => shards.forEach((shard) => pending.add(shard)),
      next: async () => {
        if (pending.size === 0) return null;
        const { length } = state.claimedAt;
        state.claimedAt.push(clock.monotonic() - started);
        if (claimMs > 0) await clock.sleep(claimMs + (length % 3));
        if (state.failing) throw new Error('no database');
        pending.clear();
        return null;
      },
    },
    finish: { pass: { options, clock, log: silentLogger } },
  } as unknown as LoopDeps;
  const started = clock.monotonic();
  wake.start();
  const loop = runLoop(deps);
  const stop = async (): Promise<void> => {
    wake.stop();
    await clock.advance(claimMs + 3);
    await loop;
  };
  return { clock, wake, state, stop };
}

it('claims again soon after a claim that failed, and less and less often while all do: the next poll is far', async () => {
  const { clock, wake, state, stop } = failingClaims({ claimsAtOnce: 1 });
  await clock.advance(10);
  wake.poke([1]);
  await clock.advance(500);
  // The poll itself looks too, at 1,000.
  expect(state.claimedAt).toEqual([10, 60, 160, 360]);
  await clock.advance(300);
  state.failing = false;
  await clock.advance(1_000);
  expect(state.claimedAt).toEqual([10, 60, 160, 360, 760, 1_000]);
  await stop();
});

it('claims no more often the longer all claims fail, whatever else wakes it meanwhile', async () => {
  const { clock, wake, state, stop } = failingClaims({ claimsAtOnce: 2, claimMs: 2 });
  const inTenSeconds = async (): Promise<number> => {
    const before = state.claimedAt.length;
    for (let n = 0; n < 10; n += 1) {
      wake.poke([1]);
      await clock.advance(1_000);
    }
    return state.claimedAt.length - before;
  };
  await inTenSeconds();
  const early = await inTenSeconds();
  for (let n = 0; n < 20; n += 1) await inTenSeconds();
  expect(await inTenSeconds()).toBeLessThanOrEqual(early);
  await stop();
});
