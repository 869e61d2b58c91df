import PQueue from 'p-queue';

/**
 * The lane of the database for calls that stay open: waits and watches read again and again, and must not stand before the `get` or
 * `apply` of anyone.
 *
 * L1  At most `readsMax` reads are under way, of all workspaces together: the rest of the pool is for other calls.
 * L2  At most one of them is of a workspace, and who has waited longest is next: a tenant's reads delay nobody's but its own.
 */
export interface ReadLane {
  run<T>(workspace: string, read: () => Promise<T>): Promise<T>;
}

/** One of these serves a process. */
export function createReadLane(readsMax: number): ReadLane {
  const all = new PQueue({ concurrency: readsMax });
  const lines = new Map<string, { readonly queue: PQueue; reads: number }>();
  return {
    async run(workspace, read) {
      const line = lines.get(workspace) ?? { queue: new PQueue({ concurrency: 1 }), reads: 0 };
      lines.set(workspace, line);
      line.reads += 1;
      try {
        return await line.queue.add(() => all.add(read));
      } finally {
        line.reads -= 1;
        if (line.reads === 0) lines.delete(workspace);
      }
    },
  };
}
