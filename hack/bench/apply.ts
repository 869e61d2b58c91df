import { apiVersion } from '#resources/manifest.ts';
import { closedLoop, openLoop, startAgents } from './agents.ts';
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

/** The manifest of one Noop. */
export function manifestOf(workspace: string, name: string): object {
  return { apiVersion, kind: 'Noop', metadata: { workspace, name }, spec: { text: `I am ${name}` } };
}

async function run({ quick, server, note }: BenchContext): Promise<readonly Figure[]> {
  const [seconds, rounds] = quick ? [1.5, 1] : [6, 3];
  const db = await server.database();
  const workspaces = workspacesIn(shardsUsed);
  // Not empty: plans are made for tables of some size, and kept.
  await seedRows(db.owner, { workspaces, perWorkspace: seeded });
  const agents = await startAgents(db, { workspaces, connections: callers * 4 });
  const place = (n: number): string => workspaces[n % workspaces.length] ?? '';
  let made = 0;
  const applyOne = (n: number): Promise<number> => {
    made += 1;
    return agents.call(place(n), 'resources.apply', { manifest: manifestOf(place(n), `new-${made}`) });
  };
  const noopOne = (n: number): Promise<number> => agents.call(place(n), 'bench.noop', { workspace: place(n) });
  const measured = async (what: string, call: (n: number) => Promise<number>): Promise<number> => {
    const perSecond = await closedLoop({ callers, seconds }, call);
    note(`${what} ${Math.round(perSecond)}/s`);
    return perSecond;
  };
  // Code warm, statements prepared.
  await closedLoop({ callers, seconds: seconds / 2 }, applyOne);
  await closedLoop({ callers, seconds: seconds / 2 }, noopOne);
  const found = await inTurn(
    rounds,
    () => measured('apply', applyOne),
    () => measured('no-op', noopOne),
  );
  const half = { perSecond: found.ours / 2, seconds: seconds * 2 };
  const [applied, idle] = [await openLoop(half, applyOne), await openLoop(half, noopOne)];
  await agents.stop();
  await db.drop();
  const shape = `one new row a request, ${shardsUsed} workspaces of ${seeded} rows in ${shardsUsed} shards, tenants' keys, API in a process of its own with pools of 10`;
  return [
    figure({
      name: 'apply',
      ours: { value: found.ours, unit: 'requests/s' },
      reference: { value: found.reference, unit: 'requests/s', of: 'no-op mutation' },
      goal: { text: '≥ 0.4', met: ({ ratio }) => ratio >= 0.4 },
      shape: `${shape}; ${callers} callers; median of ${rounds}`,
    }),
    ...[0.5, 0.99].map((share) =>
      figure({
        name: `apply-p${share * 100}-half-load`,
        ours: { value: percentile(applied, share), unit: 'ms' },
        reference: { value: percentile(idle, share), unit: 'ms', of: 'no-op mutation at the same rate' },
        ...(share === 0.99 ? { goal: { text: '< 20 ms', met: ({ ours }) => ours < 20 } } : {}),
        shape: `${shape}; ${Math.round(half.perSecond)} requests/s for ${half.seconds} s, timed from when each was due`,
      }),
    ),
  ];
}
