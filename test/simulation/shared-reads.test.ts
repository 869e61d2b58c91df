import { describe, expect, it, vi } from 'vitest';
import { createBench, said, Thing } from './engine-bench.ts';

describe('the rows of one claim', () => {
  it('read what they all need once, and each hears of its changes', async () => {
    const bench = await createBench();
    const readKey = vi.spyOn(bench.stores.engine, 'readKey');
    const names = Array.from({ length: 20 }, (_, index) => `t${index}`);
    for (const name of names) await bench.apply(Thing, name, { after: 'base' });
    await bench.clock.advance(1_000);
    const asked = readKey.mock.calls.filter(([key]) => key.name === 'base').length;
    expect(asked).toBeGreaterThan(0);
    expect(asked).toBeLessThan(names.length);

    await bench.apply(Thing, 'base', {});
    await bench.clock.advance(1_000);
    const ready = await Promise.all(names.map(async (name) => said(await bench.read(Thing, name))['Ready']));
    expect(new Set(ready)).toEqual(new Set(['True/Available']));
    await bench.engine.stop();
  });
});
