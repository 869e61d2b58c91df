import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { declarerOf } from '#test/simulation/engine-bench.ts';
import { machineMs } from '#hack/role-process.ts';
import { crate } from '#test/support/process/depot-kinds.ts';
import {
  ask,
  bucketManifest,
  bucketsReady,
  createOperator,
  timesDone,
  workspaceManifest,
} from '#test/support/process/operator.ts';
import type { Answer, Operator, Role } from '#test/support/process/operator.ts';
import { createSite } from '#test/support/process/site.ts';
import { leaseChanges } from '#test/support/process/work-log.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';
import { until } from '#test/support/up.ts';

// SIGTERM, as an orchestrator sends it when a new version is rolled out.

/** Passes in flight may finish within this (drainMs), and then the process has a little to close what it has open. */
const drainMs = 10_000;
const workspaces = ['acme', 'beta', 'gamma', 'delta'];

let db: TestDatabase;
let operator: Operator;
let api: Role;
beforeAll(async () => {
  db = await createDatabase();
  operator = await createOperator({ urlOf: (role) => db.urlOf(role) });
  api = await operator.api();
  for (const workspace of workspaces) await apply(workspaceManifest(workspace));
});
afterAll(async () => {
  await operator[Symbol.asyncDispose]();
  await db[Symbol.asyncDispose]();
});

/** Declares, and comes again when it is told to: sixty at once may be more than a busy machine serves in time. */
async function apply(manifest: object): Promise<void> {
  await until(async () => {
    const { status } = await ask(api, operator.key, { procedure: 'resources.apply', input: { manifest } });
    expect([200, 503]).toContain(status);
    return status === 200 ? true : null;
  });
}

/** Rows that a process holds. */
async function heldBy(role: Role): Promise<number> {
  const [row] = await db.owner<{ held: number }[]>`
    select count(*)::int as held from work where split_part(holder, '/', 2) = ${String(role.pid)}`;
  return row?.held ?? 0;
}

describe('a controller that is told to stop amid sixty buckets', () => {
  test('finishes what it sent, gives back the rest, and another goes on at once; nothing is lost or done twice', async () => {
    const [first, second] = [await operator.controller(), await operator.controller()];
    operator.cloud.faults.add({ provider: 'gcs', fault: 'slow', delayMs: 400 });
    const names = Array.from({ length: 60 }, (_, n) => ({ workspace: workspaces[n % 4] ?? '', name: `b${n}` }));
    await Promise.all(names.map(({ workspace, name }) => apply(bucketManifest(workspace, name))));
    await until(async () => ((await heldBy(first)) > 10 ? true : null));
    const held = await heldBy(first);
    first.signal('SIGTERM');
    const begun = machineMs();
    expect(await first.exited).toBe(0);
    const stoppedMs = machineMs() - begun;
    expect(await heldBy(first)).toBe(0);
    expect(second.isRunning()).toBe(true);
    for (const workspace of workspaces) await bucketsReady(operator.clientOf(api), workspace);
    const convergedMs = machineMs() - begun - stoppedMs;
    console.log(JSON.stringify({ held, stoppedMs: Math.round(stoppedMs), convergedMs: Math.round(convergedMs) }));
    expect(stoppedMs).toBeLessThan(drainMs + 2_000);
    const made = timesDone(operator.cloud, 'buckets.insert');
    expect(made.size).toBe(60);
    expect([...made.values()].filter((times) => times > 1)).toEqual([]);
    expect(first.stderr()).toBe('');
    operator.cloud.faults.clear();
    second.signal('SIGTERM');
    expect(await second.exited).toBe(0);
  });

  test('keeps the row of a call that outlasts its patience, and gives back those of which nothing was sent', async () => {
    await using site = await createSite();
    const stuck = Promise.withResolvers<void>();
    const options = { engine: { leaseMs: 2_000, renewEveryMs: 400, pollMs: 100, drainMs: 600 } };
    const worker = await site.worker('first', { options });
    site.depot.beforeCall = (call) =>
      call.op === 'crates.update' || call.name === 'acme-reads' ? stuck.promise : undefined;
    const { apply: declare } = declarerOf(site.resources);
    await declare(crate, 'sends', { text: 'old' });
    await site.settled();
    await declare(crate, 'sends', { text: 'new' });
    await declare(crate, 'reads', {});
    await until(() => (site.depot.calls.filter((call) => call.outcome === 'open').length === 2 ? true : null));
    worker.signal('SIGTERM');
    expect(await worker.exited).toBe(0);
    const rows = await site.db.owner<{ uid: string; held: boolean }[]>`
      select uid, holder is not null as held from work where kind = 'Crate' order by uid`;
    expect(rows.map(({ uid, held }) => [uid, held])).toEqual([
      ['Crate-reads', false],
      ['Crate-sends', true],
    ]);
    stuck.resolve();
    site.depot.beforeCall = () => undefined;
    await site.worker('second');
    await site.settled();
    expect(Object.fromEntries(site.depot.done())).toEqual({
      'create crate acme-sends': 1,
      'create crate acme-reads': 1,
      'update crate acme-sends': 1,
    });
    const claims = (await leaseChanges(site.db.owner)).filter((one) => one.app === 'second' && one.oldHolder !== null);
    expect(claims.some((one) => one.uid === 'Crate-sends' && one.newEpoch === one.oldEpoch + 1)).toBe(true);
  });
});

