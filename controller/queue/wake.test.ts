import { describe, expect, it } from 'vitest';
import { silentLogger } from '#controller/log.ts';
import { createOptions } from '#controller/options.ts';
import { createFixedRng, createVirtualClock } from '#controller/testing.ts';
import { createWake } from './wake.ts';

/** A wake, what it answered so far, and how to make it answer. */
function createBench(due: () => Promise<readonly number[]> = () => Promise.resolve([])) {
  const clock = createVirtualClock();
  const listeners: ((shards: readonly number[] | null) => void)[] = [];
  let polls = 0;
  const wake = createWake({
    store: {
      dueShards: () => {
        polls += 1;
        return due();
      },
    },
    signals: {
      onSignal: (listener) => {
        listeners.push(listener);
        return () => listeners.splice(listeners.indexOf(listener), 1);
      },
    },
    clock,
    rng: createFixedRng(),
    options: createOptions().engine,
    log: silentLogger,
  });
  const answers: (readonly number[] | null)[] = [];
  const listen = async (): Promise<void> => {
    for (let shards = await wake.next(); shards !== null; shards = await wake.next()) answers.push(shards);
    answers.push(null);
  };
  const signal = (shards: readonly number[] | null): void => listeners.forEach((listener) => listener(shards));
  const start = async (): Promise<void> => {
    wake.start();
    void listen();
    await clock.advance(0);
    answers.length = 0;
    polls = 0;
  };
  return { wake, clock, answers, signal, start, polls: () => polls, listeners };
}

describe('wake', () => {
  it('looks at everything when it starts', async () => {
    const { wake, clock, polls } = createBench();
    wake.start();
    void wake.next();
    await clock.advance(0);
    expect(polls()).toBe(1);
  });

  it('makes one wake-up of the signals within 10 ms', async () => {
    const { clock, answers, signal, start } = createBench();
    await start();
    signal([3]);
    signal([3, 4]);
    await clock.advance(9);
    expect(answers).toEqual([]);
    await clock.advance(1);
    expect(answers).toEqual([[3, 4]]);
  });

  it('looks once more after a reconnect that comes while it looks: what it is about to hear is older than that', async () => {
    const asked: ((shards: readonly number[]) => void)[] = [];
    const { wake, clock, answers, signal, start, polls } = createBench(
      () => new Promise((resolve) => void asked.push(resolve)),
    );
    await start();
    signal(null);
    await clock.advance(10);
    asked.shift()?.([]);
    await clock.advance(0);
    expect(polls()).toBe(1);
    asked.shift()?.([7]);
    await clock.advance(0);
    expect(answers).toEqual([[], [7]]);
    wake.stop();
  });

  it('finds due rows within the poll interval when every signal is lost', async () => {
    let due: number[] = [];
    const { clock, answers, start } = createBench(() => Promise.resolve(due));
    await start();
    due = [7];
    await clock.advance(1_200);
    expect(answers).toEqual([[7]]);
  });

  it('asks for all shards with one statement a second', async () => {
    const { clock, polls, start } = createBench();
    await start();
    await clock.advance(10_000);
    expect(polls()).toBe(10);
  });

  it('polls once after a reconnect', async () => {
    const { clock, answers, signal, start } = createBench(() => Promise.resolve([1, 2]));
    await start();
    signal(null);
    await clock.advance(10);
    expect(answers).toEqual([[1, 2]]);
  });

  it('asks again at the next poll when the store does not answer, and loses no signal over it', async () => {
    let fails = true;
    const { clock, answers, signal, start } = createBench(() =>
      fails ? Promise.reject(new Error('no database')) : Promise.resolve([5]),
    );
    await start();
    signal([9]);
    await clock.advance(1_000);
    fails = false;
    await clock.advance(1_000);
    expect(answers).toEqual([[9], [], [5]]);
  });

  it('looks at what is due at once, and hears a poke that came while nobody listened', async () => {
    const { wake, clock } = createBench();
    wake.due(8, 0);
    const shards = wake.next();
    await clock.advance(0);
    await expect(shards).resolves.toEqual([8]);
  });

  it('looks when rows it settled fall due, once for those that fall due together', async () => {
    const { wake, clock, answers, start } = createBench();
    await start();
    wake.due(8, 290);
    wake.due(8, 300);
    wake.due(9, 100);
    await clock.advance(350);
    expect(answers).toEqual([[9], [8]]);
  });

  it('looks once for all slots that come free together', async () => {
    const { wake, clock, answers, start } = createBench();
    await start();
    wake.freed();
    wake.freed();
    await Promise.resolve();
    wake.freed();
    await clock.advance(0);
    expect(answers).toEqual([[]]);
    wake.freed();
    await clock.advance(0);
    expect(answers).toEqual([[], []]);
  });

  it('looks again after a settle if a signal came while the row was held, and only then', async () => {
    const { wake, clock, answers, signal, start } = createBench();
    await start();
    wake.settled(3);
    await clock.advance(20);
    expect(answers).toEqual([]);
    signal([3]);
    await clock.advance(20);
    wake.settled(3);
    wake.settled(3);
    await clock.advance(20);
    expect(answers).toEqual([[3], [3]]);
  });

  it('ends for its listener when it is stopped, and hears nothing more', async () => {
    const { wake, clock, answers, start, listeners, polls } = createBench();
    await start();
    wake.stop();
    await clock.advance(10_000);
    expect([answers, listeners.length, polls(), wake.isStopped()]).toEqual([[null], 0, 0, true]);
  });
});
