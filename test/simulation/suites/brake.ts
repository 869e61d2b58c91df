import type { Effect } from '#test/simulation/effects.ts';
import { seeded } from '#test/simulation/random.ts';
import { keyOf } from '#test/simulation/scenarios/scenario.ts';
import { createWorld, describeRow, isReady, scenarios } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';
import { withinMs } from './steps.ts';
import type { Suite } from './suite.ts';

/**
 * delete brake: everything of a workspace is deleted at once, by three replicas, some of which crash, over a store that does not always
 * answer. Of what destroys no more than the limit happens in any window; what is held up says when it goes on, and goes then.
 */
export const deleteBrake: Suite = {
  name: 'delete-brake',
  cases: async (seed) => [{ id: 'all at once', run: () => allAtOnce(seed) }],
  mustHit: ['brake:blocked', 'brake:crash', 'fault:commit-unknown', 'fault:unavailable'],
};

const rows = 50;
/** options.ts: destructionsMax, destructionWindowMs. */
const limit = 20;
const windowMs = 600_000;
/** Room is taken before the call, which may wait for its token and its lease and may take its own time. */
const callMs = 60_000;
const crashEveryMs = 20_000;

async function allAtOnce(seed: number): Promise<World> {
  const token = scenarios.find((scenario) => scenario.kind === 'Token');
  if (token === undefined) throw new Error('there is no Token');
  const world = createWorld({ seed, order: 'seeded' });
  const { agent } = world;
  const keys = Array.from({ length: rows }, (_, n) => keyOf('Token', `token-${String(n)}`));
  const rng = seeded(seed, 'brake');
  try {
    await world.prepare(token);
    for (const name of ['w2', 'w3']) world.startWorker(name);
    for (const key of keys) await agent.apply(key, token.sample);
    if (!(await world.until(() => keys.every((key) => isReady(agent.row(key))), withinMs)))
      throw new Error(`O1: ${keys.map((key) => describeRow(agent, key)).join('; ')}`);
    world.setFaults(({ door }) =>
      door === 'store' && rng.chance(0.05) ? rng.pick(['commit-unknown', 'unavailable'] as const) : null,
    );
    for (const key of keys) await agent.remove(key);
    const isGone = (): boolean => keys.every((key) => agent.row(key) === null);
    for (let waitedMs = 0; !isGone(); waitedMs += crashEveryMs) {
      if (waitedMs > 2 * rows * windowMs) throw new Error('O1: the deletions did not end');
      if (waitedMs < windowMs) crashOne(world);
      await world.run(crashEveryMs);
      if (keys.some((key) => isHeldUp(world, key))) world.sometimes('brake:blocked');
    }
    expectBraked(world.effects().filter(isDestruction));
    return world;
  } finally {
    world.close();
  }
}

function crashOne(world: World): void {
  const worker = world.rng.pick(world.workers);
  world.crash(worker);
  world.sometimes('brake:crash');
  world.startWorker(`${worker.name}'`);
}

function isHeldUp({ agent }: World, key: ReturnType<typeof keyOf>): boolean {
  const blocked = agent.row(key)?.conditions.find((one) => one.type === 'DeletionBlocked');
  return blocked?.reason === 'DestructionBudgetExhausted';
}

function isDestruction({ op, done }: Effect): boolean {
  return op === 'tiny.tokens.delete' && done > 0;
}

function expectBraked(destructions: readonly Effect[]): void {
  const times = destructions.map(({ at }) => at);
  if (times.length !== rows) throw new Error(`${String(times.length)} destructions of ${String(rows)} rows`);
  for (const from of times) {
    const within = times.filter((at) => at >= from && at < from + windowMs - callMs).length;
    if (within > limit)
      throw new Error(`${String(within)} destructions within a window that begins at ${String(from)}`);
  }
}
