import { expect, test } from 'vitest';
import { systemClock } from '#controller/clock.ts';
import { createRowCounts } from './row-counts.ts';

test('a workspace is counted once in half a minute, and again after a failure', async () => {
  let now = 0;
  const clock = { ...systemClock, monotonic: () => now };
  const asked: string[] = [];
  let fail = false;
  const countRows = async (_scope: unknown, workspace: string): Promise<number> => {
    asked.push(workspace);
    if (fail) throw new Error('away');
    return asked.length;
  };
  const counts = createRowCounts({ countRows }, clock);
  expect([
    await counts.of('platform', 'acme'),
    await counts.of('platform', 'acme'),
    await counts.of('platform', 'globex'),
  ]).toEqual([1, 1, 2]);
  now = 30_000;
  fail = true;
  await expect(counts.of('platform', 'acme')).rejects.toThrow('away');
  fail = false;
  expect(await counts.of('platform', 'acme')).toBe(4);
});
