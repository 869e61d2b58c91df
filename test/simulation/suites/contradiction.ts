import type { Remedy } from '#resources/condition.ts';
import type { JsonObject } from '#resources/json.ts';
import { providerCuts, storeCuts } from '#test/simulation/effects.ts';
import type { Cut } from '#test/simulation/effects.ts';
import { tablesOf } from '#test/simulation/oracles.ts';
import { workspaceName } from '#test/simulation/scenarios/scenario.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { createWorld, describeRow, isReady, scenarios, subjectKey } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';
import { isBackground, isParked, isRight, rowAt, stalledReason, withinMs } from './steps.ts';
import { cutsOf, restarts } from './crash-everywhere.ts';
import type { Suite, SuiteCase } from './suite.ts';

/**
 * contradiction: a send took effect after it had been given up. The row stalls, finished or not, says what to call, is listed, and
 * nothing is sent for as long as nobody has decided; a decision ends it, from a crash at every effect as well.
 */
export const contradiction: Suite = {
  name: 'contradiction',
  cases: async (seed) => [
    ...outcomes.map((outcome) => ({ id: `zombie/${outcome}`, run: () => runZombie(seed, outcome) })),
    ...outcomes.map((outcome) => ({ id: `one attempt/${outcome}`, run: () => runDecided({ seed, outcome }) })),
    ...(await Promise.all(outcomes.map((outcome) => crashCases({ seed, outcome })))).flat(),
  ],
  mustHit: [
    'contradiction:after-finished',
    'contradiction:sent-anew',
    ...[...providerCuts, ...storeCuts].map((cut) => `cut:${cut}`),
  ],
};

const outcomes = ['happened', 'did_not'] as const;
type Word = (typeof outcomes)[number];

const quietMs = 86_400_000;
const briefMs = 120_000;
const effect = 'send';
const by = { keyId: 'sre', lineage: 'sre', class: 'sre', workspace: null, scopes: [] } as const;

function untraceable(): Scenario {
  const found = scenarios.find((scenario) => scenario.untraceable);
  if (found === undefined) throw new Error('there is no untraceable scenario');
  return found;
}

/** The remedy that the row itself names. Throws if it names none for that word. */
async function decide({ agent, stores }: World, scenario: Scenario, outcome: Word): Promise<void> {
  const key = subjectKey(scenario);
  const row = agent.row(key);
  const stalled = row?.conditions.find((one) => one.type === 'Stalled');
  const calls = (stalled?.remedy ?? []).filter((one) => one.call.proc === 'decisions.resolve').map(inputOf);
  const call = calls.find((input) => input['outcome'] === outcome);
  if (call?.['effect'] !== effect) throw new Error(`no remedy: ${describeRow(agent, key)}`);
  if (stalled?.clearsOn?.includes(`decision:${row?.uid ?? ''}`) !== true) throw new Error('clearsOn names no decision');
  const decision = { effect, outcome, evidence: 'asked them', by };
  if (!(await stores.resources.decide('platform', { key, decision }))) throw new Error('the decision was not taken');
}

function inputOf({ call }: Remedy): JsonObject {
  return call.input as JsonObject;
}

async function expectContradicted(world: World, scenario: Scenario, forMs = quietMs): Promise<void> {
  const { agent, stores, clouds } = world;
  const key = subjectKey(scenario);
  if (!(await world.until(() => stalledReason(agent.row(key)) === 'InvariantViolated', 60_000)))
    throw new Error(`silent: ${describeRow(agent, key)}`);
  const listed = await stores.resources.unknowns('platform', { workspace: workspaceName, limit: 10 });
  if (listed.filter((one) => one.contradicts && one.effect === effect).length !== 1)
    throw new Error('it is not listed');
  const before = clouds.tiny.letters.size;
  await world.run(forMs);
  if (clouds.tiny.letters.size !== before) throw new Error('sent again without a decision');
  if (isReady(agent.row(key))) throw new Error('O6: Ready while it may be there twice');
}

/** The person has taken away what is too much; nothing is left where it is to be as if it had never been sent. */
function takeAway({ clouds }: World, outcome: Word): void {
  const { letters, state } = clouds.tiny;
  const tooMany = Array.from(letters.keys()).slice(outcome === 'happened' ? 1 : 0);
  state.transact(() => {
    for (const letter of tooMany) letters.delete(letter);
  });
}

async function expectEnded(world: World, scenario: Scenario, forMs = quietMs): Promise<void> {
  const { agent, clouds, stores } = world;
  const key = subjectKey(scenario);
  const isOver = (): boolean => isRight(world, scenario, key) || isParked(world, key);
  if (!(await world.until(isOver, withinMs))) throw new Error(`O1: ${describeRow(agent, key)}`);
  const before = clouds.tiny.letters.size;
  await world.run(forMs);
  if (clouds.tiny.letters.size !== before || before > 1) throw new Error(`O5: ${String(before)} letters`);
  if (!isOver()) throw new Error(`O1: did not stay so: ${describeRow(agent, key)}`);
  const listed = await stores.resources.unknowns('platform', { workspace: workspaceName, limit: 10 });
  if (listed.some((one) => one.contradicts)) throw new Error('it is still listed');
}

