import { expect, it } from 'vitest';
import { runLoop } from './loop.ts';
import type { LoopDeps } from './loop.ts';
import { createOptions } from './options.ts';

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
