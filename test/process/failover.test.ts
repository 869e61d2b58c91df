import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock, systemRng } from '#controller/clock.ts';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import { connect } from '#controller/store/sql.ts';
import type { Sql } from '#controller/store/sql.ts';
import { Workspace, declarerOf } from '#test/simulation/engine-bench.ts';
import { machineMs } from '#hack/role-process.ts';
import { crate, parcel } from '#test/support/process/depot-kinds.ts';
import { startDepot } from '#test/support/process/depot.ts';
import type { Depot } from '#test/support/process/depot.ts';
import {
  ask,
  bucketManifest,
  bucketsReady,
  createOperator,
  mutationsSince,
  timesDone,
} from '#test/support/process/operator.ts';
import type { Operator, Role } from '#test/support/process/operator.ts';
import { startPair } from '#test/support/process/pair.ts';
import type { Pair } from '#test/support/process/pair.ts';
import { startWorker } from '#test/support/process/site.ts';
import type { Worker } from '#test/support/process/site.ts';
import { openSwitchboard } from '#test/support/process/switchboard.ts';
import type { Switchboard } from '#test/support/process/switchboard.ts';
import { until } from '#test/support/up.ts';

/**
 * The primary is killed under load and its synchronous standby takes its place at the same address. More rounds by command, each on a
 * pair of its own: VIBN_FAILOVER_ROUNDS=5 npx vitest run --project process test/process/failover.test.ts
 */
const rounds = Number(process.env['VIBN_FAILOVER_ROUNDS'] ?? '1');
/** The figure is 15 s; a busy machine may take longer to start what it starts. */
const workingMsMax = 30_000;
const writers = 8;

interface Scene extends AsyncDisposable {
  readonly pair: Pair;
  readonly board: Switchboard;
  readonly operator: Operator;
  readonly api: Role;
  readonly depot: Depot;
  readonly worker: Worker;
  readonly platform: Sql;
}

/** What was started is stopped in reverse, also if the rest can not be. */
async function createScene(): Promise<Scene> {
  await using started = new AsyncDisposableStack();
  const pair = started.use(await startPair());
  const board = started.use(await openSwitchboard(pair.primary.port));
  const through = (url: string): string => board.through(url);
  const operator = started.use(await createOperator({ urlOf: (role) => pair.primary.urlOf(role), through }));
  const api = await operator.api();
  await operator.controller();
  const depot = started.use(await startDepot());
  const url = through(pair.primary.urlOf('vibn_controller'));
  const worker = started.use(startWorker('w0', { url, depot: depot.url }));
  await worker.said('"up"');
  const login = through(pair.primary.urlOf('vibn_platform'));
  const platform = connect({ url: login, role: 'vibn_platform', max: 8, clock: systemClock, rng: systemRng });
  started.defer(() => platform.end());
  const kept = started.move();
  const dispose = (): Promise<void> => kept.disposeAsync();
  return { pair, board, operator, api, depot, worker, platform, [Symbol.asyncDispose]: dispose };
}

/** What was acknowledged: generation by "Kind/name". */
type Acknowledged = Map<string, number>;

interface Load {
  readonly acknowledged: Acknowledged;
  /** machineMs of the last 200, and of each refusal's status. */
  readonly answers: { readonly at: number; readonly status: number }[];
  stop(): Promise<void>;
}

