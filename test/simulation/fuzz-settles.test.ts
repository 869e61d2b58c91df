import fc from 'fast-check';
import '#test/support/seeds.ts';
import { expect, it } from 'vitest';
import type { Clock } from '#controller/clock.ts';
import { projectResource } from '#resources/conditions.ts';
import type { Condition } from '#resources/condition.ts';
import type { Resource, ResourceRow } from '#resources/resource.ts';
import { bend, bent } from '#test/e2e/api-fuzz-inputs.ts';
import { bucketManifest, startApi } from '#test/e2e/api-support.ts';
import type { TestApi } from '#test/e2e/api-support.ts';
import { hintsOf, manifestsOf } from '#test/support/manifest-values.ts';
import { createWorld } from './world.ts';
import type { World } from './world.ts';

/**
 * Nothing is accepted that never settles: declarations made from the schemas, some of them bent, go through the real API into a world
 * with the real engine and the local cloud. What was accepted must end Ready, or stand still with a reason, a remedy and what clears it.
 * `VIBN_FUZZ_SETTLES` sets how many (default 1,000), `VIBN_FUZZ_SEED` the seed of the first hundred; 10⁵ by command:
 *
 *   VIBN_FUZZ_SETTLES=100000 vitest run --project simulation test/simulation/fuzz-settles.test.ts
 */
const cases = Number(process.env['VIBN_FUZZ_SETTLES'] ?? '1000');
const firstSeed = Number(process.env['VIBN_FUZZ_SEED'] ?? '1');
const perWorld = 100;
const workspace = 'acme';
const names = ['default', ...Array.from({ length: 40 }, (_, n) => `row-${n}`)];
/** Declared before the rest, so that references, patches and deletions find something. */
const first = names.slice(0, 20);
/** Longer than any wait of a kind, and than ten windows of the destruction budget. */
const patienceMs = 6 * 3_600_000;
const lookEveryMs = 300_000;

type Declared = readonly [procedure: string, input: unknown];

/** Six of ten declare, the rest change and remove what was declared; one of four is bent. */
function declarations(): fc.Arbitrary<Declared> {
  const { patch, name } = hintsOf(workspace, names);
  if (patch === undefined || name === undefined) throw new Error('the hints have lost a field');
  const kind = fc.constantFrom('Bucket', 'Bucket', 'ObjectDeletion');
  const ref = { workspace: fc.constant(workspace), kind, name };
  const input = fc.oneof(
    { weight: 6, arbitrary: declares('resources.apply', fc.record({ manifest: manifestsOf(workspace, names) })) },
    { weight: 2, arbitrary: declares('resources.patch', fc.record({ ...ref, patch })) },
    {
      weight: 1,
      arbitrary: declares(
        'resources.delete',
        fc.record(ref).map((input) => ({ ...input, confirm: input.name })),
      ),
    },
    { weight: 1, arbitrary: declares('resources.undelete', fc.record(ref)) },
  );
  return fc
    .tuple(input, fc.array(bend, { minLength: 1, maxLength: 2 }), fc.integer({ min: 0, max: 3 }))
    .map(([[procedure, right], bends, often]) => [
      procedure,
      often === 0 ? bends.reduce<unknown>((value, one) => bent(value, one), right) : right,
    ]);
}

function declares(procedure: string, input: fc.Arbitrary<unknown>): fc.Arbitrary<Declared> {
  return input.map((value) => [procedure, value] as const);
}

/** The world's time, as the API asks for it. */
function clockOf(world: World): Clock {
  const { timeline } = world;
  return {
    now: () => world.now(),
    monotonic: () => timeline.elapsed(),
    after: (ms, callback) => timeline.after(ms, callback),
    sleep: (ms) => new Promise((resolve) => void timeline.after(ms, resolve)),
  };
}

