import postgres from 'postgres';
import { jittered, type Clock, type Rng } from '#controller/clock.ts';
import type { Signals } from './resource-store.ts';

export interface SqlSignalsOptions {
  /** DATABASE_URL_DIRECT: a session of its own, since poolers in transaction mode lose LISTEN. Any login may. */
  readonly url: string;
  readonly clock: Clock;
  readonly rng: Rng;
  /** For logs and metrics. */
  readonly onState?: (state: 'listening' | 'lost') => void;
}

const channel = 'vibn_shards';
/** At most one NOTIFY per process in this time; pg_notify in each writing transaction cut throughput to 38 % (architecture §4). */
const coalesceMs = 10;
/** A half-open session is noticed after both of these at the latest: 10 s of the 15 allowed. */
const heartbeatEveryMs = 5_000;
const heartbeatPatienceMs = 5_000;
const reconnectPauseMs = 500;
const connectSeconds = 5;

type Listener = (shards: readonly number[] | null) => void;

/**
 * Signals over LISTEN and NOTIFY, on one session. Losing a signal is harmless; losing the session is repaired, and then every listener
 * hears `null`: everything may have changed.
 */
export function createSqlSignals(options: SqlSignalsOptions): Signals & { end(): Promise<void> } {
  const { clock } = options;
  const listeners = new Set<Listener>();
  const ending = new AbortController();
  const waiting = new Set<number>();
  let session: Session | null = null;
  let quietUntil = 0;
  let flushing = false;

  const tell: Listener = (shards) => {
    for (const listener of listeners) listener(shards);
  };
  const flush = (): void => {
    flushing = false;
    quietUntil = clock.monotonic() + coalesceMs;
    const payload = [...waiting].join(',');
    waiting.clear();
    session?.notify(payload);
  };

  const keepListening = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      session = openSession(options, tell);
      const current = session;
      if (await current.listen()) {
        options.onState?.('listening');
        tell(null);
        await current.watch(ending.signal);
        options.onState?.('lost');
      }
      session = null;
      await current.end();
      await clock.sleep(jittered(reconnectPauseMs, 0.5, options.rng.next()), ending.signal);
    }
  };
  const kept = keepListening();

  return {
    signal: (shards) => {
      for (const shard of shards) waiting.add(shard);
      if (flushing || waiting.size === 0) return;
      flushing = true;
      clock.after(Math.max(0, quietUntil - clock.monotonic()), flush);
    },
    onSignal: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    end: async () => {
      if (flushing) flush();
      ending.abort();
      await kept;
    },
  };
}

type Session = ReturnType<typeof openSession>;

/** One session that listens. Never reconnects by itself: a new session must be asked to LISTEN again. */
function openSession({ url, clock }: SqlSignalsOptions, tell: Listener) {
  const closed = new AbortController();
  const options = {
    max: 1,
    idle_timeout: 0,
    max_lifetime: null,
    fetch_types: false,
    connect_timeout: connectSeconds,
    onnotice: () => undefined,
    onclose: () => closed.abort(),
    connection: { application_name: 'vibn_signals' },
    // Not in the driver's types, but how its own `listen` hears.
    onnotify: (_channel: string, payload: string) => tell(shardsOf(payload)),
  };
  const sql = postgres(url, options);
  /** Whether a statement is answered in time on this very session. */
  const answered = async (text: string): Promise<boolean> => {
    if (closed.signal.aborted) return false;
    const answer = sql.unsafe(text).then(
      () => true,
      () => false,
    );
    return await Promise.race([answer, patience(clock, closed.signal)]);
  };
  return {
    listen: () => answered(`listen ${channel}`),
    notify: (payload: string): void => {
      if (!closed.signal.aborted) sql.notify(channel, payload).catch(() => undefined);
    },
    /** Resolves when the session is lost, or `until` aborts. */
    watch: async (until: AbortSignal): Promise<void> => {
      const stop = AbortSignal.any([until, closed.signal]);
      do await clock.sleep(heartbeatEveryMs, stop);
      while (!stop.aborted && (await answered('select 1')));
    },
    end: () => sql.end({ timeout: 0 }),
  };
}

async function patience(clock: Clock, closed: AbortSignal): Promise<false> {
  await clock.sleep(heartbeatPatienceMs, closed);
  return false;
}

/** Shards of a payload "3,17". What is not one is left out: anyone with a login may notify. */
function shardsOf(payload: string): readonly number[] {
  return payload
    .split(',')
    .filter((text) => /^\d{1,2}$/.test(text))
    .map(Number);
}
