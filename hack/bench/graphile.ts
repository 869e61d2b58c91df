import { EventEmitter } from 'node:events';
import type * as graphileWorker from 'graphile-worker';
import type { WorkerEvents } from 'graphile-worker';
import { figure } from './bench.ts';
import type { Bench, BenchContext, Figure, Skipped } from './bench.ts';
import { controllerConnections, runEngine } from './engine-run.ts';
import { benchOptions, benchReconcilers } from './noop-kind.ts';
import { makeDue, seedRows, workspacesIn } from './rows.ts';
import type { BenchDatabase } from './server.ts';
import { inTurn } from './stats.ts';

/**
 * A well-kept job queue on the same server as a yardstick: graphile-worker with a task that does nothing and as many connections as the
 * controller. Its job is less: it takes and deletes, we read, observe, plan, settle.
 */
export const graphile: Bench = {
  name: 'graphile',
  about: 'Passes a second ÷ jobs a second of graphile-worker, default and with its local queue',
  run,
};

const shardsUsed = 16;

async function run({ quick, server, note }: BenchContext): Promise<readonly Figure[] | Skipped> {
  const worker = await import('graphile-worker').catch(() => null);
  if (worker === null) return { skipped: 'graphile-worker is not installed (npm install)' };
  const [perWorkspace, rounds] = quick ? [100, 1] : [1_000, 3];
  const db = await server.database();
  await seedRows(db.owner, { workspaces: workspacesIn(shardsUsed), perWorkspace });
  const jobs = perWorkspace * shardsUsed;
  const passes = async (): Promise<number> => {
    const rows = await makeDue(db.owner);
    const reconcilers = benchReconcilers({ changing: false });
    const { perSecond } = await runEngine({ url: db.urlOf('vibn_controller'), rows, reconcilers });
    note(`engine ${Math.round(perSecond)}/s`);
    return perSecond;
  };
  await passes();
  const figures: Figure[] = [];
  for (const mode of modes) {
    const found = await inTurn(rounds, passes, async () => {
      const perSecond = await runJobs(worker, db, { jobs, localQueue: mode.localQueue });
      note(`graphile-worker ${mode.name} ${Math.round(perSecond)}/s`);
      return perSecond;
    });
    figures.push(
      figure({
        name: `graphile-${mode.name}`,
        ours: { value: found.ours, unit: 'passes/s' },
        reference: { value: found.reference, unit: 'jobs/s', of: `graphile-worker 0.18.0, ${mode.name}` },
        ...(mode.goal === null ? {} : { goal: mode.goal }),
        shape: `${jobs} rows in ${shardsUsed} shards and ${jobs} jobs on one server; ${benchOptions.engine.slots} slots, ${concurrentJobs} concurrentJobs, ${controllerConnections} connections each; ${mode.shape}; unchanged passes; median of ${rounds}`,
      }),
    );
  }
  await db.drop();
  return figures;
}

const localQueueSize = 200;
/** At which it is fastest here: of 1, 10, 24, 64, 128 and 512. */
const concurrentJobs = 24;
const modes = [
  {
    name: 'default',
    localQueue: false,
    shape: 'one job fetched and deleted at a time',
    goal: { text: '≥ 3', met: ({ ratio }: { readonly ratio: number }) => ratio >= 3 },
  },
  {
    name: 'local-queue',
    localQueue: true,
    shape: `localQueue.size ${localQueueSize}, completeJobBatchDelay 5 ms`,
    goal: null,
  },
];

/** Jobs a second, from the start of the runner to the last job carried out and deleted. */
async function runJobs(
  worker: typeof graphileWorker,
  db: BenchDatabase,
  { jobs, localQueue }: { readonly jobs: number; readonly localQueue: boolean },
): Promise<number> {
  const logger = new worker.Logger(() => () => undefined);
  const connection = { connectionString: db.ownerUrl, logger };
  await worker.runMigrations(connection);
  await db.owner`
    select graphile_worker.add_job('nothing', json_build_object('n', n)) from generate_series(1, ${jobs}::int) as n`;
  await db.owner.unsafe('vacuum analyze graphile_worker._private_jobs');
  const done = Promise.withResolvers<void>();
  const events: WorkerEvents = new EventEmitter();
  let left = jobs;
  // Said when the job's end is on its way to the database: the last of them land a moment later.
  events.on('job:complete', () => {
    left -= 1;
    if (left === 0) done.resolve();
  });
  const batches = { localQueue: { size: localQueueSize }, completeJobBatchDelay: 5 };
  const options = {
    ...connection,
    events,
    concurrentJobs,
    maxPoolSize: controllerConnections,
    ...(localQueue ? batches : {}),
  };
  const begun = performance.now();
  const taskList = { nothing: () => Promise.resolve() };
  const runner = await worker.run({ preset: { worker: options }, taskList, noHandleSignals: true });
  await done.promise;
  const perSecond = (jobs / (performance.now() - begun)) * 1_000;
  for (let tries = 0; tries < landsTries && (await jobsLeft(db)) > 0; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, landsEveryMs));
  }
  await runner.stop();
  const found = await jobsLeft(db);
  if (found > 0) throw new Error(`graphile-worker left ${found} jobs`);
  return perSecond;
}

const [landsTries, landsEveryMs] = [100, 20];

async function jobsLeft(db: BenchDatabase): Promise<number> {
  const [row] = await db.owner<{ left: number }[]>`select count(*)::int as left from graphile_worker._private_jobs`;
  return row?.left ?? 0;
}
