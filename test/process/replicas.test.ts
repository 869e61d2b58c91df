import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seededRng } from '#hack/cloud/clock.ts';
import { StoreUnavailable } from '#controller/store/sql-errors.ts';
import { declarerOf } from '#test/simulation/engine-bench.ts';
import { machineMs } from '#hack/role-process.ts';
import { crate, parcel } from '#test/support/process/depot-kinds.ts';
import { createSite, uncheckedSends } from '#test/support/process/site.ts';
import type { Site, Worker } from '#test/support/process/site.ts';
import { earlySteals, foreignWrites, leaseChanges, takeovers } from '#test/support/process/work-log.ts';
import { until } from '#test/support/up.ts';

/**
 * Three controllers on one store, of which one is killed and one is stopped past its lease in each round, amid a call or anywhere; the one
 * that was stopped goes on when another has finished its work. A sample runs in CI; the full count by command:
 * VIBN_REPLICA_ROUNDS=60 npx vitest run --project process test/process/replicas.test.ts
 */
const rounds = Number(process.env['VIBN_REPLICA_ROUNDS'] ?? '3');
const seed = Number(process.env['VIBN_REPLICA_SEED'] ?? '1');
const names = ['w0', 'w1', 'w2'];
const workspaces = ['acme', 'beta', 'gamma'];
/** Longer than a call may begin after it was allowed (2 s): what was allowed before the stop must be asked again. */
const frozenMsMin = 2_200;

describe(`three controllers (replay: VIBN_REPLICA_SEED=${seed} VIBN_REPLICA_ROUNDS=${rounds})`, () => {
  let site: Site;
  beforeAll(async () => {
    site = await createSite(workspaces);
  });
  afterAll(() => site[Symbol.asyncDispose]());

  test(
    'killed and stopped past their leases do each thing once, and write and send nothing that is no longer theirs',
    async () => {
      const rng = seededRng(seed);
      const fleet = new Map<string, Worker>();
      for (const name of names) fleet.set(name, await site.worker(name));
      const resumes: { worker: Worker; at: number }[] = [];
      for (let round = 0; round < rounds; round += 1) {
        const [stopped, killed] = victims(fleet, rng);
        ambush(site, { worker: stopped, signal: 'SIGSTOP', rng });
        ambush(site, { worker: killed, signal: 'SIGKILL', rng });
        const frozenAt = machineMs();
        await declareRound(site, round);
        await killed.exited;
        fleet.set(killed.name, await site.worker(killed.name));
        await site.settled();
        await until(() => (machineMs() - frozenAt > frozenMsMin ? true : null));
        resumes.push({ worker: stopped, at: machineMs() });
        stopped.signal('SIGCONT');
      }
      await site.settled();
      for (const worker of fleet.values()) worker.signal('SIGTERM');
      expect(await Promise.all([...fleet.values()].map((worker) => worker.exited))).toEqual([0, 0, 0]);

      expect(resumes.flatMap(({ worker, at }) => uncheckedSends(worker, at))).toEqual([]);
      const changes = await leaseChanges(site.db.owner);
      expect(foreignWrites(changes)).toEqual([]);
      expect(earlySteals(changes)).toEqual([]);
      expect(takeovers(changes).length, 'rows taken over').toBeGreaterThan(rounds);
      expect(Object.fromEntries(site.depot.done())).toMatchObject(expectedEffects());
      expect(creations(site)).toEqual(creationsExpected());
      expect([...site.depot.crates.keys()].toSorted()).toEqual(cratesExpected());
      expect(await site.unsettled()).toEqual([]);
    },
    60_000 + rounds * 20_000,
  );
});

type Rng = ReturnType<typeof seededRng>;

function victims(fleet: ReadonlyMap<string, Worker>, rng: Rng): [stopped: Worker, killed: Worker] {
  const order = [...fleet.values()].map((worker) => ({ worker, at: rng.next() })).toSorted((a, b) => a.at - b.at);
  const [first, second] = order;
  if (first === undefined || second === undefined) throw new Error('two workers at least');
  return [first.worker, second.worker];
}

