import type { z } from 'zod';
import type { optionsSchema } from '#controller/options.ts';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import type { ResourceStore } from '#controller/store/resource-store.ts';
import { Workspace, declarerOf } from '#test/simulation/engine-bench.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';
import { until } from '#test/support/up.ts';
import { startChild } from './child.ts';
import type { Child } from './child.ts';
import { startDepot } from './depot.ts';
import type { Depot } from './depot.ts';
import { watchLeases } from './work-log.ts';
import type { WorkerEvent, WorkerInput } from './worker.main.ts';

type OptionsInput = z.input<typeof optionsSchema>;

/** Leases of 1.5 s instead of 15, and everything else in proportion: a takeover takes seconds. */
export const shortOptions: OptionsInput = {
  engine: {
    leaseMs: 1_500,
    renewEveryMs: 400,
    pollMs: 100,
    // Longer than a pass that is frozen for a lease and still holds it: it would be broken off, and parked.
    passMs: 12_000,
    passMarginMs: 1_000,
    unknownFirstMs: 200,
    unknownMaxMs: 1_000,
    backoffFirstMs: 100,
    backoffMaxMs: 1_000,
    writeRetryMs: 100,
    drainMs: 3_000,
    // What is tested is not the brake.
    destructionsMax: 1_000,
  },
  gateway: { defaultBudget: { ratePerSecond: 5_000, burst: 5_000 } },
};

/** A controller process of the site. */
export interface Worker extends Child {
  readonly name: string;
  events(): readonly WorkerEvent[];
}

/** One store, one depot, and as many controllers as a test starts. */
export interface Site extends AsyncDisposable {
  readonly db: TestDatabase;
  readonly depot: Depot;
  readonly resources: ResourceStore;
  /** Starts a controller; resolves when it looks for work. */
  worker(name: string, more?: WorkerMore): Promise<Worker>;
  /** Rows declared that are not yet as declared, in words. */
  unsettled(): Promise<readonly string[]>;
  /** Resolves when every row is as declared and nobody holds one; throws what is not, after `patienceMs`. */
  settled(patienceMs?: number): Promise<void>;
}

export interface WorkerMore {
  readonly kinds?: readonly string[];
  readonly buggy?: boolean;
  readonly buildId?: string;
  readonly options?: OptionsInput;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Another way to the database. */
  readonly url?: string;
}

export const depotKinds = ['Crate', 'Parcel'] as const;

/** Makes the store, with the workspaces declared, and the depot. */
export async function createSite(workspaces: readonly string[] = ['acme']): Promise<Site> {
  const db = await createDatabase();
  const depot = await startDepot();
  await watchLeases(db.owner);
  const platform = db.sql('vibn_platform');
  const resources = createSqlResourceStore({ api: platform, platform, signals: { signal: () => undefined } });
  for (const workspace of workspaces) await declarerOf(resources, workspace).apply(Workspace, workspace, {});
  const workers: Worker[] = [];
  const unsettled = (): Promise<readonly string[]> => unsettledOf(db);
  return {
    db,
    depot,
    resources,
    unsettled,
    async worker(name, more = {}) {
      const worker = startWorker(name, { url: db.urlOf('vibn_controller'), depot: depot.url, ...more });
      workers.push(worker);
      await worker.said('"up"');
      return worker;
    },
    async settled(patienceMs = 30_000) {
      let left: readonly string[] = [];
      const check = async (): Promise<true | null> => {
        left = await unsettled();
        return left.length === 0 ? true : null;
      };
      await until(check, patienceMs).catch(async (error: unknown) => {
        const said = workers.map((worker) => `${worker.name}: ${worker.stderr().slice(-500)}`);
        const sessions = await sessionsOf(db);
        throw new Error(`Not settled:\n${[...left.slice(0, 20), ...sessions, ...said].join('\n')}`, { cause: error });
      });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(workers.map((worker) => worker[Symbol.asyncDispose]()));
      await depot[Symbol.asyncDispose]();
      await db[Symbol.asyncDispose]();
    },
  };
}

/** Starts a controller on a database and a depot of its caller's. */
export function startWorker(name: string, more: WorkerMore & { readonly url: string; readonly depot: string }): Worker {
  const {
    url,
    depot,
    kinds = depotKinds,
    buggy = false,
    buildId = 'newest',
    options = shortOptions,
    flags = [],
    env = {},
  } = more;
  const input: WorkerInput = { name, url, depot, kinds, buggy, buildId, options };
  const child = startChild({
    script: 'test/support/process/worker.main.ts',
    env: { ...env, WORKER: JSON.stringify(input) },
    flags,
  });
  return { ...child, name, events: () => child.lines.map((line) => JSON.parse(line) as WorkerEvent) };
}

async function unsettledOf({ owner }: TestDatabase): Promise<readonly string[]> {
  const rows = await owner<{ said: string }[]>`
    select r.workspace || ' ' || r.kind || '/' || r.name || case when r.deleted_at is null then '' else ' (deleted)' end ||
      ' generation ' || r.generation || ' observed ' || coalesce(r.observed_generation, 0) || ', held by ' ||
      coalesce(w.holder, 'nobody') || ': ' || r.conditions::text as said
    from resources r join work w using (shard, uid)
    where r.deleted_at is not null or r.observed_generation is distinct from r.generation or w.holder is not null
      or not r.conditions @> '[{"type":"Ready","status":"True"}]'
    order by 1`;
  return rows.map((row) => row.said);
}

/** Changing calls that a worker began after `since` (machineMs) without having asked, after it, for a lease over them. */
export function uncheckedSends(worker: Worker, since: number): readonly WorkerEvent[] {
  const checked = new Set<string>();
  const unchecked: WorkerEvent[] = [];
  for (const event of worker.events()) {
    if (event.event === 'up' || event.at < since) continue;
    if (event.event === 'check') checked.add(event.uid);
    else if (!checked.delete(event.uid)) unchecked.push(event);
  }
  return unchecked;
}

/** What each session of the workers does or did last, and whom it waits for. */
async function sessionsOf({ owner, name }: TestDatabase): Promise<readonly string[]> {
  const rows = await owner<{ said: string }[]>`
    select pid || ' ' || application_name || ' ' || state || ' for ' || (statement_timestamp() - state_change) || ' wait ' ||
      coalesce(wait_event, '') || ' blocked by ' || pg_blocking_pids(pid)::text || ': ' || left(query, 80) as said
    from pg_stat_activity where datname = ${name} and state <> 'idle' and pid <> pg_backend_pid() order by 1`;
  return rows.map((row) => row.said);
}
