import { describe, expect, it } from 'vitest';
import type { Clock } from '#controller/clock.ts';
import type { ChangePage, ChangesQuery, Scope } from '#controller/store/resource-store.ts';
import { createFeed } from '#controller/watch/feed.ts';
import type { ResourceView } from '#resources/resource.ts';
import { shardOf } from '#resources/shard.ts';
import { makeRow } from '#resources/testing.ts';
import type { Caller } from '#api/auth.ts';
import { createReadLane } from '#api/read-lane.ts';
import { createParkedWaits } from './parked-waits.ts';
import type { Heard, Parked } from './parked.ts';

/** Time stands still until it is moved; what is due then is called in order. */
function virtualClock() {
  let now = 1_000;
  const timers = new Set<{ readonly at: number; readonly call: () => void }>();
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    sleep: () => new Promise(() => undefined),
    after(ms, call) {
      const timer = { at: now + ms, call };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  };
  const elapse = async (ms: number): Promise<void> => {
    const end = now + ms;
    await quiet();
    for (;;) {
      const [next] = [...timers].filter((one) => one.at <= end).toSorted((a, b) => a.at - b.at);
      if (next === undefined) break;
      timers.delete(next);
      now = next.at;
      next.call();
      await quiet();
    }
    now = end;
  };
  return { clock, elapse };
}

/** All that can happen without time has happened. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

interface Reads {
  readonly changes: { readonly workspace: string; readonly afterVersion: number }[];
  readonly byUid: string[][];
}

/** Rows in memory with a version for each shard, read as the store reads; `gate` holds up each read of changes. */
function memoryRows() {
  const rows = new Map<string, ResourceView>();
  const versions = new Map<number, number>();
  const reads: Reads = { changes: [], byUid: [] };
  const bares: (true | undefined)[] = [];
  const state = { gate: Promise.resolve(), failure: null as Error | null };
  const write = (uid: string, workspace: string, ready: boolean): void => {
    const shard = shardOf(workspace);
    const version = (versions.get(shard) ?? 0) + 1;
    versions.set(shard, version);
    const message = ready ? 'All is well.' : 'Not yet.';
    const times = { lastTransitionTime: '2026-01-01T00:00:00.000Z', lastChangeTime: '2026-01-01T00:00:00.000Z' };
    const kind = { reason: ready ? 'Available' : 'Creating', class: 'progress', actor: 'system' } as const;
    const condition = {
      type: 'Ready',
      status: ready ? 'True' : 'False',
      message,
      observedGeneration: 1,
      ...times,
      ...kind,
    };
    const row = makeRow({
      uid,
      workspace,
      shard,
      version,
      generation: 1,
      observedGeneration: 1,
      conditions: [condition as never],
    });
    rows.set(uid, { row, work: null, owner: null });
  };
  const store = {
    async changes(_scope: Scope, { workspace, afterVersion, bare }: ChangesQuery) {
      reads.changes.push({ workspace, afterVersion });
      bares.push(bare);
      const found = [...rows.values()].filter(({ row }) => row.workspace === workspace && row.version > afterVersion);
      const page: ChangePage = {
        changes: found.map((view) => ({ type: 'row', version: view.row.version, view })),
        full: false,
        version: versions.get(shardOf(workspace)) ?? 0,
        trimmedThrough: 0,
      };
      await state.gate;
      if (state.failure !== null) throw state.failure;
      return page;
    },
    async bareByUid(_scope: Scope, _workspace: string, uids: readonly string[]) {
      reads.byUid.push([...uids]);
      return uids.flatMap((uid) => rows.get(uid) ?? []);
    },
  };
  return { rows, write, reads, bares, store, state };
}