/** Buckets by the API, each made and then changed; called again with the same request id until it is acknowledged, as clients do. */
function loadApi({ api, operator }: Scene): Load {
  const acknowledged: Acknowledged = new Map();
  const answers: { at: number; status: number }[] = [];
  const stopping = new AbortController();
  const write = async (name: string, storageClass: string): Promise<void> => {
    const requestId = `${name}-${storageClass}`;
    const manifest = bucketManifest('acme', name, { storageClass });
    for (;;) {
      const answer = await ask(api, operator.key, { procedure: 'resources.apply', input: { manifest, requestId } });
      answers.push({ at: machineMs(), status: answer.status });
      if (answer.status !== 200) continue;
      const { metadata } = answer.data as { metadata: { generation: number } };
      acknowledged.set(`Bucket/${name}`, metadata.generation);
      return;
    }
  };
  const writer = async (id: number): Promise<void> => {
    for (let n = 0; !stopping.signal.aborted; n += 1) {
      await write(`b${id}-${n}`, 'STANDARD');
      if (n % 2 === 1) await write(`b${id}-${n - 1}`, 'NEARLINE');
    }
  };
  const running = Promise.all(Array.from({ length: writers }, (_, id) => writer(id)));
  return {
    acknowledged,
    answers,
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

/** Crates and parcels, straight to the store. */
function loadDepot({ platform }: Scene): Load {
  const acknowledged: Acknowledged = new Map();
  const stopping = new AbortController();
  const resources = createSqlResourceStore({ api: platform, platform, signals: { signal: () => undefined } });
  const { apply } = declarerOf(resources);
  const run = async (): Promise<void> => {
    for (let n = 0; !stopping.signal.aborted; n += 1) {
      const kind = n % 2 === 0 ? crate : parcel;
      await until(() => apply(kind, `n${n}`, {}).catch(() => null));
      acknowledged.set(`${kind.name}/n${n}`, 1);
    }
  };
  const running = run();
  return {
    acknowledged,
    answers: [],
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

async function declareWorkspace({ platform }: Scene): Promise<void> {
  const resources = createSqlResourceStore({ api: platform, platform, signals: { signal: () => undefined } });
  await declarerOf(resources).apply(Workspace, 'acme', {});
}

interface Stored {
  readonly key: string;
  readonly generation: number;
  readonly ready: boolean;
}

describe('a primary that dies under load', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await createScene();
    await declareWorkspace(scene);
  });
  afterAll(() => scene[Symbol.asyncDispose]());

  test(
    'loses nothing that was acknowledged, and does nothing twice, once its standby has taken over',
    async () => {
      for (let round = 0; round < rounds; round += 1) {
        if (round > 0) {
          await scene[Symbol.asyncDispose]();
          scene = await createScene();
          await declareWorkspace(scene);
        }
        expect((await oneFailover(scene)).acknowledged).toBeGreaterThan(50);
      }
    },
    rounds * 120_000,
  );
});

async function oneFailover(scene: Scene): Promise<{ readonly acknowledged: number }> {
  const { pair, board, operator, api, depot } = scene;
  const loads = [loadApi(scene), loadDepot(scene)];
  await until(() => (mutationsSince(operator.cloud, 0).length > 60 && depot.parcels.length > 10 ? true : null));
  const acknowledgedBefore = loads.map((load) => load.acknowledged.size);
  const diedAt = machineMs();
  await pair.primary.kill('SIGKILL');
  // The address leads to the standby before it takes writes, as it may where names and not servers are switched.
  board.pointTo(pair.standby.port);
  const callsBefore = operator.cloud.calls.since(0).next;
  await until(() =>
    (loads[0]?.answers.filter((one) => one.at > diedAt && one.status === 503).length ?? 0) > 0 ? true : null,
  );
  await pair.promote();
  const promotedAt = machineMs();
  const answered = await until(
    () => loads[0]?.answers.find((one) => one.at > promotedAt && one.status === 200) ?? null,
    workingMsMax,
  );
  await until(() => (mutationsSince(operator.cloud, callsBefore).length > 0 ? true : null), workingMsMax);
  const workingMs = machineMs() - diedAt;
  await until(() => ((loads[1]?.acknowledged.size ?? 0) > (acknowledgedBefore[1] ?? 0) + 10 ? true : null));
  await Promise.all(loads.map((load) => load.stop()));

  await bucketsReady(operator.clientOf(api), 'acme');
  const stored = await until(async () => {
    const rows = await scene.platform.run<Stored>(storedRows, []);
    return rows.every((row) => row.ready) ? rows : null;
  });
  const generations = new Map(stored.map((row) => [row.key, row.generation]));
  const acknowledged = loads.flatMap((load) => [...load.acknowledged]);
  const lost = acknowledged.filter(([key, generation]) => (generations.get(key) ?? 0) < generation);
  const statuses = new Set(loads[0]?.answers.map((answer) => answer.status));
  console.log(
    JSON.stringify({
      acknowledgedBefore,
      acknowledged: acknowledged.length,
      lost: lost.length,
      promoteMs: Math.round(promotedAt - diedAt),
      answeredAfterMs: Math.round(answered.at - diedAt),
      workingAfterMs: Math.round(workingMs),
      parcels: depot.parcels.length,
      statuses: [...statuses],
    }),
  );
  expect(lost).toEqual([]);
  expect([...statuses].toSorted((a, b) => a - b).filter((status) => ![200, 503].includes(status))).toEqual([]);
  expect([...timesDone(operator.cloud, 'buckets.insert')].filter(([, times]) => times > 1)).toEqual([]);
  expect([...depot.done()].filter(([what, times]) => !what.startsWith('update') && times > 1)).toEqual([]);
  expect(new Set(depot.parcels.map((one) => one.uid)).size).toBe(depot.parcels.length);
  expect([api.isRunning(), scene.worker.isRunning()]).toEqual([true, true]);
  return { acknowledged: acknowledged.length };
}

const storedRows = {
  name: 'stored_rows',
  repeatable: true,
  text: `select kind || '/' || name as key, generation, observed_generation is not distinct from generation
    and conditions @> '[{"type":"Ready","status":"True"}]' as ready from resources`,
};
