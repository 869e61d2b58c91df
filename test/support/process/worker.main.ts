import { writeSync } from 'node:fs';
import type { z } from 'zod';
import { systemClock, systemRng } from '#controller/clock.ts';
import { createEngine } from '#controller/engine.ts';
import { createLogger } from '#controller/log.ts';
import { createOptions } from '#controller/options.ts';
import type { optionsSchema } from '#controller/options.ts';
import { runRole } from '#controller/process/run-role.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';
import { createSqlSignals } from '#controller/store/signals.ts';
import { createSqlEngineStore } from '#controller/store/sql-engine-store.ts';
import { createSqlProviderStore } from '#controller/store/sql-provider-store.ts';
import { createSqlReplayStore } from '#controller/store/sql-replay-store.ts';
import { connect } from '#controller/store/sql.ts';
import { machineMs } from '#hack/role-process.ts';
import { depotReconcilers } from './depot-kinds.ts';

/**
 * A controller as a process of its own, composed as controller/main.ts composes it, over the kinds of the depot and with options that a
 * production controller has no knob for: short leases, and kinds left out as a build of before has them. Tells on stdout, a JSON line
 * each, what it asks before a changing call and what it sends.
 */
export interface WorkerInput {
  /** Also its name in pg_stat_activity, and the first part of its holder. */
  readonly name: string;
  readonly url: string;
  readonly depot: string;
  readonly kinds: readonly string[];
  /** Its Crate throws at the text "boom". */
  readonly buggy: boolean;
  readonly buildId: string;
  readonly options: z.input<typeof optionsSchema>;
}

/** `up`: looks for work, with its wall clock; `check`: the lease was asked for at `at`; `send`: a changing call begins. machineMs. */
export type WorkerEvent =
  | { readonly event: 'up'; readonly now: number }
  | { readonly event: 'check' | 'send'; readonly uid: string; readonly at: number };

function tell(event: WorkerEvent): void {
  writeSync(1, `${JSON.stringify(event)}\n`);
}

/** Tells of the two statements that allow a changing call, with the time before they were asked. */
function watched(store: EngineStore): EngineStore {
  const noted = async <T>(uid: string, ask: () => Promise<T | null>): Promise<T | null> => {
    const at = machineMs();
    const granted = await ask();
    if (granted !== null) tell({ event: 'check', uid, at });
    return granted;
  };
  return {
    ...store,
    extend: (fence, callMs) => noted(fence.uid, () => store.extend(fence, callMs)),
    // oxlint-disable-next-line eslint/max-params -- the store's own form
    markSending: (fence, nonce, callMs) => noted(fence.uid, () => store.markSending(fence, nonce, callMs)),
  };
}

const input = JSON.parse(process.env['WORKER'] ?? '{}') as WorkerInput;
const [clock, rng] = [systemClock, systemRng];

await runRole({
  role: 'controller',
  clock,
  configure: () => ({
    logLevel: 'warn',
    database: { url: input.url, directUrl: input.url, connections: 6 },
    host: '127.0.0.1',
    port: 0,
    buildId: input.buildId,
    options: createOptions(input.options),
  }),
  build(config) {
    const log = createLogger({ level: 'warn', role: input.name, destination: process.stderr });
    const sql = connect({ url: input.url, role: input.name, max: config.database.connections, clock, rng });
    const signals = createSqlSignals({ url: input.url, clock, rng });
    const onSend = ({ uid }: { uid: string }): void => tell({ event: 'send', uid, at: machineMs() });
    const engine = createEngine({
      store: watched(createSqlEngineStore({ sql, signals })),
      providers: createSqlProviderStore({ sql }),
      replays: createSqlReplayStore({ sql, signals }),
      signals,
      registry: depotReconcilers({ url: input.depot, worker: input.name, onSend, buggy: input.buggy }, input.kinds),
      clock,
      rng,
      log,
      options: config.options,
      buildId: input.buildId,
      holder: `${input.name}/${process.pid}/${rng.uuid()}`,
    });
    const stores = {
      name: 'stores',
      start: async () => undefined,
      stop: async () => {
        await signals.end();
        await sql.end();
      },
    };
    const running = {
      name: 'engine',
      start: async () => {
        await engine.start();
        tell({ event: 'up', now: Date.now() });
      },
      stop: () => engine.stop(),
    };
    return [stores, running];
  },
});
