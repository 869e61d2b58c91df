import postgres from 'postgres';
import { lockShard } from '#controller/store/queries/lock-shard.ts';
import { writeRows } from '#controller/store/queries/write-rows.ts';
import type { RowWrite } from '#controller/store/rows.ts';
import { planWrites } from '#controller/store/write-docs.ts';
import { shardOf } from '#resources/shard.ts';
import { closedLoop, startAgents } from './agents.ts';
import { manifestOf } from './apply.ts';
import { runnerOf } from './bare.ts';
import { figure } from './bench.ts';
import type { Bench, BenchContext, Figure } from './bench.ts';
import { noop } from './noop-kind.ts';
import { by, parsed, seedRows, workspacesIn } from './rows.ts';
import type { BenchDatabase } from './server.ts';
import { inTurn } from './stats.ts';

/** Rows a second through `resources.apply_all` of 200 new rows ÷ its closing statement alone, with the same rows, in plain loops. */
export const applyAll: Bench = {
  name: 'apply-all',
  about: 'Rows a second through apply_all of 200 ÷ the bare writing statement',
  run,
};

const shardsUsed = 16;
/** Rows of each workspace before. */
const seeded = 500;
const callers = 4;
const rowsEach = 200;

async function run({ quick, server, note }: BenchContext): Promise<readonly Figure[]> {
  const [seconds, rounds] = quick ? [1.5, 1] : [6, 3];
  const db = await server.database();
  const workspaces = workspacesIn(shardsUsed);
  // Not empty: plans are made for tables of some size, and kept.
  await seedRows(db.owner, { workspaces, perWorkspace: seeded });
  const agents = await startAgents(db, { workspaces, connections: callers });
  const place = (n: number): string => workspaces[n % workspaces.length] ?? '';
  let made = 0;
  const names = (): string[] => Array.from({ length: rowsEach }, () => `new-${made++}`);
  const applyMany = (n: number): Promise<number> =>
    agents.call(place(n), 'resources.apply_all', { manifests: names().map((name) => manifestOf(place(n), name)) });
  const bare = openBare(db);
  const measured = async (what: string, call: (n: number) => Promise<number>): Promise<number> => {
    const perSecond = (await closedLoop({ callers, seconds }, call)) * rowsEach;
    note(`${what} ${Math.round(perSecond)} rows/s`);
    return perSecond;
  };
  await closedLoop({ callers, seconds: seconds / 2 }, applyMany);
  const found = await inTurn(
    rounds,
    () => measured('apply_all', applyMany),
    () => measured('bare', (n) => bare.write(place(n), names())),
  );
  await bare.end();
  await agents.stop();
  await db.drop();
  return [
    figure({
      name: 'apply-all',
      ours: { value: found.ours, unit: 'rows/s' },
      reference: { value: found.reference, unit: 'rows/s', of: 'bare lock_shard + write_rows' },
      goal: { text: '≥ 10,000 rows/s', met: ({ ours }) => ours >= 10_000 },
      shape: `${rowsEach} new rows a request, ${callers} callers, ${shardsUsed} workspaces of ${seeded} rows in ${shardsUsed} shards, tenants' keys; bare: ${callers} connections; median of ${rounds}`,
    }),
  ];
}

/** Writes the same rows with the same statement, on plain postgres.js; answers the ms it took. */
function openBare(db: BenchDatabase) {
  const sql = postgres(db.urlOf('vibn_platform'), { max: callers, onnotice: () => undefined });
  const spec = parsed(noop);
  const write = async (workspace: string, names: readonly string[]): Promise<number> => {
    const begun = performance.now();
    const shard = shardOf(workspace);
    const writes = names.map((name): RowWrite => {
      const [key, uid] = [{ workspace, kind: noop.name, name }, crypto.randomUUID()];
      const none = { labels: {}, annotations: {}, owner: null, approved: [], fires: [] };
      return { op: 'insert', uid, key, spec, by, ...none };
    });
    await sql.begin(async (tx) => {
      const [lock] = await lockShard(runnerOf(tx), shard);
      const at = Date.now();
      const plan = planWrites(writes, new Map(), { shard, version: Number(lock?.version), at, requestId: null });
      await writeRows(runnerOf(tx), shard, plan.version, at, JSON.stringify(plan.docs), plan.fires, '[]', '[]');
    });
    return performance.now() - begun;
  };
  return { write, end: () => sql.end({ timeout: 1 }) };
}
