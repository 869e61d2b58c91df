import { machineMs } from '#hack/role-process.ts';
import type { Agents } from './agents.ts';
import { startAgents } from './agents.ts';
import { manifestOf } from './apply.ts';
import { figure } from './bench.ts';
import type { Bench, BenchContext, Figure } from './bench.ts';
import { startChild } from './child.ts';
import { probePrefix } from './noop-kind.ts';
import { makeDue, seedRows, workspacesIn } from './rows.ts';
import type { BenchDatabase } from './server.ts';
import { percentile } from './stats.ts';

/**
 * How long an agent's wish takes to reach a provider: from the moment its `apply` is sent to the first provider call of that row, through
 * API, row, signal, claim and the start of the pass, three processes in all. Beside it, the answer of the same `apply`.
 */
export const firstCall: Bench = {
  name: 'first-call',
  about: 'apply → first provider call, idle and during a resync',
  run,
};

const shardsUsed = 16;

async function run({ quick, server, note }: BenchContext): Promise<readonly Figure[]> {
  const [rows, samples] = quick ? [3_000, 40] : [100_000, 400];
  const db = await server.database();
  const workspaces = workspacesIn(shardsUsed);
  await seedRows(db.owner, { workspaces, perWorkspace: Math.ceil(rows / shardsUsed) });
  const calls = new Map<string, (at: number) => void>();
  const heard = (name: string, at: number): void => {
    calls.get(name)?.(at);
    calls.delete(name);
  };
  const controller = await startChild({ role: 'controller', url: db.urlOf('vibn_controller') }, heard);
  const agents = await startAgents(db, { workspaces, connections: 64 });
  const probe = createProbe({ agents, workspaces, calls });
  for (let n = 0; n < 20; n += 1) await probe();

  const idle = await sample(probe, { samples, goOn: async () => true });
  note(`idle: ${textOf(idle)}`);
  // The first passes over all rows write status; the resync after them is one that changes nothing.
  await makeDue(db.owner);
  await sample(probe, { samples: Infinity, goOn: () => hasDue(db) });
  await makeDue(db.owner);
  const begun = performance.now();
  const busy = await sample(probe, { samples: Infinity, goOn: () => hasDue(db) });
  const perSecond = (rows / (performance.now() - begun)) * 1_000;
  note(`during ${rows} rows at ${Math.round(perSecond)}/s: ${textOf(busy)}`);
  await agents.stop();
  await controller.stop();
  await db.drop();
  const shape = `${shardsUsed} workspaces in ${shardsUsed} shards; API, controller and agents in processes of their own; a new row every 30–70 ms`;
  return [
    ...figuresOf('first-call-idle', idle, { max: 50, shape: `${shape}; ${idle.length} samples` }),
    ...figuresOf('first-call-resync', busy, {
      max: 250,
      shape: `${shape}; during an unchanged resync of ${rows} rows at ${Math.round(perSecond)} passes/s; ${busy.length} samples`,
    }),
  ];
}

interface Sample {
  readonly answeredMs: number;
  readonly calledMs: number;
}

/** Declares a new row, and hears of its first call. */
function createProbe(input: {
  readonly agents: Agents;
  readonly workspaces: readonly string[];
  readonly calls: Map<string, (at: number) => void>;
}): () => Promise<Sample> {
  let made = 0;
  return async () => {
    const name = `${probePrefix}${made++}`;
    const workspace = input.workspaces[made % input.workspaces.length] ?? '';
    const called = new Promise<number>((resolve) => input.calls.set(name, resolve));
    const sentAt = machineMs();
    const answeredMs = await input.agents.call(workspace, 'resources.apply', { manifest: manifestOf(workspace, name) });
    return { answeredMs, calledMs: (await called) - sentAt };
  };
}

/** Probes at uneven distances, whether or not earlier ones were answered, while `goOn` says so (asked now and then). */
async function sample(
  probe: () => Promise<Sample>,
  { samples, goOn }: { readonly samples: number; readonly goOn: () => Promise<boolean> },
): Promise<readonly Sample[]> {
  const pending: Promise<Sample>[] = [];
  while (pending.length < samples && (pending.length % 10 !== 9 || (await goOn()))) {
    pending.push(probe());
    await new Promise((resolve) => setTimeout(resolve, 30 + Math.random() * 40));
  }
  return await Promise.all(pending);
}

/** Whether the resync is still under way. */
async function hasDue(db: BenchDatabase): Promise<boolean> {
  const rows = await db.owner`
    select from work where priority = 'resync' and due_at <= statement_timestamp() limit 1`;
  return rows.length > 0;
}

function figuresOf(
  name: string,
  samples: readonly Sample[],
  { max, shape }: { readonly max: number; readonly shape: string },
): Figure[] {
  return [0.5, 0.99].map((share) =>
    figure({
      name: `${name}-p${share * 100}`,
      ours: {
        value: percentile(
          samples.map((one) => one.calledMs),
          share,
        ),
        unit: 'ms',
      },
      reference: {
        value: percentile(
          samples.map((one) => one.answeredMs),
          share,
        ),
        unit: 'ms',
        of: 'the answer of apply',
      },
      ...(share === 0.99 ? { goal: { text: `< ${max} ms`, met: ({ ours }) => ours < max } } : {}),
      shape,
    }),
  );
}

function textOf(samples: readonly Sample[]): string {
  const called = samples.map((one) => one.calledMs);
  return `p50 ${percentile(called, 0.5).toFixed(1)} ms, p99 ${percentile(called, 0.99).toFixed(1)} ms of ${samples.length}`;
}
