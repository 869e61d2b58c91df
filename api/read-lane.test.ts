import { describe, expect, it } from 'vitest';
import { createReadLane } from './read-lane.ts';

/** Reads that end when they are let, in the order in which they began. */
function gated(readsMax: number) {
  const lane = createReadLane(readsMax);
  const begun: string[] = [];
  const ends: PromiseWithResolvers<void>[] = [];
  const read = (workspace: string): Promise<string> =>
    lane.run(workspace, async () => {
      begun.push(workspace);
      const end = Promise.withResolvers<void>();
      ends.push(end);
      await end.promise;
      return workspace;
    });
  const letOne = async (): Promise<void> => {
    ends.shift()?.resolve();
    await settled();
  };
  return { begun, ends, read, letOne };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the lane of reads', () => {
  it('has at most so many under way, and one of a workspace (L1, L2)', async () => {
    const { begun, read } = gated(2);
    for (const workspace of ['a', 'a', 'a', 'b', 'c']) void read(workspace);
    await settled();
    expect(begun).toEqual(['a', 'b']);
  });

  it('lets a workspace that has asked once pass by one that asks without end (L2)', async () => {
    const { begun, read, letOne } = gated(1);
    for (let n = 0; n < 100; n += 1) void read('a');
    await settled();
    void read('b');
    await letOne();
    await letOne();
    expect(begun.slice(0, 3)).toContain('b');
  });

  it('answers what the read answered, or its failure, and goes on', async () => {
    const { read, ends } = gated(1);
    const [first, second] = [read('a'), read('a')];
    await settled();
    ends.shift()?.reject(new Error('no database'));
    await expect(first).rejects.toThrow('no database');
    await settled();
    ends.shift()?.resolve();
    expect(await second).toBe('a');
  });
});
