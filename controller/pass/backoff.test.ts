import { describe, expect, it } from 'vitest';
import { backoffFloorMs, bugDelayMs, doublingDelayMs, parkedDelayMs, retryDelayMs } from './backoff.ts';
import { createOptions } from '#controller/options.ts';

const options = createOptions().engine;

describe('backoff', () => {
  it('doubles from 1 s to 5 min, by full jitter', () => {
    const ceilings = [1, 2, 3, 9, 10, 1_000].map((attempt) => retryDelayMs(attempt, 0.999_999, options));
    expect(ceilings).toEqual([1_000, 2_000, 4_000, 256_000, 300_000, 300_000]);
    expect(retryDelayMs(5, 0.25, options)).toBe(4_000);
  });

  it('never brings two tries of one row closer than its floor', () => {
    expect(retryDelayMs(1, 0, options)).toBe(backoffFloorMs);
  });

  it('brings every parked row back within 10 min ± 20 %', () => {
    expect([0, 0.5, 1].map((random) => parkedDelayMs(random, options))).toEqual([480_000, 600_000, 720_000]);
  });

  it('is slow after a bug of ours, from a minute to the parked interval', () => {
    expect([1, 2, 3, 4, 5, 50].map((attempt) => bugDelayMs(attempt, 0.5, options))).toEqual([
      60_000, 120_000, 240_000, 480_000, 600_000, 600_000,
    ]);
  });

  it('doubles without a counter: as far away as the thing is old', () => {
    expect([-5, 0, 15_000, 90_000].map((elapsed) => doublingDelayMs(elapsed, 10_000, 60_000))).toEqual([
      10_000, 10_000, 15_000, 60_000,
    ]);
  });
});
