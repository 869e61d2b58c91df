import type { Effect, FaultPlan } from '#test/simulation/effects.ts';
import { keyOf } from '#test/simulation/scenarios/scenario.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { createWorld, describeRow, isReady, scenarios } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';
import type { ResourceKey } from '#resources/resource.ts';
import { countMutations } from './steps.ts';
import type { Suite } from './suite.ts';

/**
 * crowd: what only shows with many rows, at the options that a controller runs with: 3 replicas, one account, 50 calls a second.
 * `VIBN_SIM_ROWS` rows (default 300; the figures of reliability.md are for 10,000).
 */
export const crowd: Suite = {
  name: 'crowd',
  cases: async (seed) => [
    { id: 'outage', run: () => outage(seed) },
    { id: 'fresh before resync', run: () => fresh(seed) },
    { id: 'poison rows', run: () => poison(seed) },
    { id: 'credential dies', run: () => credential(seed) },
    { id: 'replay is free', run: () => replay(seed) },
  ],
  mustHit: [
    'crowd:probe',
    'crowd:edit',
    'crowd:poison',
    'crowd:forbidden',
    'crowd:asked',
    'fault:refuse',
    'fault:forbid',
  ],
};

const rowCount = Number(process.env['VIBN_SIM_ROWS'] ?? '300');
const replicas = ['w1', 'w2', 'w3'];
const second = 1_000;
const minute = 60_000;
const ratePerSecond = 50;
const burst = 100;

const keys: readonly ResourceKey[] = Array.from({ length: rowCount }, (_, n) => keyOf('Link', `link-${String(n)}`));

/** Links over one token, with all replicas running and nothing of them declared. */
async function open(seed: number, run: (world: World, link: Scenario) => Promise<void>): Promise<World> {
  const link = scenarios.find((scenario) => scenario.kind === 'Link');
  if (link === undefined) throw new Error('there is no Link');
  const world = createWorld({ seed, crowd: true });
  try {
    await world.prepare(link);
    for (const name of replicas.slice(1)) world.startWorker(name);
    await run(world, link);
    return world;
  } finally {
    world.close();
  }
}

async function declareAll({ agent }: World, link: Scenario): Promise<void> {
  for (const key of keys) await agent.apply(key, link.sample);
}

/** Far less than what is measured, and not for ever. */
const lookEveryMs = Math.max(100, rowCount / 10);

/** Runs until all of these are Ready. Answers ms. */
async function untilReady(world: World, wanted: readonly ResourceKey[], withinMs: number): Promise<number> {
  const from = world.timeline.elapsed();
  let open = wanted;
  for (;;) {
    open = open.filter((key) => !isReady(world.agent.row(key)));
    const tookMs = world.timeline.elapsed() - from;
    const [first] = open;
    if (first === undefined) return tookMs;
    if (tookMs > withinMs)
      throw new Error(
        `O1: ${String(open.length)} are not Ready in ${String(tookMs)} ms: ${describeRow(world.agent, first)}`,
      );
    await world.run(lookEveryMs);
  }
}

/** Provider calls since an effect. */
function callsSince(world: World, from: number): readonly Effect[] {
  return world
    .effects()
    .slice(from)
    .filter((effect) => effect.door === 'provider');
}

/** Calls and ms of all rows made without anything in the way. */
async function calmly(seed: number): Promise<{ readonly calls: number; readonly ms: number }> {
  let measured = { calls: 0, ms: 0 };
  await open(seed, async (world, link) => {
    const from = world.effects().length;
    await declareAll(world, link);
    const ms = await untilReady(world, keys, longestMs());
    measured = { calls: callsSince(world, from).length, ms };
  });
  return measured;
}

/** Far more than all of it takes at the rate. */
function longestMs(): number {
  return 10 * minute + (rowCount * 10 * second) / ratePerSecond;
}

const downMs = 30 * minute;
const probeEveryMs = 5 * second;
const everything: FaultPlan = ({ door }) => (door === 'provider' ? 'refuse' : null);

