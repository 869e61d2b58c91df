import type { JsonObject } from '#resources/json.ts';
import { keyOf } from '#test/simulation/scenarios/scenario.ts';
import { createWorld, describeRow, isReady, scenarios, subjectKey } from '#test/simulation/world.ts';
import type { ResourceKey } from '#resources/resource.ts';
import type { World } from '#test/simulation/world.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import {
  countCreates,
  countMutations,
  isConverged,
  isRight,
  stalledReason,
  wakeNow,
  rowAt,
  withinMs,
} from './steps.ts';
import type { Suite } from './suite.ts';

/** outage: the provider refuses everything for half an hour. Nobody hammers it, and all heals by itself when it is back. */
export const outage: Suite = {
  name: 'outage',
  cases: async (seed) =>
    scenarios
      .filter((scenario) => scenario.kind !== 'Fleet')
      .map((scenario) => ({ id: scenario.title, run: () => down(seed, scenario) })),
  mustHit: ['fault:refuse'],
};

const outageMs = 30 * 60_000;
/** One probe per 5 s, and the calls that opened the breaker. */
const callsMax = outageMs / 5_000 + 20;

async function down(seed: number, scenario: Scenario): Promise<World> {
  const world = createWorld({ seed });
  const { agent } = world;
  const key = subjectKey(scenario);
  try {
    await world.prepare(scenario);
    world.setFaults((effect) => (effect.door === 'provider' ? 'refuse' : null));
    await agent.apply(key, scenario.sample);
    const from = world.effects().length;
    await world.run(outageMs);
    const calls = world
      .effects()
      .slice(from)
      .filter((effect) => effect.door === 'provider').length;
    if (calls > callsMax) throw new Error(`O9: ${String(calls)} calls to a provider that is down`);
    const ready = agent.row(key)?.conditions.find((one) => one.type === 'Ready');
    if (ready?.status === 'True') throw new Error('O6: Ready while nothing was ever reached');
    world.setFaults(null);
    if (await world.until(() => isConverged(world, scenario, key), 60_000)) return world;
    throw new Error(`O1: a minute after the outage: ${describeRow(agent, key)}`);
  } finally {
    world.close();
  }
}

/**
 * false-empty: reads answer that nothing is there, for everything, for ten minutes. Where it would cost data nothing is made again;
 * elsewhere the brake stops it after a few, and freezes the account.
 */
export const falseEmpty: Suite = {
  name: 'false-empty',
  cases: async (seed) => [
    { id: 'many links', run: () => emptied(seed) },
    { id: 'a row is not removed', run: () => keptDeletion(seed) },
  ],
  mustHit: ['fault:false-empty', 'brake:frozen'],
};

const linksMade = 10;
/** max(3, 1 %) in ten minutes (architecture §5, Brakes). */
const recreatesMax = 3;

async function emptied(seed: number): Promise<World> {
  const link = scenarioOf('Link');
  const world = createWorld({ seed });
  const { agent } = world;
  const keys = Array.from({ length: linksMade }, (_, n) => keyOf('Link', `link-${String(n)}`));
  try {
    await world.prepare(link);
    for (const key of keys) await agent.apply(key, link.sample);
    const right = (): boolean => keys.every((key) => isConverged(world, link, key));
    if (!(await world.until(right, withinMs))) throw new Error(`O1: ${describeAll(world, keys)}`);
    await world.run(3_600_000);
    const creates = countCreates(world);
    const tries = (): number => world.effects().filter((effect) => effect.op === 'engine.beginRecreate').length;
    const before = tries();
    world.setFaults((effect) => (effect.op === 'tiny.links.get' ? 'false-empty' : null));
    for (const key of keys) wakeNow(world, rowAt(world, key).uid);
    await world.run(600_000);
    if (tries() - before > recreatesMax)
      throw new Error(`the brake let ${String(tries() - before)} re-creates through`);
    const frozen = world.db.providers.get('tiny/acct-1')?.frozen ?? null;
    if (frozen === null) throw new Error('the account was not frozen');
    world.sometimes('brake:frozen');
    world.setFaults(null);
    await world.stores.providers.thaw({ provider: 'tiny', account: 'acct-1' });
    if (!(await world.until(right, withinMs))) throw new Error(`O1: ${describeAll(world, keys)}`);
    if (countCreates(world) !== creates) throw new Error('O5: something was created again');
    return world;
  } finally {
    world.close();
  }
}

