import { tablesOf } from '#test/simulation/oracles.ts';
import { Violation } from '#test/simulation/performing.ts';
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
/** Between taking room and the point of no return the store is asked once more. */
const storeMs = 5_000;
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
    const begunAt = watchBegun(world);
    for (const key of keys) await agent.remove(key);
    const isGone = (): boolean => keys.every((key) => agent.row(key) === null);
    for (let waitedMs = 0; !isGone(); waitedMs += crashEveryMs) {
      if (waitedMs > 2 * rows * windowMs) throw new Error('O1: the deletions did not end');
      if (waitedMs < windowMs) crashOne(world);
      await world.run(crashEveryMs);
      if (keys.some((key) => isHeldUp(world, key))) world.sometimes('brake:blocked');
    }
    expectBraked([...begunAt.values()]);
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

/**
 * When each deletion passed its point of no return: there it counts. What a crash left behind is carried out after the takeover, a minute
 * or more later, and not before that point by anybody.
 */
function watchBegun(world: World): ReadonlyMap<string, number> {
  const begunAt = new Map<string, number>();
  world.observe(({ op, subject, at }) => {
    const [uid = ''] = subject.split(',');
    if (op === 'engine.beginFinalizing') {
      const isBegun = tablesOf(world)?.rows.get(uid)?.finalizingAt != null;
      if (isBegun && !begunAt.has(uid)) begunAt.set(uid, at);
    }
    if (op === 'tiny.tokens.delete' && !begunAt.has(uid)) throw new Violation(`${uid} was destroyed, and never begun`);
  });
  return begunAt;
}

function expectBraked(times: readonly number[]): void {
  if (times.length !== rows) throw new Error(`${String(times.length)} deletions of ${String(rows)} rows`);
  for (const from of times) {
    const within = times.filter((at) => at >= from && at < from + windowMs - storeMs).length;
    if (within > limit) throw new Error(`${String(within)} deletions within a window that begins at ${String(from)}`);
  }
}