/** Reads a stream of events as it comes. */
function listenTo(response: Response): { text(): string; readonly ended: Promise<void> } {
  let text = '';
  const read = async (): Promise<void> => {
    for await (const chunk of response.body ?? []) text += new TextDecoder().decode(chunk);
  };
  return { text: () => text, ended: read() };
}

const waited = (answer: Answer) => answer.data as { readonly outcome: string; readonly cursor: string };

describe('an API that is told to stop', () => {
  test('answers its waits, ends its watches and refuses what comes new', async () => {
    const leaving = await operator.api();
    const client = operator.clientOf(leaving);
    // Nobody runs a controller: what is waited for never comes.
    await client.resources.apply({ manifest: bucketManifest('acme', 'never') });
    const refs = [{ workspace: 'acme', kind: 'Bucket', name: 'never' }];
    // One more than a key may have: the others are there once it is refused.
    const waits = Array.from({ length: 201 }, () =>
      ask(leaving, operator.key, { procedure: 'resources.wait', input: { refs, timeoutMs: 60_000 } }),
    );
    const url = `${leaving.url}/trpc/resources.watch?input=${encodeURIComponent(JSON.stringify({ workspace: 'acme' }))}`;
    const watches = await Promise.all(
      Array.from({ length: 10 }, () => fetch(url, { headers: { authorization: `Bearer ${operator.key}` } })),
    );
    expect(watches.map((response) => response.status)).toEqual(watches.map(() => 200));
    const streams = watches.map(listenTo);
    await until(() => (streams.every((stream) => stream.text().includes('CHANGED')) ? true : null));
    expect(await Promise.race(waits)).toMatchObject({ status: 429 });
    leaving.signal('SIGTERM');
    const begun = machineMs();
    const answers = (await Promise.all(waits)).filter((answer) => answer.status !== 429);
    expect(answers.length).toBe(200);
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200));
    expect(answers.map((answer) => waited(answer).outcome)).toEqual(answers.map(() => 'timeout'));
    // A stream that was cut off instead of ended rejects here.
    await Promise.all(streams.map((stream) => stream.ended));
    expect(await leaving.exited).toBe(0);
    const stoppedMs = machineMs() - begun;
    console.log(JSON.stringify({ waits: answers.length, watches: streams.length, stoppedMs: Math.round(stoppedMs) }));
    expect(stoppedMs).toBeLessThan(5_000);
    expect((await ask(leaving, operator.key, { procedure: 'kinds.list', input: {} })).status).toBe(0);
    // A client that goes on elsewhere, with the cursor that it was given, goes on with the same wait.
    const cursor = answers.map((answer) => waited(answer).cursor).find((one) => one !== '');
    const input = { refs, timeoutMs: 100, cursor };
    const onward = await ask(api, operator.key, { procedure: 'resources.wait', input });
    expect([onward.status, waited(onward).outcome]).toEqual([200, 'timeout']);
  });
});
