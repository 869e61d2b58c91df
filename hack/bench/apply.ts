import { apiVersion } from '#resources/manifest.ts';
import { closedLoop, openLoop, startAgents } from './agents.ts';
import { openBareMutations } from './bare-mutation.ts';
import { figure } from './bench.ts';
import type { Bench, BenchContext, Figure } from './bench.ts';
import { seedRows, workspacesIn } from './rows.ts';
import { inTurn, percentile } from './stats.ts';

/** `resources.apply` of new rows, one each, ÷ a mutation that does nothing, over the same HTTP connections to the same server. */
export const apply: Bench = {
  name: 'apply',
  about: 'apply requests a second ÷ a no-op mutation; p99 at half of that load',
  run,
};

const shardsUsed = 16;
/** Rows of each workspace before. */
const seeded = 500;
const callers = 32;
/** More than one transaction of each workspace can take at once: what waits is committed together. */
const manyCallers = 128;
/** Of the bare transactions: as many as the API has at most. */
const bareConnections = 10;

/** The manifest of one Noop. */
export function manifestOf(workspace: string, name: string): object {
  return { apiVersion, kind: 'Noop', metadata: { workspace, name }, spec: { text: `I am ${name}` } };
}

type Call = (n: number) => Promise<number>;
type Pair = Awaited<ReturnType<typeof inTurn>>;

async function run({ quick, server, note }: BenchContext): Promise<readonly Figure[]> {
  const [seconds, rounds] = quick ? [1.5, 1] : [6, 3];
  const db = await server.database();
  const workspaces = workspacesIn(shardsUsed);
  // Not empty: plans are made for tables of some size, and kept.
  await seedRows(db.owner, { workspaces, perWorkspace: seeded });
  const agents = await startAgents(db, { workspaces, connections: manyCallers });
  const bare = openBareMutations(db, bareConnections);
  const place = (n: number): string => workspaces[n % workspaces.length] ?? '';
  let made = 0;
  const name = (): string => `new-${(made += 1)}`;
  const applyOne: Call = (n) => agents.call(place(n), 'resources.apply', { manifest: manifestOf(place(n), name()) });
  const noopOne: Call = (n) => agents.call(place(n), 'bench.noop', { workspace: place(n) });
  const bareOne: Call = (n) => bare.mutate(place(n), name());
  const measured = async (what: string, shape: { callers: number; seconds: number }, call: Call): Promise<number> => {
    const perSecond = await closedLoop(shape, call);
    note(`${what} ${Math.round(perSecond)}/s`);
    return perSecond;
  };
  const paired = (shape: { callers: number; seconds: number }): Promise<Pair> =>
    inTurn(
      rounds,
      () => measured(`apply, ${shape.callers} callers`, shape, applyOne),
      () => measured(`no-op, ${shape.callers} callers`, shape, noopOne),
    );
  // Code warm, statements prepared.
  for (const call of [applyOne, noopOne, bareOne]) await closedLoop({ callers, seconds: seconds / 2 }, call);
  const few = await paired({ callers, seconds });
  const many = await paired({ callers: manyCallers, seconds: seconds / 2 });
  const bareShape = { callers: bareConnections, seconds };
  const alone = await measured('bare transactions', bareShape, bareOne);
  const half = { perSecond: few.ours / 2, seconds: seconds * 2 };
  const [applied, idle, plain] = [
    await openLoop(half, applyOne),
    await openLoop(half, noopOne),
    await openLoop(half, bareOne),
  ];
  await bare.end();
  await agents.stop();
  await db.drop();
  return [...throughput({ few, many, alone, rounds }), ...latencies({ applied, idle, plain }, half)];
}

const shape = `one new row a request, ${shardsUsed} workspaces of ${seeded} rows in ${shardsUsed} shards, tenants' keys, API in a process of its own with pools of 10`;

/** Of each call, in ms. */
interface Latencies {
  readonly applied: readonly number[];
  readonly idle: readonly number[];
  /** Of bare transactions: what the database, its disk and the machine's processors leave. */
  readonly plain: readonly number[];
}

function latencies(
  { applied, idle, plain }: Latencies,
  half: { readonly perSecond: number; readonly seconds: number },
): readonly Figure[] {
  const rate = `${Math.round(half.perSecond)} requests/s for ${half.seconds} s, timed from when each was due`;
  const noop = { times: idle, of: 'no-op mutation at the same rate' };
  const bare = { times: plain, of: 'bare transaction at the same rate' };
  const of = (name: string, share: number, reference: typeof noop): Parameters<typeof figure>[0] => ({
    name: `apply-p${share * 100}-${name}`,
    ours: { value: percentile(applied, share), unit: 'ms' },
    reference: { value: percentile(reference.times, share), unit: 'ms', of: reference.of },
    shape: `${shape}; ${rate}`,
  });
  return [
    figure(of('half-load', 0.5, noop)),
    figure({ ...of('half-load', 0.99, noop), goal: { text: '< 20 ms', met: ({ ours }) => ours < 20 } }),
    figure(of('bare', 0.99, bare)),
  ];
}

interface Found {
  readonly few: Pair;
  readonly many: Pair;
  /** Bare transactions a second. */
  readonly alone: number;
  readonly rounds: number;
}

function throughput({ few, many, alone, rounds }: Found): readonly Figure[] {
  const ofCallers = ({ ours, reference }: Pair, name: string, count: number): Figure =>
    figure({
      name,
      ours: { value: ours, unit: 'requests/s' },
      reference: { value: reference, unit: 'requests/s', of: 'no-op mutation' },
      goal: { text: '≥ 0.4', met: ({ ratio }) => ratio >= 0.4 },
      shape: `${shape}; ${count} callers, ${count / shardsUsed} of each workspace; median of ${rounds}`,
    });
  // The machine's cores do the one and then the other for each request, if nothing else is to be done and nothing shared.
  const both = 1 / (1 / alone + 1 / few.reference);
  return [
    ofCallers(few, 'apply', callers),
    ofCallers(many, `apply-${manyCallers}-callers`, manyCallers),
    figure({
      name: 'apply-bare',
      ours: { value: few.ours, unit: 'requests/s' },
      reference: { value: alone, unit: 'transactions/s', of: 'bare lock + read + write + commit' },
      shape: `the same rows, ${bareConnections} connections of plain postgres.js in one process, a transaction each; a no-op request and a bare transaction one after the other: ${Math.round(both)}/s, ${(both / few.reference).toFixed(2)} of no-op`,
    }),
  ];
}