/** One false "not there" right after the object was seen is no proof that a deletion is done. */
async function keptDeletion(seed: number): Promise<World> {
  const link = scenarioOf('Link');
  const world = createWorld({ seed });
  const { agent, clouds } = world;
  const key = subjectKey(link);
  try {
    await world.prepare(link);
    await agent.apply(key, link.sample);
    if (!(await world.until(() => isConverged(world, link, key), withinMs))) throw new Error(describeRow(agent, key));
    const row = rowAt(world, key);
    world.setFaults((effect) => (effect.op === 'tiny.links.get' ? 'false-empty' : null));
    await agent.remove(key);
    await world.run(5_000);
    world.setFaults(null);
    if (!(await world.until(() => agent.row(key) === null, withinMs))) throw new Error(describeRow(agent, key));
    if (link.objects(clouds, row) > 0) throw new Error('O3: the object outlived its row');
    return world;
  } finally {
    world.close();
  }
}

function scenarioOf(kind: string): Scenario {
  const found = scenarios.find((scenario) => scenario.kind === kind);
  if (found === undefined) throw new Error(`no scenario for ${kind}`);
  return found;
}

function describeAll({ agent }: World, keys: readonly ReturnType<typeof keyOf>[]): string {
  const open = keys.filter((key) => !isReady(agent.row(key)));
  return open
    .slice(0, 3)
    .map((key) => describeRow(agent, key))
    .join('; ');
}

/**
 * cannot know: an untraceable send whose answer is lost. It parks within 15 minutes, nothing is sent again for a day, its neighbours are
 * unaffected, and a person's decision ends it.
 */
export const cannotKnow: Suite = {
  name: 'cannot-know',
  cases: async (seed) => [
    ...(['happened', 'did_not'] as const).map((outcome) => ({ id: outcome, run: () => decided(seed, outcome) })),
    ...(['lose-reply', 'lose-request'] as const).flatMap((fault) =>
      (['garbled', 'refuse', 'forbid'] as const).map((blind) => ({
        id: `unobservable for an hour/${fault}/${blind}`,
        run: () => unobservable(seed, fault, blind),
      })),
    ),
    { id: 'refused a look that others are not', run: () => refusedAlone(seed) },
  ],
  mustHit: ['fault:lose-reply', 'fault:lose-request', 'decision:happened', 'decision:did_not'].concat(
    ['garbled', 'refuse', 'forbid', 'alone'].map((blind) => `unobservable:${blind}`),
  ),
};

async function decided(seed: number, outcome: 'happened' | 'did_not'): Promise<World> {
  const letter = scenarios.find((scenario) => scenario.untraceable);
  const token = scenarioOf('Token');
  if (letter === undefined) throw new Error('there is no untraceable scenario');
  const world = createWorld({ seed });
  const { agent, clouds } = world;
  const [key, neighbour] = [subjectKey(letter), keyOf('Token', 'neighbour')];
  try {
    await world.prepare(letter);
    const fault = outcome === 'happened' ? 'lose-reply' : 'lose-request';
    let struck = false;
    world.setFaults((effect) => {
      if (struck || effect.op !== 'tiny.letters.send') return null;
      struck = true;
      return fault;
    });
    await agent.apply(key, letter.sample);
    await agent.apply(neighbour, token.sample);
    if (!(await world.until(() => isConverged(world, token, neighbour), 60_000)))
      throw new Error(describeRow(agent, neighbour));
    if (!(await world.until(() => stalledReason(agent.row(key)) === 'NeedsDecision', 15 * 60_000)))
      throw new Error(describeRow(agent, key));
    const changes = countMutations(world);
    await world.run(86_400_000);
    if (countMutations(world) !== changes) throw new Error('sent again without a decision');
    await decide(world, key, outcome);
    if (!(await world.until(() => isRight(world, letter, key), withinMs))) throw new Error(describeRow(agent, key));
    if (clouds.tiny.letters.size !== 1) throw new Error(`O5: ${String(clouds.tiny.letters.size)} letters`);
    world.sometimes(`decision:${outcome}`);
    return world;
  } finally {
    world.close();
  }
}

async function decide(world: World, key: ResourceKey, outcome: 'happened' | 'did_not'): Promise<void> {
  const by = { keyId: 'sre', lineage: 'sre', class: 'sre', workspace: null, scopes: [] } as const;
  const decision = { effect: 'send', outcome, evidence: 'asked them', by };
  if (!(await world.stores.resources.decide('platform', { key, decision })))
    throw new Error('the decision was not taken');
}

const blindMs = 3_600_000;
/** Often enough that a success stands between two refusals that are not sent at once. */
const neighbourEveryMs = 200;

