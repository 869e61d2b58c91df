import { systemClock, systemRng } from '#controller/clock.ts';
import { createSqlSignals } from '#controller/store/signals.ts';
import { shardOf } from '#resources/shard.ts';
import { startAgents } from './agents.ts';
import type { Agents } from './agents.ts';
import { figure } from './bench.ts';
import type { Bench, BenchContext, Figure } from './bench.ts';
import { startChild } from './child.ts';
import type { Child, Memory } from './child.ts';
import { gather } from './crowd.ts';
import type { Answer, Crowd } from './crowd.ts';
import { composeEngine } from './engine-run.ts';
import { megabytes } from './memory.ts';
import { benchReconcilers } from './noop-kind.ts';
import { seedRows, workspacesIn } from './rows.ts';
import type { BenchDatabase } from './server.ts';
import { percentile } from './stats.ts';

/**
 * Agents that wait: each `resources.wait` is an HTTP request of its own, on a connection of its own, that stays open. Then a controller
 * makes rows Ready, first one at a time, then all at once, and each wait hears of it. Beside it a bare server of Node's that holds and
 * answers as many requests and does nothing else, for the same client.
 */
export const waits: Bench = {
  name: 'waits',
  about: '10,000 parked waits: memory, and the time to wake those of one row, and all',
  run,
};

const shardsUsed = 16;
/** Rows of each workspace: the last ones become Ready one at a time, the others all at once. */
const [rowsEach, probesEach] = [8, 2];
/** New requests at once, while they are being parked. */
const wave = 200;
const batchSize = 20;
const quietMs = 2_000;
const steadyBytes = 500_000;

async function run({ quick, server, note }: BenchContext): Promise<readonly Figure[]> {
  const count = quick ? 500 : 10_000;
  const bare = await measureBare(count);
  note(`bare server, ${count} parked: ${memoryText(bare)}; all answered in ${bare.allMs.toFixed(0)} ms`);
  const db = await server.database();
  const workspaces = workspacesIn(shardsUsed);
  await seedRows(db.owner, { workspaces, perWorkspace: rowsEach });
  const batched = await measureBatched(db, workspaces, count);
  note(`in batches of ${batchSize}: ${memoryText(batched)}`);
  const ours = await measureMemory(db, workspaces, count);
  note(`each on its connection: ${memoryText(ours)}`);
  const woken = await measureWoken(db, workspaces, count);
  await db.drop();

  const crowdShape = `${count} requests over HTTP, each on its own connection, for ${rowsEach * shardsUsed} rows in ${shardsUsed} workspaces and shards`;
  const [unit, rss] = ['MB', 'RSS after a collection that closes gaps'];
  const goal = { text: '< 50 MB', met: ({ ours: mb }: { readonly ours: number }) => mb < 50 };
  return [
    figure({
      name: 'waits-memory',
      ours: { value: ours.parkedMb, unit },
      reference: { value: bare.parkedMb, unit, of: 'a bare server' },
      goal,
      shape: `${crowdShape}; what they add to their ${count} open connections; ${rss}, ${ours.heapMb.toFixed(0)} MB of it JavaScript's; ${ours.asIsMb.toFixed(0)} MB before it (bare: ${bare.asIsMb.toFixed(0)})`,
    }),
    figure({
      name: 'waits-memory-whole',
      ours: { value: ours.openMb + ours.parkedMb, unit },
      reference: { value: bare.openMb + bare.parkedMb, unit, of: 'a bare server' },
      shape: `${crowdShape}; with the connections; ${rss}`,
    }),
    figure({
      name: 'waits-memory-batched',
      ours: { value: batched.openMb + batched.parkedMb, unit },
      reference: { value: bare.openMb + bare.parkedMb, unit, of: `a bare server with ${count} requests` },
      goal,
      shape: `${count} waits in batches of ${batchSize}, each batch on its own connection; with the connections; ${rss}`,
    }),
    figure({
      name: 'waits-woken',
      ours: { value: percentile(woken.oneMs, 0.99), unit: 'ms' },
      reference: { value: percentile(woken.heardMs, 0.99), unit: 'ms', of: 'p99 at a bare LISTEN' },
      goal: { text: '< 100 ms', met: ({ ours: ms }) => ms < 100 },
      shape: `${crowdShape}; from the settle of ONE row to the answers of its waits (p99; p50 ${percentile(woken.oneMs, 0.5).toFixed(0)} ms), ${woken.oneMs.length} answers of ${probesEach * shardsUsed} settles`,
    }),
    figure({
      name: 'waits-woken-all',
      ours: { value: woken.allMs, unit: 'ms' },
      reference: { value: bare.allMs, unit: 'ms', of: 'a bare server that answers all at once' },
      shape: `${crowdShape}; from the last of ${(rowsEach - probesEach) * shardsUsed} settles to the last of ${count} answers`,
    }),
  ];
}

