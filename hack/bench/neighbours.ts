import { closedLoop, openLoop, startAgents } from './agents.ts';
import type { Agents } from './agents.ts';
import { manifestOf } from './apply.ts';
import { figure } from './bench.ts';
import type { Bench, BenchContext, Figure } from './bench.ts';
import { noop } from './noop-kind.ts';
import { seedRows, workspacesIn } from './rows.ts';
import { percentile } from './stats.ts';

/** What one tenant's reads cost another: its calls while the other's are under way, beside the same with nobody else. */
export const neighbours: Bench = {
  name: 'neighbours',
  about: "p99 of a tenant's get and apply while another has 1,200 gets, or 200 lists, under way ÷ with nobody else",
  run,
};

const seeded = 500;
/** Of the quiet tenant, of each procedure. */
const perSecond = 40;
/** What the noisy tenant has under way at any time. */
const noises = [
  { procedure: 'resources.get', callers: 1_200 },
  { procedure: 'resources.list', callers: 200 },
] as const;

async function run({ quick, server, note }: BenchContext): Promise<readonly Figure[]> {
  const seconds = quick ? 4 : 12;
  const db = await server.database();
  const [noisy = '', quiet = ''] = workspacesIn(2);
  await seedRows(db.owner, { workspaces: [noisy, quiet], perWorkspace: seeded });
  // A connection for each caller: on this side nobody waits for another.
  const agents = await startAgents(db, { workspaces: [noisy, quiet], connections: 2_000 });
  const calls = quietCalls(agents, quiet);
  for (const call of [calls.get, calls.apply]) await closedLoop({ callers: 4, seconds: 2 }, call);
  const measured = async (): Promise<Found> => {
    const [get, apply] = await Promise.all(
      [calls.get, calls.apply].map((call) => openLoop({ perSecond, seconds }, call)),
    );
    return { get: percentile(get ?? [], 0.99), apply: percentile(apply ?? [], 0.99) };
  };
  const alone = await measured();
  const figures: Figure[] = [];
  for (const noise of noises) {
    const made = makeNoise(agents, { ...noise, workspace: noisy, seconds: seconds + 2 });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const beside = await measured();
    note(`${noise.callers} × ${noise.procedure}: ${await made}`);
    figures.push(...figuresOf({ alone, beside, noise }));
  }
  await agents.stop();
  await db.drop();
  return figures;
}

/** p99, in ms. */
interface Found {
  readonly get: number;
  readonly apply: number;
}

function quietCalls(agents: Agents, workspace: string) {
  let made = 0;
  return {
    get: (n: number) => agents.call(workspace, 'resources.get', rowOf(workspace, n)),
    apply: () => agents.call(workspace, 'resources.apply', { manifest: manifestOf(workspace, `new-${(made += 1)}`) }),
  };
}

const rowOf = (workspace: string, n: number): object => ({ workspace, kind: noop.name, name: `row-${n % seeded}` });

interface Noise {
  readonly procedure: (typeof noises)[number]['procedure'];
  readonly callers: number;
  readonly workspace: string;
  readonly seconds: number;
}

/** Answers how many were answered a second, and how many of them were refused. */
async function makeNoise(agents: Agents, { procedure, workspace, callers, seconds }: Noise): Promise<string> {
  let refused = 0;
  const refuse = async (): Promise<number> => {
    refused += 1;
    // As a caller does who is told when to come again.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    return 0;
  };
  const total = await closedLoop({ callers, seconds }, (n) => {
    const input = procedure === 'resources.list' ? { workspace } : rowOf(workspace, n);
    return agents.call(workspace, procedure, input).catch(refuse);
  });
  return `${Math.round(total)}/s, ${refused} refused in all`;
}

function figuresOf(found: {
  readonly alone: Found;
  readonly beside: Found;
  readonly noise: (typeof noises)[number];
}): readonly Figure[] {
  const { alone, beside, noise } = found;
  return (['get', 'apply'] as const).map((what) =>
    figure({
      name: `${what}-p99-beside-${noise.callers}-${noise.procedure.replace('resources.', '')}s`,
      ours: { value: beside[what], unit: 'ms' },
      reference: { value: alone[what], unit: 'ms', of: 'the same with nobody else' },
      shape: `${perSecond} gets and as many applies a second of one workspace, timed from when each was due; another has ${noise.callers} ${noise.procedure} under way; one API with pools of 10`,
    }),
  );
}
