// Flow step 10 of 10: watch. Before: settle.ts. After: api/watch.ts.
import type { Clock } from '#controller/clock.ts';
import type { ChangePage, ChangesQuery, ResourceStore, Scope, Signals } from '#controller/store/resource-store.ts';
import { shardOf } from '#resources/shard.ts';

/**
 * Changes since a version, to whoever asks. A reader holds no state here but its place in line: what it missed it reads again.
 *
 * Invariants
 * F1  A signal that comes between a read and the wait after it ends that wait at once: none is lost inside this process.
 * F2  A lost signal costs `pollMs` and nothing else (law 2).
 * F3  However many signals come, one reader looks at most once per `gapMs`.
 * F4  Readers who ask for the same page while one such read is under way share the next: what they hear was read after they asked.
 */
export interface Feed {
  /** What changed in a workspace after a version, at most one page of it. */
  read(scope: Scope, workspace: string, afterVersion: number): Promise<ChangePage>;
  /** The same, of bare rows. */
  readBare(scope: Scope, workspace: string, afterVersion: number): Promise<ChangePage>;
  /** Where to stand before a read, so that no signal after it is missed. */
  place(workspaces: readonly string[]): Place;
  /** Hears which shards may have changed; null: all. For those who keep a place of their own. */
  onMoved(listener: (shards: readonly number[] | null) => void): void;
  /** Stops listening to signals. */
  stop(): void;
}

/** A reader's place in line. */
export interface Place {
  /** Resolves when one of the workspaces may have changed since the last call, after `timeoutMs`, or on abort. Never rejects. */
  moved(timeoutMs: number, signal?: AbortSignal): Promise<void>;
}

export interface FeedDeps {
  readonly store: Pick<ResourceStore, 'changes'>;
  readonly signals: Signals;
  readonly clock: Clock;
  readonly options: { readonly feedPollMs: number; readonly feedGapMs: number; readonly changesPageMax: number };
}

/** One feed serves a process: it listens to signals once. */
export function createFeed(deps: FeedDeps): Feed {
  const { store, clock, options } = deps;
  const seen = createSignalCounter(deps.signals);
  const share = createShared<ChangePage>();
  const deaf: (() => void)[] = [seen.stop];
  const page = (scope: Scope, query: Omit<ChangesQuery, 'limit'>): Promise<ChangePage> =>
    share(JSON.stringify([scope, query]), () => store.changes(scope, { ...query, limit: options.changesPageMax }));

  return {
    read: (scope, workspace, afterVersion) => page(scope, { workspace, afterVersion }),
    readBare: (scope, workspace, afterVersion) => page(scope, { workspace, afterVersion, bare: true }),
    onMoved: (listener) => void deaf.push(deps.signals.onSignal(listener)),
    place(workspaces) {
      const shards = [...new Set(workspaces.map(shardOf))];
      let last = seen.count(shards);
      let lookedAt = -Infinity;
      return {
        async moved(timeoutMs, signal) {
          const wait = Math.min(timeoutMs, options.feedPollMs);
          if (seen.count(shards) === last) await seen.next({ shards, clock, timeoutMs: wait, signal });
          const gap = options.feedGapMs - (clock.monotonic() - lookedAt);
          if (gap > 0) await clock.sleep(gap, signal);
          last = seen.count(shards);
          lookedAt = clock.monotonic();
        },
      };
    },
    stop: () => {
      for (const stop of deaf) stop();
    },
  };
}

/** Reads of one name one after the other; all who ask while one is under way share the next. */
function createShared<T>() {
  interface Line {
    underWay: Promise<T>;
    next: Promise<T> | null;
  }
  const lines = new Map<string, Line>();
  const begin = (name: string, read: () => Promise<T>): Promise<T> => {
    const underWay = read();
    const line: Line = { underWay, next: null };
    lines.set(name, line);
    const ended = (): void => {
      if (line.next === null) lines.delete(name);
    };
    underWay.then(ended, ended);
    return underWay;
  };
  return (name: string, read: () => Promise<T>): Promise<T> => {
    const line = lines.get(name);
    if (line === undefined) return begin(name, read);
    const again = (): Promise<T> => begin(name, read);
    return (line.next ??= line.underWay.then(again, again));
  };
}

interface NextSignal {
  readonly shards: readonly number[];
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Counts signals by shard; a reconnect counts for all. */
function createSignalCounter(signals: Signals) {
  const counts = new Map<number, number>();
  let everywhere = 0;
  const waiting = new Set<{ readonly shards: readonly number[]; readonly wake: () => void }>();

  const stop = signals.onSignal((shards) => {
    if (shards === null) everywhere += 1;
    for (const shard of shards ?? []) counts.set(shard, (counts.get(shard) ?? 0) + 1);
    for (const one of waiting) if (shards === null || one.shards.some((s) => shards.includes(s))) one.wake();
  });

  return {
    stop,
    count: (shards: readonly number[]): number =>
      shards.reduce((sum, shard) => sum + (counts.get(shard) ?? 0), everywhere),
    next({ shards, clock, timeoutMs, signal }: NextSignal): Promise<void> {
      const woken = new AbortController();
      const one = { shards, wake: () => woken.abort() };
      waiting.add(one);
      const either = signal === undefined ? woken.signal : AbortSignal.any([woken.signal, signal]);
      return clock.sleep(timeoutMs, either).finally(() => waiting.delete(one));
    },
  };
}