/** What connections take, and what requests parked on them take beyond that. */
interface Held {
  readonly openMb: number;
  readonly parkedMb: number;
  /** Of `parkedMb`. */
  readonly heapMb: number;
  /** What the requests take before anything is collected. */
  readonly asIsMb: number;
}

function memoryText({ openMb, parkedMb, heapMb, asIsMb }: Held): string {
  const [parked, heap, asIs, open] = [parkedMb, heapMb, asIsMb, openMb].map((mb) => mb.toFixed(0));
  return `${parked} MB, ${heap} MB of it JavaScript's (${asIs} MB before a collection); their connections ${open} MB`;
}

interface Parking {
  readonly child: Child;
  readonly connections: number;
  /** A request that is answered at once: every connection has made one before anything is parked. */
  readonly warm: (crowd: Crowd, n: number) => Promise<Answer>;
  readonly park: (crowd: Crowd, n: number) => Promise<Answer>;
}

/** Connections that have each been answered once. */
async function gatherWarm({ child, connections, warm }: Parking): Promise<Crowd> {
  const crowd = await gather(child.port, connections);
  for (let n = 0; n < connections; n += wave) {
    const some = Array.from({ length: Math.min(wave, connections - n) }, (_, index) => warm(crowd, n + index));
    await Promise.all(some);
  }
  return crowd;
}

/** Parks a request on each connection, and measures what that takes. */
async function hold(input: Parking): Promise<{ crowd: Crowd; answers: Promise<Answer>[]; held: Held }> {
  const { child, connections, park } = input;
  const before = await child.memory('collected');
  const crowd = await gatherWarm(input);
  const open = await child.memory('collected');
  const answers: Promise<Answer>[] = [];
  await parkMore(child, { from: 0, to: connections, answers, park: (n) => park(crowd, n) });
  await stillOpen(answers);
  const asIs = await child.memory();
  const parked = await steady(child);
  const held: Held = {
    openMb: megabytes(open.rssBytes - before.rssBytes),
    parkedMb: megabytes(parked.rssBytes - open.rssBytes),
    heapMb: megabytes(parked.heapBytes - open.heapBytes),
    asIsMb: megabytes(asIs.rssBytes - open.rssBytes),
  };
  return { crowd, answers, held };
}

/** What is left when all that was read has been worked through. */
async function steady(child: Child): Promise<Memory> {
  for (let last = await child.memory('collected'); ;) {
    await pause(quietMs / 2);
    const now = await child.memory('collected');
    if (Math.abs(now.heapBytes - last.heapBytes) < steadyBytes) return now;
    last = now;
  }
}

interface More {
  readonly from: number;
  readonly to: number;
  readonly answers: Promise<Answer>[];
  readonly park: (n: number) => Promise<Answer>;
}

async function parkMore(child: Child, { from, to, answers, park }: More): Promise<void> {
  const open = await child.open();
  for (let n = from; n < to;) {
    for (const end = Math.min(to, n + wave); n < end; n += 1) answers[n] = park(n);
    while ((await child.open()) < open + n - from) await pause(2);
  }
}

