import type { Signals } from '#controller/store/resource-store.ts';

/** Signals within one process: a listener hears each signal, in the signaller's own call. */
export function createMemorySignals(): Signals & { reconnect(): void } {
  const listeners = new Set<(shards: readonly number[] | null) => void>();
  const tell = (shards: readonly number[] | null): void => {
    for (const listener of listeners) listener(shards);
  };
  return {
    signal: tell,
    reconnect: () => tell(null),
    onSignal(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