interface Ambush {
  readonly worker: Worker;
  readonly signal: NodeJS.Signals;
  readonly rng: Rng;
}

/** Sends the signal at one of the worker's next calls: before it is carried out or after, or some ms later; and at the latest after 1 s. */
function ambush(site: Site, { worker, signal, rng }: Ambush): void {
  let left = 1 + Math.floor(rng.next() * 4);
  const delayMs = rng.next() < 0.6 ? 0 : rng.next() * 30;
  let sent = false;
  const send = (): void => {
    if (!sent && worker.isRunning()) worker.signal(signal);
    sent = true;
  };
  const before = site.depot.beforeCall;
  site.depot.beforeCall = async (call) => {
    await before(call);
    if (sent || call.worker !== worker.name) return;
    left -= 1;
    if (left === 0) setTimeout(send, delayMs);
    // The signal falls before the call is carried out, or while its answer is on the way.
    if (left === 0 && rng.next() < 0.5) await new Promise((resolve) => setTimeout(resolve, delayMs + 5));
  };
  setTimeout(send, 1_000);
}

const cratesOf = (round: number): readonly string[] => Array.from({ length: 6 }, (_, n) => `r${round}-c${n}`);
const workspaceOf = (n: number): string => workspaces[n % workspaces.length] ?? '';

/** New crates and parcels; a change of those of the round before, and the end of half of those before that. */
async function declareRound(site: Site, round: number): Promise<void> {
  const of = (n: number) => declarerOf(site.resources, workspaceOf(n));
  const writes = [
    ...cratesOf(round).map((name, n) => () => of(n).apply(crate, name, { text: 'first' })),
    ...(round < 1 ? [] : cratesOf(round - 1).map((name, n) => () => of(n).apply(crate, name, { text: 'second' }))),
    ...(round < 2
      ? []
      : doomed(round - 2).map(
          ({ name, n }) =>
            () =>
              of(n).remove(crate, name),
        )),
    ...[0, 1, 2].map((n) => () => of(n).apply(parcel, `r${round}-p${n}`, {})),
  ];
  // A frozen worker holds the locks of its open transaction until the database ends its session, after 5 s: callers try again.
  await Promise.all(writes.map((write) => until(() => write().then(() => true, unavailable))));
}

/** Null for what passes; throws what does not. */
function unavailable(error: unknown): null {
  if (error instanceof StoreUnavailable) return null;
  throw error;
}

const doomed = (round: number) => cratesOf(round).flatMap((name, n) => (n % 2 === 0 ? [{ name, n }] : []));

/** Changes of each thing in a run without faults. */
function expectedEffects(): Record<string, number> {
  const effects: [string, number][] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const [n, name] of cratesOf(round).entries()) effects.push([`create crate ${workspaceOf(n)}-${name}`, 1]);
    if (round + 2 < rounds) {
      for (const { name, n } of doomed(round)) effects.push([`delete crate ${workspaceOf(n)}-${name}`, 1]);
    }
  }
  return Object.fromEntries(effects);
}

/** How many creations, deletions and sends there were in all: with each expected one seen, no other is left. */
function creations(site: Site): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const [what, count] of site.depot.done()) {
    const verb = what.split(' ').slice(0, 2).join(' ');
    if (verb !== 'update crate') counts[verb] = (counts[verb] ?? 0) + count;
  }
  return counts;
}

function creationsExpected(): Record<string, number> {
  const deleted = Math.max(0, rounds - 2) * 3;
  return { 'create crate': rounds * 6, 'send parcel': rounds * 3, ...(deleted > 0 ? { 'delete crate': deleted } : {}) };
}

function cratesExpected(): string[] {
  const gone = new Set(Array.from({ length: Math.max(0, rounds - 2) }, (_, round) => round));
  const all = Array.from({ length: rounds }, (_, round) =>
    cratesOf(round).map((name, n) => ({ key: `${workspaceOf(n)}-${name}`, gone: gone.has(round) && n % 2 === 0 })),
  );
  return all
    .flat()
    .filter((one) => !one.gone)
    .map((one) => one.key)
    .toSorted();
}