/** Why a resource has not come to rest; null: it has. */
function restless(resource: Resource): string | null {
  const { conditions } = resource.status;
  const of = (type: string): Condition | undefined =>
    conditions.find((one) => one.type === type && one.status === 'True');
  if (of('Ready') !== undefined && resource.status.observedGeneration === resource.metadata.generation) return null;
  const stands = of('Stalled') ?? of('Suspended') ?? of('DeletionBlocked');
  if (stands !== undefined) {
    const told = stands.message !== '' && stands.remedy !== undefined && stands.remedy.length > 0;
    return told && (stands.clearsOn ?? []).length > 0 ? null : `${stands.type}/${stands.reason} without a way out`;
  }
  const waits = conditions.find((one) => one.type === 'DependenciesReady' && one.status === 'False');
  if (waits !== undefined && (waits.blockedBy ?? []).length > 0) return null;
  const drifts = conditions.find((one) => one.type === 'InSync' && one.status === 'False');
  if (drifts !== undefined && resource.spec['managementPolicy'] === 'Observe') return null;
  return `neither Ready nor standing still: ${conditions.map((one) => `${one.type}=${one.status}/${one.reason}`).join(' ')}`;
}

function rowsOf(world: World): readonly ResourceRow[] {
  return [...world.db.shards.values()].flatMap((tables) => [...tables.rows.values()]);
}

function unsettled(world: World): readonly string[] {
  return rowsOf(world).flatMap((row) => {
    const work = world.db.shards.get(row.shard)?.work.get(row.uid) ?? null;
    const resource = projectResource({ row, work, owner: null });
    const why = restless(resource);
    return why === null ? [] : [`${row.kind}/${row.name} ${JSON.stringify(row.spec)}: ${why}`];
  });
}

interface Tally {
  sent: number;
  accepted: number;
  ready: number;
  standing: number;
  readonly never: string[];
  readonly broken: string[];
}

async function send(api: TestApi, [procedure, input]: Declared, tally: Tally): Promise<void> {
  const { status, error } = await api.call(procedure, input);
  tally.sent += 1;
  if (status === 200) tally.accepted += 1;
  else if (status >= 500) tally.broken.push(`${procedure} ${JSON.stringify(input)}: ${JSON.stringify(error)}`);
}

async function runWorld(seed: number, tally: Tally): Promise<void> {
  const world = createWorld({ seed });
  const api = await startApi({ database: world.db, clock: clockOf(world), rng: world.rng });
  try {
    world.startWorker('w1');
    for (const name of first) await api.call('resources.apply', { manifest: bucketManifest(name) });
    for (const declared of fc.sample(declarations(), { numRuns: perWorld, seed })) {
      await send(api, declared, tally);
      if (world.rng.chance(0.2)) await world.run(world.rng.int(20_000));
    }
    for (let waited = 0; waited < patienceMs && unsettled(world).length > 0; waited += lookEveryMs)
      await world.run(lookEveryMs);
    const left = unsettled(world);
    tally.never.push(...left.map((one) => `seed ${seed}: ${one}`));
    const ready = rowsOf(world).filter((row) =>
      row.conditions.some((one) => one.type === 'Ready' && one.status === 'True'),
    );
    tally.ready += ready.length;
    tally.standing += rowsOf(world).length - ready.length - left.length;
  } finally {
    await api.close();
    world.close();
  }
}

it('what the API accepts ends Ready, or stands still and says what to do', { timeout: 3_600_000 }, async () => {
  const tally: Tally = { sent: 0, accepted: 0, ready: 0, standing: 0, never: [], broken: [] };
  for (let seed = firstSeed; tally.sent < cases; seed += 1) await runWorld(seed, tally);
  const { never, broken, ...counts } = tally;
  process.stdout.write(`fuzz-settles ${JSON.stringify(counts)}\n`);
  expect(broken.slice(0, 3)).toEqual([]);
  expect(never.slice(0, 5)).toEqual([]);
  expect(tally.accepted / tally.sent).toBeGreaterThan(0.2);
  expect(Math.min(tally.ready, tally.standing)).toBeGreaterThan(0);
});