function setUp() {
  const { clock, elapse } = virtualClock();
  const memory = memoryRows();
  const listeners = new Set<(shards: readonly number[] | null) => void>();
  const signals = {
    signal: (shards: readonly number[]) => listeners.forEach((listener) => listener(shards)),
    onSignal: (listener: (shards: readonly number[] | null) => void) => (listeners.add(listener), () => true),
  };
  const options = { feedPollMs: 1_000, feedGapMs: 20, changesPageMax: 500, keyRecheckMs: 2_000 };
  const feed = createFeed({ store: memory.store, signals, clock, options });
  const asked: string[] = [];
  const revoked = new Set<string>();
  const auth = {
    async recheck({ principal }: Caller) {
      asked.push(principal.keyId);
      if (revoked.has(principal.keyId)) throw new Error('revoked');
    },
  };
  const lane = createReadLane(4);
  const waits = createParkedWaits({ feed, resources: memory.store, auth, lane, clock, options });
  let released = 0;
  /** Parks a wait for one row to be Ready, and writes down what it hears. */
  const park = (uid: string, more: { workspace?: string; keyId?: string; timeoutMs?: number } = {}) => {
    const { workspace = 'acme', keyId = 'k', timeoutMs = 60_000 } = more;
    const heard: Heard[] = [];
    const principal = { keyId, lineage: keyId, class: 'agent', workspace, scopes: ['*'] } as const;
    const caller: Caller = { principal, scope: { workspace }, ratePerSecond: null, expiresAt: null, secretHash: '' };
    const fixed = [{ key: { workspace, kind: 'Bucket', name: uid }, uid, generation: 1 }];
    const deadline = clock.monotonic() + timeoutMs;
    const wait = {
      scope: caller.scope,
      caller,
      fixed,
      until: 'Ready',
      cursor: uid,
      deadline,
      release: () => (released += 1),
    };
    const parked: Parked = waits.park(wait, (one) => void heard.push(one));
    return {
      heard,
      parked,
      outcome: () => heard.map((one) => ('answer' in one ? one.answer.outcome : String(one.error))),
    };
  };
  const moved = (workspace = 'acme'): void => signals.signal([shardOf(workspace)]);
  return { ...memory, waits, lane, park, moved, elapse, asked, revoked, released: () => released };
}

/** Two workspaces of one shard. */
const neighbours = ((): readonly [string, string] => {
  for (let n = 0; ; n += 1) if (shardOf(`w${n}x`) === shardOf('acme')) return ['acme', `w${n}x`];
})();