/** Declared while the provider is down for half an hour; then it is back. */
async function whileDown(world: World, link: Scenario): Promise<number> {
  world.setFaults(everything);
  const from = world.effects().length;
  await declareAll(world, link);
  // The first calls open the breaker, and those under way with them end as they do.
  await world.run(minute);
  const opened = world.effects().length;
  if (callsSince(world, from).length > 200) throw new Error('O9: the breaker was not opened');
  await world.run(downMs - minute);
  for (const replica of replicas) {
    const probes = callsSince(world, opened).filter((effect) => effect.worker === replica).length;
    if (probes > (downMs - minute) / probeEveryMs) throw new Error(`O9: ${String(probes)} probes of ${replica}`);
    if (probes > 0) world.sometimes('crowd:probe');
  }
  world.setFaults(null);
  return world.effects().length;
}

async function outage(seed: number): Promise<World> {
  const calm = await calmly(seed);
  return open(seed, async (world, link) => {
    const back = await whileDown(world, link);
    const ms = await untilReady(world, keys, longestMs());
    const calls = callsSince(world, back).length;
    const most = (1.2 * calm.calls * second) / ratePerSecond;
    report(
      `outage: healed in ${String(ms)} ms (at most ${String(Math.round(most))}), ${String(calls)} calls, calmly ${String(calm.calls)}`,
    );
    if (ms > most) throw new Error(`healed in ${String(ms)} ms, not in ${String(most)}`);
    if (calls > 1.1 * calm.calls)
      throw new Error(`O9: ${String(calls)} calls, ${String(calm.calls)} without an outage`);
  });
}

const editsMax = 100;
const firstPassMs = 5 * second;

/** Edits while all that waited for the provider is made. */
async function fresh(seed: number): Promise<World> {
  return open(seed, async (world, link) => {
    const edited = Array.from({ length: Math.min(editsMax, rowCount / 4) }, (_, n) =>
      keyOf('Link', `edited-${String(n)}`),
    );
    for (const key of edited) await world.agent.apply(key, link.sample);
    await untilReady(world, edited, longestMs());
    await whileDown(world, link);
    const waits: number[] = [];
    for (const [n, key] of edited.entries()) {
      await world.run(50);
      const from = world.effects().length;
      const at = world.timeline.elapsed();
      await world.agent.apply(key, { ...link.sample, weight: 2 + (n % 90) });
      const uid = world.agent.row(key)?.uid ?? '';
      const isRead = ({ op, subject }: Effect): boolean => op === 'engine.readRows' && subject.includes(uid);
      await world.until(() => world.effects().slice(from).some(isRead), minute);
      waits.push(world.timeline.elapsed() - at);
      world.sometimes('crowd:edit');
    }
    const p99 = waits.toSorted((a, b) => a - b)[Math.floor(waits.length * 0.99)] ?? Infinity;
    const ms = await untilReady(world, edited, longestMs());
    report(
      `fresh: first pass p99 ${String(p99)} ms of ${String(waits.length)} edits, all right ${String(ms)} ms after the last`,
    );
    if (p99 > firstPassMs) throw new Error(`the first pass of an edit came after ${String(p99)} ms`);
  });
}

/** With few rows their last second, whose tokens fall as they fall, is more than two per cent of it all. */
const shareMin = rowCount < 2_000 ? 0.94 : 0.98;

/** One row in a hundred is never answered, answered with garbage, or makes the kind throw. */
async function poison(seed: number): Promise<World> {
  const calm = await calmly(seed);
  return open(seed, async (world, link) => {
    const { agent, clouds } = world;
    const bad = keys.filter((_, n) => n % 100 === 7);
    const kindOf = new Map<string, 'lose-request' | 'garbled' | null>();
    const ill = ['lose-request', 'garbled', null] as const;
    await declareAll(world, link);
    for (const [n, key] of bad.entries()) kindOf.set(agent.row(key)?.uid ?? '', ill[n % ill.length] ?? null);
    world.setFaults(({ door, subject }) => (door === 'provider' ? (kindOf.get(subject) ?? null) : null));
    const getLink = clouds.tiny.getLink.bind(clouds.tiny);
    const thrown = new Set(
      bad.filter((_, n) => ill[n % ill.length] === null).map(({ workspace, name }) => `${workspace}-${name}`),
    );
    clouds.tiny.getLink = (name) => {
      if (thrown.has(name)) throw new TypeError('undefined is not a function');
      return getLink(name);
    };
    const good = keys.filter((key) => !bad.includes(key));
    const ms = await untilReady(world, good, longestMs());
    const share = good.length / ms / (keys.length / calm.ms);
    await world.run(10 * minute);
    const said = bad.map((key) => agent.row(key)?.conditions.find((one) => one.type === 'Ready')?.reason ?? '?');
    report(`poison: ${(100 * share).toFixed(1)} % of ${String(calm.ms)} ms, ${[...new Set(said)].sort().join(', ')}`);
    if (said.some((reason) => ['?', 'Available', 'NotYetReconciled'].includes(reason)))
      throw new Error('a poison row says nothing');
    world.sometimes('crowd:poison');
    if (share < shareMin) throw new Error(`the others went at ${(100 * share).toFixed(1)} % of their speed`);
  });
}