/** A worker stands still with the answer in its hand; a person decides that nothing happened, another sends; then it wakes up. */
async function runZombie(seed: number, outcome: Word): Promise<World> {
  const scenario = untraceable();
  const world = createWorld({ seed, duplicatesAllowed: true });
  const { agent } = world;
  const key = subjectKey(scenario);
  try {
    await world.prepare(scenario);
    const [zombie] = world.workers;
    let stopped = false;
    world.onIssue(({ op, worker }) => {
      if (stopped || op !== 'tiny.letters.send' || worker !== zombie?.name) return;
      stopped = true;
      zombie.life.pause();
    });
    await agent.apply(key, scenario.sample);
    await world.until(() => zombie?.life.state() === 'paused', withinMs);
    world.startWorker('w2');
    if (!(await world.until(() => isParked(world, key), withinMs))) throw new Error(describeRow(agent, key));
    await decide(world, scenario, 'did_not');
    if (!(await world.until(() => isReady(agent.row(key)), withinMs))) throw new Error(describeRow(agent, key));
    zombie?.life.resume();
    await expectContradicted(world, scenario);
    world.sometimes('contradiction:after-finished');
    takeAway(world, outcome);
    await decide(world, scenario, outcome);
    await expectEnded(world, scenario);
    if (isParked(world, key)) throw new Error('the second attempt was done, and is asked about');
    if (world.clouds.tiny.letters.size !== 1) throw new Error(`O1: nothing is left after "${outcome}"`);
    return world;
  } finally {
    world.close();
  }
}

interface Decided {
  readonly seed: number;
  readonly outcome: Word;
  /** Waits minutes instead of a day for what must not happen: there are hundreds of crashes. */
  readonly brief?: true;
}

interface Crash extends Decided {
  readonly n: number;
  readonly cut: Cut;
  readonly restartAfterMs: number;
}

/** One attempt, retired and then answered as done; the effects of its decision are those after `from`. */
async function runDecided(one: Decided & Partial<Crash>): Promise<World & { readonly from: number }> {
  const scenario = untraceable();
  const { outcome } = one;
  const world = createWorld({ seed: one.seed });
  const { agent, stores, clouds } = world;
  const key = subjectKey(scenario);
  try {
    await world.prepare(scenario);
    let struck = false;
    world.setFaults(({ op }) => {
      if (struck || op !== 'tiny.letters.send') return null;
      struck = true;
      return 'lose-reply';
    });
    await agent.apply(key, scenario.sample);
    const { uid, shard } = rowAt(world, key);
    const intents = () => tablesOf(world)?.intents.get(uid) ?? [];
    if (!(await world.until(() => intents()[0]?.state === 'unknown', withinMs))) throw new Error('it is not unknown');
    const nonce = intents()[0]?.nonce ?? '';
    await stores.engine.retire({ shard, uid, nonce });
    await stores.engine.answer({ shard, uid, nonce, state: 'done', result: null });
    const isCut = one.n !== undefined;
    await expectContradicted(world, scenario, one.brief ? briefMs : quietMs);
    takeAway(world, outcome);
    const from = world.effects().length;
    if (one.n !== undefined && one.cut !== undefined) world.cutAt(one.n, one.cut, one.restartAfterMs);
    await decide(world, scenario, outcome);
    if (isCut && !(await world.until(() => world.wasCut(), withinMs))) throw new Error('the cut was never reached');
    await expectEnded(world, scenario, one.brief ? briefMs : quietMs);
    const sends = intents().filter((intent) => intent.sentAt !== null).length;
    if (sends !== (outcome === 'did_not' ? 2 : 1) && !isParked(world, key))
      throw new Error(`O5: ${String(sends)} attempts after "${outcome}", ${String(clouds.tiny.letters.size)} letters`);
    if (sends === 2) world.sometimes('contradiction:sent-anew');
    return { ...world, from };
  } finally {
    world.close();
  }
}

/** A crash at every effect that follows a decision. */
async function crashCases(of: Decided): Promise<readonly SuiteCase[]> {
  const one = { ...of, brief: true } as const;
  const calm = await runDecided(one);
  const effects = calm.effects().slice(calm.from, calm.from + effectsCut);
  return effects
    .filter((found) => !isBackground(found))
    .flatMap((found) => cutsOf(found).map((cut) => ({ ...one, n: found.n, cut })))
    .flatMap((found) => restarts.map((restartAfterMs) => ({ ...found, restartAfterMs })))
    .map((found) => ({
      id: `${found.outcome}/${String(found.n)}:${found.cut}:${String(found.restartAfterMs)}`,
      run: () => runDecided(found),
    }));
}

/** The decision's passes are over by then; the rest is the poll of an idle engine. */
const effectsCut = 40;