describe('parked waits', () => {
  it('are answered by one read of changes, those of the changed row alone, with one text for all (P2)', async () => {
    const { write, park, moved, elapse, reads } = setUp();
    write('a', 'acme', false);
    write('b', 'acme', false);
    const [some, others] = [Array.from({ length: 100 }, () => park('a')), Array.from({ length: 100 }, () => park('b'))];
    await elapse(100);
    reads.changes.length = reads.byUid.length = 0;
    write('a', 'acme', true);
    moved();
    await elapse(100);
    expect(some.every((one) => one.outcome().join() === 'met')).toBe(true);
    expect(others.every((one) => one.heard.length === 0)).toBe(true);
    expect(reads).toEqual({ changes: [{ workspace: 'acme', afterVersion: 2 }], byUid: [] });
    const texts = some.map(({ heard: [one] }) => (one !== undefined && 'text' in one ? one.text : null));
    expect(new Set(texts).size).toBe(1);
    expect(JSON.parse(texts[0]?.() ?? '')).toMatchObject({
      outcome: 'met',
      cursor: 'a',
      results: [{ uid: 'a', met: true }],
    });
  });

  it('read of rows how they stand and nothing else: again and again, specs would be megabytes', async () => {
    const { write, park, moved, elapse, bares } = setUp();
    write('a', 'acme', false);
    const wait = park('a');
    await elapse(100);
    write('a', 'acme', true);
    moved();
    await elapse(100);
    expect(wait.outcome()).toEqual(['met']);
    expect(bares.length).toBeGreaterThanOrEqual(2);
    expect(new Set(bares)).toEqual(new Set([true]));
  });

  it('hear what changed between the rows that were found and their parking, without any signal (P1)', async () => {
    const { write, park, elapse } = setUp();
    write('a', 'acme', true);
    const late = park('a');
    await elapse(0);
    expect(late.outcome()).toEqual(['met']);
  });

  it('are not answered by a look that began before they were parked (P1)', async () => {
    const { write, park, moved, elapse, state, reads } = setUp();
    write('a', 'acme', false);
    const early = park('a');
    await elapse(100);
    write('a', 'acme', true);
    const gate = Promise.withResolvers<void>();
    state.gate = gate.promise;
    moved();
    await elapse(0);
    write('a', 'acme', false);
    const late = park('a');
    gate.resolve();
    await elapse(0);
    expect([early.outcome(), late.outcome()]).toEqual([['met'], []]);
    await elapse(100);
    expect(late.outcome()).toEqual([]);
    expect(reads.changes.at(-1)?.afterVersion).toBe(2);
  });

  it('hear of a change whose signal was lost within the poll interval (P3)', async () => {
    const { write, park, elapse } = setUp();
    write('a', 'acme', false);
    const wait = park('a');
    await elapse(500);
    write('a', 'acme', true);
    await elapse(400);
    expect(wait.outcome()).toEqual([]);
    await elapse(150);
    expect(wait.outcome()).toEqual(['met']);
  });

  it('of all workspaces of a shard poll with one read while its version stands, and all read when it moved (P3)', async () => {
    const { write, park, elapse, reads } = setUp();
    for (const workspace of neighbours) write(`in ${workspace}`, workspace, false);
    const parked = neighbours.map((workspace) => park(`in ${workspace}`, { workspace }));
    await elapse(500);
    reads.changes.length = 0;
    await elapse(5_000);
    expect(reads.changes.length).toBe(5);
    const [, second] = neighbours;
    write(`in ${second}`, second, true);
    await elapse(1_100);
    expect(parked.map((one) => one.outcome())).toEqual([[], ['met']]);
  });

  it('look at most once per gap, however many signals come (P4)', async () => {
    const { write, park, moved, elapse, reads } = setUp();
    write('a', 'acme', false);
    park('a');
    await elapse(500);
    reads.changes.length = 0;
    for (let n = 0; n < 100; n += 1) {
      moved();
      await elapse(1);
    }
    expect(reads.changes.length).toBeGreaterThanOrEqual(5);
    expect(reads.changes.length).toBeLessThanOrEqual(6);
  });

  it('answer timeout at their deadline, not before, after a look of their own', async () => {
    const { write, park, elapse, reads } = setUp();
    write('a', 'acme', false);
    const [short, long] = [park('a', { timeoutMs: 300 }), park('a')];
    await elapse(299);
    expect(short.outcome()).toEqual([]);
    reads.byUid.length = 0;
    await elapse(41);
    expect(short.outcome()).toEqual(['timeout']);
    expect(reads.byUid).toEqual([['a']]);
    expect(long.heard).toEqual([]);
  });

  it('answer met at their deadline if only the signal was missing', async () => {
    const { write, park, elapse } = setUp();
    write('a', 'acme', false);
    const wait = park('a', { timeoutMs: 300 });
    await elapse(100);
    write('a', 'acme', true);
    await elapse(240);
    expect(wait.outcome()).toEqual(['met']);
  });

  it('give their place back once: when answered, or at once when their caller leaves, who hears nothing', async () => {
    const { write, park, moved, elapse, waits, released } = setUp();
    write('a', 'acme', false);
    const [gone, stays] = [park('a'), park('a')];
    expect(waits.leave(gone.parked)).toBe(true);
    expect(released()).toBe(1);
    expect(waits.leave(gone.parked)).toBe(false);
    write('a', 'acme', true);
    moved();
    await elapse(100);
    expect([gone.outcome(), stays.outcome(), released()]).toEqual([[], ['met'], 2]);
  });

  it('have each key asked for once for all of its waits, and end when it no longer holds (P5)', async () => {
    const { write, park, elapse, asked, revoked } = setUp();
    write('a', 'acme', false);
    const [mine, theirs] = [
      Array.from({ length: 50 }, () => park('a', { keyId: 'mine' })),
      park('a', { keyId: 'theirs' }),
    ];
    await elapse(2_100);
    expect(asked.toSorted()).toEqual(['mine', 'theirs']);
    revoked.add('mine');
    await elapse(2_100);
    expect(mine.every((one) => one.outcome().join() === 'Error: revoked')).toBe(true);
    expect(theirs.heard).toEqual([]);
    await elapse(2_100);
    expect(asked.filter((key) => key === 'mine').length).toBe(2);
  });

  it('end with their key although the reads of their workspace take for ever (P5)', async () => {
    const { write, park, elapse, lane, revoked } = setUp();
    write('a', 'acme', false);
    void lane.run('acme', () => new Promise(() => undefined));
    const mine = park('a', { keyId: 'mine' });
    await elapse(100);
    revoked.add('mine');
    await elapse(2_100);
    expect(mine.outcome()).toEqual(['Error: revoked']);
  });

  it('are all told of a read that failed, and their places are free', async () => {
    const { write, park, moved, elapse, state, released } = setUp();
    write('a', 'acme', false);
    const wait = park('a');
    await elapse(100);
    state.failure = new Error('no database');
    moved();
    await elapse(100);
    expect([wait.outcome(), released()]).toEqual([['Error: no database'], 1]);
  });

  it('are answered when the server stops, and so are those that come after', async () => {
    const { write, park, elapse, waits } = setUp();
    write('a', 'acme', false);
    const before = park('a');
    await elapse(100);
    waits.stop();
    const after = park('a');
    await elapse(100);
    expect([before.outcome(), after.outcome()]).toEqual([['timeout'], ['timeout']]);
  });

  it('leave nothing behind: without any, nothing is read or asked', async () => {
    const { write, park, moved, elapse, reads, asked } = setUp();
    write('a', 'acme', false);
    park('a', { timeoutMs: 100 });
    await elapse(500);
    reads.changes.length = 0;
    moved();
    await elapse(10_000);
    expect([reads.changes, asked]).toEqual([[], []]);
  });
});
