import { startAgents } from './agents.ts';
import { figure } from './bench.ts';
import type { Bench, BenchContext, Figure } from './bench.ts';
import { composeEngine } from './engine-run.ts';
import { megabytes } from './memory.ts';
import { benchReconcilers } from './noop-kind.ts';
import { makeDue, seedRows, workspacesIn } from './rows.ts';
import { percentile } from './stats.ts';

/**
 * Agents that wait: each `resources.wait` is an HTTP request of its own that stays open. Then the controller makes the rows Ready, and
 * each wait hears of it. Beside it, as many `bench.noop` requests sent at once over the same connections: what answering alone takes.
 */
export const waits: Bench = {
  name: 'waits',
  about: '10,000 parked waits: memory, and the time to wake all',
  run,
};

const shardsUsed = 16;
const rowsEach = 6;
/** New waits at once, while they are being parked. */
const wave = 200;

async function run({ quick, server, note }: BenchContext): Promise<readonly Figure[]> {
  const count = quick ? 500 : 10_000;
  const db = await server.database();
  const workspaces = workspacesIn(shardsUsed);
  await seedRows(db.owner, { workspaces, perWorkspace: rowsEach });
  const agents = await startAgents(db, { workspaces, connections: Infinity });
  const place = (n: number): string => workspaces[n % workspaces.length] ?? '';
  const noops = (some: number): Promise<number>[] =>
    Array.from({ length: some }, (_, n) => agents.call(place(n), 'bench.noop', { workspace: place(n) }));
  // All connections are open before anything is measured: what a wait costs is the question, not what a connection costs.
  for (let round = 0; round < 3; round += 1) await Promise.all(noops(wave));
  const before = await agents.api.memory('collected');

  const answered: Promise<number>[] = [];
  while (answered.length < count) {
    const some = Math.min(wave, count - answered.length);
    for (let n = 0; n < some; n += 1) {
      const at = answered.length;
      const ref = { workspace: place(at), kind: 'Noop', name: `row-${Math.floor(at / shardsUsed) % rowsEach}` };
      const called = agents.call(ref.workspace, 'resources.wait', { refs: [ref], timeoutMs: 60_000 });
      answered.push(called.then(() => performance.now()));
    }
    while ((await agents.api.open()) < answered.length) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const parked = await agents.api.memory('collected');
  const heapMb = megabytes(parked.heapBytes - before.heapBytes).toFixed(0);
  note(
    `${count} parked: ${megabytes(parked.rssBytes - before.rssBytes).toFixed(0)} MB, ${heapMb} MB of it JavaScript's`,
  );

  const settledAt = await settleAll(db.urlOf('vibn_controller'), async () => await makeDue(db.owner));
  const times = (await Promise.all(answered)).map((at) => at - settledAt);
  note(`woken: p50 ${percentile(times, 0.5).toFixed(0)} ms, last ${Math.max(...times).toFixed(0)} ms`);
  const begun = performance.now();
  await Promise.all(noops(count));
  const plainMs = performance.now() - begun;
  await agents.stop();
  await db.drop();
  const shape = `${count} requests over HTTP, each on its own connection, for ${rowsEach * shardsUsed} rows in ${shardsUsed} workspaces and shards`;
  return [
    figure({
      name: 'waits-memory',
      ours: { value: megabytes(parked.rssBytes - before.rssBytes), unit: 'MB' },
      reference: { value: megabytes(before.rssBytes), unit: 'MB', of: 'the API without them' },
      goal: { text: '< 50 MB', met: ({ ours }) => ours < 50 },
      shape: `${shape}; RSS after a collection, ${heapMb} MB of it JavaScript's`,
    }),
    figure({
      name: 'waits-woken',
      ours: { value: Math.max(...times), unit: 'ms' },
      reference: { value: plainMs, unit: 'ms', of: 'as many no-op requests at once' },
      goal: { text: '< 100 ms', met: ({ ours }) => ours < 100 },
      shape: `${shape}; from the last settle to the last answer`,
    }),
  ];
}

/** Lets a controller of this process make all rows Ready; when the last of them was settled. */
async function settleAll(url: string, due: () => Promise<number>): Promise<number> {
  const done = Promise.withResolvers<number>();
  const rows = await due();
  let settled = 0;
  const engine = composeEngine({
    url,
    reconcilers: benchReconcilers({ changing: false }),
    wrap: (store) => ({
      ...store,
      async settle(shard, some) {
        const results = await store.settle(shard, some);
        settled += some.length;
        if (settled >= rows) done.resolve(performance.now());
        return results;
      },
    }),
  });
  await engine.start();
  const at = await done.promise;
  await engine.stop();
  return at;
}
