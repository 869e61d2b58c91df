import { afterEach, describe, expect, test } from 'vitest';
import { systemClock, systemRng } from '#controller/clock.ts';
import { insertOf } from '#test/conformance/store-contract/fixture.ts';
import { createTinyCloud } from './tiny-cloud.ts';
import { createTimeline } from './timeline.ts';
import { toyBoot } from './toy.ts';
import { createBareWorld } from './bare-world.ts';
import type { BareWorld } from './bare-world.ts';

const open: BareWorld[] = [];
afterEach(() => open.splice(0).forEach((world) => world.close()));

/** A world of toys with `rows` rows declared; workers are not started. */
async function toyWorld(seed: number, rows = 3, notes: string[] = []) {
  const timeline = createTimeline();
  const cloud = createTinyCloud({ now: () => timeline.elapsed() });
  const world = createBareWorld({ seed, clock: timeline, order: 'seeded', boot: toyBoot(cloud, notes) });
  open.push(world);
  const writes = Array.from({ length: rows }, (_, n) => insertOf(`row-${String(n)}`, { uid: `uid-${String(n)}` }));
  const input = { scope: 'platform', workspace: 'acme', reads: [], follow: () => [], decide: () => writes } as const;
  await world.stores.resources.mutate(input);
  return { world, cloud, converged: () => cloud.links.size === rows };
}

describe('world', () => {
  test('runs workers until what they do is done', async () => {
    const { world, converged } = await toyWorld(1);
    world.startWorker('a');
    expect(await world.until(converged, 60_000)).toBe(true);
    expect(world.effects().map((effect) => effect.op)).toContain('engine.settle');
  });

  test('is the same world for the same seed, and another for another', async () => {
    const hashes: string[] = [];
    for (const seed of [7, 7, 8]) {
      const { world } = await toyWorld(seed);
      for (const name of ['a', 'b']) world.startWorker(name);
      await world.run(30_000);
      hashes.push(world.traceHash());
    }
    expect(hashes[0]).toBe(hashes[1]);
    expect(hashes[0]).not.toBe(hashes[2]);
  });

  test('a crashed worker hears nothing any more: no answer, no catch, no finally, no timer', async () => {
    const notes: string[] = [];
    const { world } = await toyWorld(1, 1, notes);
    const worker = world.startWorker('a');
    await world.until(() => world.effects().some((effect) => effect.op === 'tiny.links.create'), 60_000);
    world.crash(worker);
    const issued = world.effects().length;
    await world.run(120_000);
    expect(notes).toEqual([]);
    expect(world.effects()).toHaveLength(issued);
    expect(world.db.shards.get(17)?.work.get('uid-0')?.holder ?? 'a').toBe('a');
  });

  test('a paused worker hears everything once it is resumed; what it had sent happens all the same', async () => {
    const notes: string[] = [];
    const { world, converged } = await toyWorld(1, 1, notes);
    const worker = world.startWorker('a');
    await world.until(() => world.effects().some((effect) => effect.op === 'tiny.links.create'), 60_000);
    worker.life.pause();
    await world.run(60_000);
    expect(converged()).toBe(true);
    expect(notes).toEqual([]);
    worker.life.resume();
    expect(await world.until(() => notes.includes('a finally'), 60_000)).toBe(true);
  });

  test.each([
    ['before-send', 0],
    ['sent-not-executed', 0],
    ['executed-reply-lost', 1],
    ['reply-not-persisted', 1],
    ['late', 0],
  ] as const)('a crash %s leaves %i links behind', async (cut, links) => {
    const { world, cloud } = await toyWorld(1, 1);
    world.startWorker('a');
    await world.until(() => world.effects().at(-1)?.op === 'engine.readRows', 60_000);
    world.cutAt(world.effects().length + 1, cut, 5_000);
    await world.until(() => world.wasCut(), 60_000);
    expect(cloud.links.size).toBe(links);
    await world.run(60_000);
    expect(cloud.links.size).toBe(1);
    expect(world.counts().get(`cut:${cut}`)).toBe(1);
  });

  test('a lost reply settles nothing, a refusal rejects', async () => {
    const notes: string[] = [];
    const { world, cloud } = await toyWorld(1, 1, notes);
    world.setFaults((effect) => (effect.op === 'tiny.links.create' ? 'refuse' : null));
    world.startWorker('a');
    await world.until(() => notes.length > 0, 60_000);
    expect(notes[0]).toContain('simulated 503');
    expect(cloud.links.size).toBe(0);
  });

  test('forbids real time and randomness to the engine, not to others', async () => {
    await toyWorld(1);
    expect(Math.random()).toBeLessThan(1);
    expect(() => systemRng.next()).toThrow('inside the simulated world');
    expect(() => systemClock.after(1, () => undefined)).toThrow('inside the simulated world');
    open.splice(0).forEach((world) => world.close());
    expect(systemRng.next()).toBeLessThan(1);
  });
});
