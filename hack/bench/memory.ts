import { figure } from './bench.ts';
import type { Bench, BenchContext, Figure } from './bench.ts';
import { startChild } from './child.ts';
import type { Child } from './child.ts';
import { makeDue, seedRows, workspacesIn } from './rows.ts';
import type { BenchDatabase } from './server.ts';

/** Memory of the controller while it reconciles 100,000 rows again and again: the greatest seen in a round, and whether it grows. */
export const memory: Bench = {
  name: 'memory',
  about: 'Memory of the controller with 100,000 resources, and whether it is flat',
  run,
};

const shardsUsed = 64;
const lookEveryMs = 250;

async function run({ quick, server, note }: BenchContext): Promise<readonly Figure[]> {
  const [rows, rounds] = quick ? [4_000, 2] : [100_000, 3];
  const db = await server.database();
  await seedRows(db.owner, { workspaces: workspacesIn(shardsUsed), perWorkspace: Math.ceil(rows / shardsUsed) });
  const controller = await startChild({ role: 'controller', url: db.urlOf('vibn_controller') });
  const idle = megabytes((await controller.memory()).rssBytes);
  const tops: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    await makeDue(db.owner);
    tops.push(await greatest(controller, db));
    note(`round ${round}: at most ${tops.at(-1)?.toFixed(0) ?? ''} MB (idle, before: ${idle.toFixed(0)} MB)`);
  }
  await controller.stop();
  await db.drop();
  const shape = `${rows} rows in ${shardsUsed} shards, all reconciled ${rounds + 1} times; RSS as it is, no collection forced, seen every ${lookEveryMs} ms`;
  const unit = 'MB';
  return [
    figure({
      name: 'memory',
      ours: { value: Math.max(...tops), unit },
      reference: { value: idle, unit, of: 'the same controller before its first pass' },
      goal: { text: '< 256 MB', met: ({ ours }) => ours < 256 },
      shape,
    }),
    figure({
      name: 'memory-flat',
      ours: { value: tops.at(-1) ?? Number.NaN, unit },
      reference: { value: tops[1] ?? Number.NaN, unit, of: 'its second round' },
      goal: { text: '≤ 1.1', met: ({ ratio }) => ratio <= 1.1 },
      shape,
    }),
  ];
}

/** The most it had while rows were due. */
async function greatest(controller: Child, db: BenchDatabase): Promise<number> {
  let most = 0;
  for (;;) {
    most = Math.max(most, megabytes((await controller.memory()).rssBytes));
    const due = await db.owner`select from work where due_at <= statement_timestamp() limit 1`;
    if (due.length === 0) return most;
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
}

export function megabytes(bytes: number): number {
  return bytes / 1_000_000;
}
