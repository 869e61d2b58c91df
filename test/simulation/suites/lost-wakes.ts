import type { Resource } from '#resources/resource.ts';
import { checkSecrets } from '#test/simulation/oracles.ts';
import { seeded } from '#test/simulation/random.ts';
import { keyOf } from '#test/simulation/scenarios/scenario.ts';
import { tinyScenarios } from '#test/simulation/scenarios/tiny.ts';
import { createWorld, describeRow, isReady } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';
import type { Suite } from './suite.ts';

/**
 * lost wakes and lost edits: a chain of rows that need each other, declared and edited while three replicas work, in any interleaving. No
 * wake-up is lost between a pass's read and its settle: all is right within a minute, long before the fallback of ten. An agent reads each
 * row at every step: what is shown as Ready was so (status truth).
 */
export const lostWakes: Suite = {
  name: 'lost-wakes',
  cases: async (seed) => [{ id: 'a chain of needs', run: () => runChain(seed) }],
  mustHit: ['chain:right', 'chain:read-ready'],
};

const links = 4;
const rightWithinMs = 60_000;

function isShownReady({ status }: Resource): boolean {
  return status.conditions.some((one) => one.type === 'Ready' && one.status === 'True');
}

async function runChain(seed: number): Promise<World> {
  const world = createWorld({ seed, order: 'seeded' });
  const { agent } = world;
  const rng = seeded(seed, 'chain');
  const [link] = tinyScenarios.filter((scenario) => scenario.kind === 'Link');
  if (link === undefined) throw new Error('there is no Link');
  const token = keyOf('Token', 'target');
  const keys = Array.from({ length: links }, (_, n) => keyOf('Link', `link-${String(n)}`));
  const all = [token, ...keys];
  const read = (): boolean => {
    for (const key of all) {
      const shown = agent.get(key);
      if (shown === null) continue;
      world.truth.check(shown);
      if (isShownReady(shown)) world.sometimes('chain:read-ready');
    }
    return false;
  };
  try {
    await world.prepare(link);
    for (const name of ['w2', 'w3']) world.startWorker(name);
    // The token is edited, and so unready, while the links that need it are declared and edited.
    for (let weight = 1; weight <= 6; weight += 1) {
      await agent.apply(token, { label: `label-${String(weight)}`, scopes: [] });
      await world.until(read, rng.int(120));
      const key = rng.pick(keys);
      await agent.apply(key, { token: 'target', weight });
      await world.until(read, rng.int(120));
    }
    for (const key of keys) await agent.apply(key, { token: 'target', weight: 50 });
    const right = await world.until(() => read() || all.every((key) => isReady(agent.row(key))), rightWithinMs);
    if (!right) throw new Error(`O1: ${all.map((key) => describeRow(agent, key)).join('; ')}`);
    world.sometimes('chain:right');
    checkSecrets(world);
    return world;
  } finally {
    world.close();
  }
}