const refusedMax = 20;
const healedMs = 60 * second;

/** Every answer is 403 from one moment on; then the operator grants the right again. Nobody restarts anything. */
async function credential(seed: number): Promise<World> {
  return open(seed, async (world, link) => {
    const few = keys.slice(0, Math.min(rowCount, 1_000));
    for (const key of few) await world.agent.apply(key, link.sample);
    await untilReady(world, few, longestMs());
    world.setFaults(({ door }) => (door === 'provider' ? 'forbid' : null));
    const from = world.effects().length;
    const isOpen = (): boolean => world.db.providers.get('tiny/acct-1')?.breaker === 'open';
    if (!(await world.until(isOpen, 30 * minute))) throw new Error('O9: the breaker was not opened');
    await world.run(5 * second);
    const refused = callsSince(world, from).length;
    world.sometimes('crowd:forbidden');
    if (refused > refusedMax) throw new Error(`O9: ${String(refused)} calls with a dead credential`);
    await world.run(30 * minute);
    world.setFaults(null);
    const ms = await untilReady(world, few, longestMs());
    report(`credential: ${String(refused)} calls, healed in ${String(ms)} ms`);
    if (ms > healedMs) throw new Error(`healed in ${String(ms)} ms`);
  });
}

const replaysMade = 3;
const asksPerSecond = 1_000;

async function replay(seed: number): Promise<World> {
  return open(seed, async (world, link) => {
    await declareAll(world, link);
    await untilReady(world, keys, longestMs());
    const changes = countMutations(world);
    for (let n = 1; n <= replaysMade; n += 1) {
      const id = `replay-${String(n)}`;
      const from = world.effects().length;
      const selector = { kind: 'Link' };
      await world.stores.replays.create({ id, selector, ratePerSecond: asksPerSecond, createdBy: 'sre' });
      const isDone = (): boolean => world.db.replays.get(id)?.row.state === 'done';
      for (let waited = 0; !isDone(); waited += second) {
        if (waited > longestMs()) throw new Error(`O1: ${id} did not end`);
        await world.run(second);
      }
      const items = [...(world.db.replays.get(id)?.items.values() ?? [])];
      if (items.length !== rowCount) throw new Error(`${String(items.length)} rows were asked`);
      world.sometimes('crowd:asked');
      expectRate(
        items.map((item) => item.askedAt ?? 0),
        asksPerSecond * 1.2 + 1,
      );
      expectRate(
        callsSince(world, from).map((effect) => effect.at),
        ratePerSecond + burst,
      );
    }
    if (countMutations(world) !== changes) throw new Error('O9: a replay of what had not drifted changed something');
  });
}

/** At most so many in any second. */
function expectRate(times: readonly number[], most: number): void {
  const sorted = times.toSorted((a, b) => a - b);
  let first = 0;
  for (const [n, at] of sorted.entries()) {
    while (at - (sorted[first] ?? at) >= second) first += 1;
    if (n - first + 1 > most) throw new Error(`${String(n - first + 1)} in one second, at most ${String(most)}`);
  }
}

/** Figures of a run, for the report of a full one. */
function report(line: string): void {
  if (process.env['VIBN_SIM_ROWS'] !== undefined) console.log(`${line} (${String(rowCount)} rows)`);
}