/** All have long been read and parked when none is answered for a while. */
async function stillOpen(answers: readonly Promise<Answer>[]): Promise<void> {
  const answered = await Promise.race([...answers, pause(quietMs)]);
  if (answered !== undefined)
    throw new Error(`a request was not parked: ${answered.status} ${answered.body.slice(0, 300)}`);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function measureBare(count: number): Promise<Held & { readonly allMs: number }> {
  const child = await startChild({ role: 'bare-http', url: '' });
  const body = JSON.stringify(wish(workspacesIn(1)[0] ?? '', 'row-0'));
  const headers = { authorization: `Bearer ${'x'.repeat(64)}`, 'content-type': 'application/json' };
  const { crowd, answers, held } = await hold({
    child,
    connections: count,
    warm: (all, n) => all.ask(n, { method: 'GET', path: '/' }),
    park: (all, n) => all.ask(n, { method: 'POST', path: '/trpc/resources.wait', headers, body }),
  });
  const asking = await gather(child.port, 1);
  const begun = performance.now();
  await asking.ask(0, { method: 'GET', path: '/answer' });
  const allMs = lastOf(await Promise.all(answers)) - begun;
  asking.leave();
  crowd.leave();
  await child.stop();
  return { ...held, allMs };
}

const lastOf = (answers: readonly Answer[]): number => answers.reduce((last, { at }) => Math.max(last, at), 0);

function wish(workspace: string, name: string, until = 'Ready') {
  return { refs: [{ workspace, kind: 'Noop', name }], until, timeoutMs: 60_000 };
}

/** A condition that never comes: what is measured is memory. */
const never = 'Never';

async function measureBatched(db: BenchDatabase, workspaces: readonly string[], count: number): Promise<Held> {
  const agents = await startAgents(db, { workspaces, connections: 1 });
  const procedures = Array.from({ length: batchSize }, () => 'resources.wait').join(',');
  const { crowd, answers, held } = await hold({
    child: agents.api,
    connections: count / batchSize,
    warm: (all, n) => all.ask(n, { method: 'GET', path: '/healthz' }),
    park(all, n) {
      const workspace = workspaces[n % workspaces.length] ?? '';
      const inputs = Array.from({ length: batchSize }, (_, index) => wish(workspace, `row-${index % rowsEach}`, never));
      return all.ask(n, {
        method: 'POST',
        path: `/trpc/${procedures}?batch=1`,
        headers: headersOf(agents, workspace),
        body: JSON.stringify(Object.fromEntries(inputs.entries())),
      });
    },
  });
  crowd.leave();
  await Promise.allSettled(answers);
  await agents.stop();
  return held;
}

const headersOf = (agents: Agents, workspace: string): Record<string, string> => ({
  authorization: agents.authorization(workspace),
  'content-type': 'application/json',
});

interface Woken {
  /** From the settle of one row to each of the answers of its waits. */
  readonly oneMs: readonly number[];
  /** From the same settles to their signals at a session that only listens. */
  readonly heardMs: readonly number[];
  /** From the last settle of many to the last answer. */
  readonly allMs: number;
}

const nameOf = (n: number, rows: number): string => `row-${Math.floor(n / shardsUsed) % rows}`;

/** A wait of its own on each connection of an API of its own. */
async function startWaits(db: BenchDatabase, workspaces: readonly string[], count: number) {
  const agents = await startAgents(db, { workspaces, connections: 1 });
  const park = (crowd: Crowd, n: number, { rows, timeoutMs = 60_000 }: { rows: number; timeoutMs?: number }) => {
    const workspace = workspaces[n % shardsUsed] ?? '';
    const body = JSON.stringify({ ...wish(workspace, nameOf(n, rows)), timeoutMs });
    const path = '/trpc/resources.wait';
    return crowd.ask(n, { method: 'POST', path, headers: headersOf(agents, workspace), body });
  };
  const parking: Parking = {
    child: agents.api,
    connections: count,
    // Waits that end at once: what is measured is what parked ones hold, not what the first one compiles.
    warm: (all, n) => park(all, n, { rows: rowsEach, timeoutMs: 0 }),
    park: (all, n) => park(all, n, { rows: rowsEach }),
  };
  return { agents, park, parking };
}

async function measureMemory(db: BenchDatabase, workspaces: readonly string[], count: number): Promise<Held> {
  const { agents, parking } = await startWaits(db, workspaces, count);
  const { crowd, answers, held } = await hold(parking);
  crowd.leave();
  await Promise.allSettled(answers);
  await agents.stop();
  return held;
}

/** In a process from which nothing was collected by force: that also throws away what is compiled. */
async function measureWoken(db: BenchDatabase, workspaces: readonly string[], count: number): Promise<Woken> {
  const { agents, park, parking } = await startWaits(db, workspaces, count);
  const crowd = await gatherWarm(parking);
  const answers: Promise<Answer>[] = [];
  await parkMore(agents.api, { from: 0, to: count, answers, park: (n) => parking.park(crowd, n) });
  await stillOpen(answers);
  const settler = await startSettler(db);
  const [oneMs, heardMs]: [number[], number[]] = [[], []];
  for (const workspace of workspaces) {
    for (let row = rowsEach - probesEach; row < rowsEach; row += 1) {
      const name = `row-${row}`;
      const waiting = answers.filter(
        (_, n) => workspaces[n % shardsUsed] === workspace && nameOf(n, rowsEach) === name,
      );
      const { at, heardAt } = await settler.settle([{ workspace, name }]);
      for (const answer of await Promise.all(waiting)) oneMs.push(met(answer).at - at);
      heardMs.push(heardAt - at);
    }
  }
  const free = answers.keys().filter((n) => Number(nameOf(n, rowsEach).slice(4)) >= rowsEach - probesEach);
  for (const n of free) answers[n] = park(crowd, n, { rows: rowsEach - probesEach });
  while ((await agents.api.open()) < count) await pause(2);
  const rest = workspaces.flatMap((workspace) =>
    Array.from({ length: rowsEach - probesEach }, (_, row) => ({ workspace, name: `row-${row}` })),
  );
  const { at } = await settler.settle(rest);
  const allMs = lastOf((await Promise.all(answers)).map(met)) - at;
  await settler.stop();
  crowd.leave();
  await agents.stop();
  return { oneMs, heardMs, allMs };
}

function met(answer: Answer): Answer {
  if (answer.status === 200 && answer.body.includes('"outcome":"met"')) return answer;
  throw new Error(`a wait was answered ${answer.status}: ${answer.body.slice(0, 300)}`);
}

interface Row {
  readonly workspace: string;
  readonly name: string;
}

/** A controller in this process that makes rows Ready when told, and says when the last of them was settled and signalled. */
async function startSettler(db: BenchDatabase) {
  const listening = createSqlSignals({ url: db.urlOf('vibn_controller'), clock: systemClock, rng: systemRng });
  let onSettled: (uids: readonly string[]) => void = () => undefined;
  const engine = composeEngine({
    url: db.urlOf('vibn_controller'),
    reconcilers: benchReconcilers({ changing: false }),
    wrap: (store) => ({
      ...store,
      async settle(shard, some) {
        const results = await store.settle(shard, some);
        onSettled(some.map((one) => one.uid));
        return results;
      },
    }),
  });
  await engine.start();
  const settle = async (rows: readonly Row[]): Promise<{ readonly at: number; readonly heardAt: number }> => {
    const found = await db.owner<{ uid: string }[]>`
      update work w set due_at = statement_timestamp() - interval '1 second', priority = 'resync'
      from resources r
      where r.shard = w.shard and r.uid = w.uid and r.kind = 'Noop'
        and (r.workspace, r.name) in (select * from unnest(${rows.map((row) => row.workspace)}::text[], ${rows.map((row) => row.name)}::text[]))
      returning w.uid`;
    const open = new Set(found.map((row) => row.uid));
    const settled = Promise.withResolvers<number>();
    const heard = Promise.withResolvers<number>();
    onSettled = (uids) => {
      for (const uid of uids) open.delete(uid);
      if (open.size === 0) settled.resolve(performance.now());
    };
    const shards = [...new Set(rows.map((row) => shardOf(row.workspace)))];
    const deaf = listening.onSignal(() => {
      if (open.size === 0) heard.resolve(performance.now());
    });
    // As an apply would tell.
    await db.owner.notify('vibn_shards', shards.join(','));
    const [at, heardAt] = [await settled.promise, await heard.promise];
    deaf();
    return { at, heardAt };
  };
  return {
    settle,
    stop: async (): Promise<void> => {
      await engine.stop();
      await listening.end();
    },
  };
}