/**
 * A send that could be looked up, and nobody can look for an hour: its own reads answer garbage, or the whole account is down or refuses
 * the credential. It is asked about by then, and a person's word counts with the next look.
 */
async function unobservable(
  seed: number,
  fault: 'lose-reply' | 'lose-request',
  blind: 'garbled' | 'refuse' | 'forbid',
): Promise<World> {
  const [letter, token] = [scenarioOf('Letter'), scenarioOf('Token')];
  const world = createWorld({ seed });
  const { agent, clouds } = world;
  const [key, neighbour] = [subjectKey(letter), keyOf('Token', 'neighbour')];
  const expectNeighbour = async (spec: JsonObject): Promise<void> => {
    if (blind !== 'garbled') return;
    await agent.apply(neighbour, spec);
    if (await world.until(() => isConverged(world, token, neighbour), 60_000)) return;
    throw new Error(`a neighbour waits: ${describeRow(agent, neighbour)}`);
  };
  try {
    await world.prepare(letter);
    let sends = 0;
    world.setFaults(({ op, door }) => {
      if (op === 'tiny.letters.send') {
        sends += 1;
        return fault;
      }
      return op === 'tiny.letters.find' || (blind !== 'garbled' && door === 'provider' && sends > 0) ? blind : null;
    });
    await agent.apply(key, letter.sample);
    await expectNeighbour(token.sample);
    if (!(await world.until(() => stalledReason(agent.row(key)) === 'NeedsDecision', 15 * 60_000)))
      throw new Error(`nobody is asked: ${describeRow(agent, key)}`);
    await expectNeighbour(token.update ?? {});
    await world.run(blindMs);
    if (sends !== 1) throw new Error(`O5: ${String(sends)} sends while nobody could look`);
    if (stalledReason(agent.row(key)) !== 'NeedsDecision') throw new Error(`forgotten: ${describeRow(agent, key)}`);
    await decide(world, key, fault === 'lose-reply' ? 'happened' : 'did_not');
    // Who has spoken is not asked again: what stands in the way now is the look.
    if (!(await world.until(() => stalledReason(agent.row(key)) !== 'NeedsDecision', withinMs)))
      throw new Error(`asked again: ${describeRow(agent, key)}`);
    if (sends !== 1) throw new Error(`O5: ${String(sends)} sends before a look`);
    world.setFaults(null);
    // Who waits for a breaker is woken when it closes; others look again within twelve minutes.
    const healsMs = blind === 'garbled' ? withinMs : 120_000;
    if (!(await world.until(() => isRight(world, letter, key), healsMs))) throw new Error(describeRow(agent, key));
    if (clouds.tiny.letters.size !== 1) throw new Error(`O5: ${String(clouds.tiny.letters.size)} letters`);
    world.sometimes(`unobservable:${blind}`);
    return world;
  } finally {
    world.close();
  }
}

/** The credential may not look up this one send, and is good for all else: to ask a person must not cost the others their account. */
async function refusedAlone(seed: number): Promise<World> {
  const [letter, token] = [scenarioOf('Letter'), scenarioOf('Token')];
  const world = createWorld({ seed });
  const { agent, db } = world;
  const [key, neighbour] = [subjectKey(letter), keyOf('Token', 'neighbour')];
  const isShut = (): boolean => db.providers.get('tiny/acct-1')?.breaker === 'open';
  const besides = async (ms: number, isEnough: () => boolean): Promise<boolean> => {
    for (let at = 0; at < ms && !isEnough(); at += neighbourEveryMs) {
      wakeNow(world, rowAt(world, neighbour).uid);
      await world.run(neighbourEveryMs);
    }
    return isEnough();
  };
  try {
    await world.prepare(letter);
    await agent.apply(neighbour, token.sample);
    world.setFaults(({ op }) => {
      if (op === 'tiny.letters.send') return 'lose-reply';
      return op === 'tiny.letters.find' ? 'forbid' : null;
    });
    await agent.apply(key, letter.sample);
    const isAsked = (): boolean => stalledReason(agent.row(key)) === 'NeedsDecision';
    if (!(await besides(15 * 60_000, isAsked))) throw new Error(`nobody is asked: ${describeRow(agent, key)}`);
    // Its first looks may have come close together; these here are a minute's of a row that waits for ten.
    if (!(await besides(10 * 60_000, () => !isShut()))) throw new Error('the account stays shut');
    if (await besides(60_000, isShut)) throw new Error(`O9: shut for all: ${describeRow(agent, key)}`);
    world.sometimes('unobservable:alone');
    return world;
  } finally {
    world.close();
  }
}
