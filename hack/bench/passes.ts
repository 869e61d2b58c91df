import { shardOf } from '#resources/shard.ts';
import { runBare } from './bare.ts';
import { figure } from './bench.ts';
import type { Bench, BenchContext, Figure } from './bench.ts';
import { controllerConnections, runEngine } from './engine-run.ts';
import type { EngineRun } from './engine-run.ts';
import { benchOptions, benchReconcilers } from './noop-kind.ts';
import { makeDue, seedRows, workspacesIn } from './rows.ts';
import { inTurn } from './stats.ts';

/** The whole engine over the no-op kind ÷ its own statements in a plain loop: same rows, shards, batch size and connections. */
function passBench(name: string, about: string, changing: boolean): Bench {
  return { name, about, run: (context) => run(context, { name, changing }) };
}

export const passesUnchanged = passBench('passes-unchanged', 'Passes that change nothing ÷ bare SQL', false);
export const passesChanging = passBench('passes-changing', 'Passes that write status ÷ bare SQL', true);

const shardsUsed = 16;

async function run(
  { quick, server, note }: BenchContext,
  { name, changing }: { readonly name: string; readonly changing: boolean },
): Promise<readonly Figure[]> {
  const [perWorkspace, rounds] = quick ? [100, 1] : [1_000, 3];
  const db = await server.database();
  const url = db.urlOf('vibn_controller');
  const workspaces = workspacesIn(shardsUsed);
  await seedRows(db.owner, { workspaces, perWorkspace });
  const engine = async (): Promise<EngineRun> => {
    const rows = await makeDue(db.owner);
    const result = await runEngine({ url, rows, reconcilers: benchReconcilers({ changing }) });
    note(
      `engine ${Math.round(result.perSecond)}/s, claims of ${result.claimRows.toFixed(0)}, settles of ${result.settleRows.toFixed(0)}`,
    );
    return result;
  };
  // The first passes over new rows write status whatever the kind: they are not measured.
  let last = await engine();
  const loops = benchOptions.engine.settleInFlightMax;
  const found = await inTurn(
    rounds,
    async () => (last = await engine()).perSecond,
    async () => {
      const rows = await makeDue(db.owner);
      const shards = workspaces.map(shardOf);
      const batch = Math.round(last.claimRows);
      const shape = { shards, rows, batch, loops, connections: controllerConnections, sample: last.sample, changing };
      const perSecond = await runBare({ url, ...shape });
      note(`bare ${Math.round(perSecond)}/s`);
      return perSecond;
    },
  );
  await db.drop();
  const total = perWorkspace * workspaces.length;
  const claimed = `engine: ${benchOptions.engine.slots} slots, claims of ${last.claimRows.toFixed(0)}, settles of ${last.settleRows.toFixed(0)}`;
  return [
    figure({
      name,
      ours: { value: found.ours, unit: 'passes/s' },
      reference: { value: found.reference, unit: 'rows/s', of: 'bare claim + read + settle' },
      goal: { text: '≥ 0.3', met: ({ ratio }) => ratio >= 0.3 },
      shape: `${total} rows, ${workspaces.length} shards, ${controllerConnections} connections; ${claimed}; bare: ${loops} loops, batches as large as these claims; median of ${rounds}`,
    }),
  ];
}
