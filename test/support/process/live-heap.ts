import type { Child } from './child.ts';

/** Starts a child so that its heap can be asked after. */
export const inspectedFlags: readonly string[] = ['--inspect=127.0.0.1:0', '--inspect-publish-uid=stderr'];

/** What a process holds on to. */
export interface LiveHeap extends Disposable {
  /** MB that are left after a collection of all garbage, buffers included. */
  measure(): Promise<number>;
}

interface Reply {
  readonly id: number;
  readonly result?: { readonly usedSize: number; readonly backingStorageSize: number };
  readonly error?: unknown;
}

/** Connects to the inspector of a child that was started with `inspectedFlags`. */
export async function liveHeapOf(child: Child): Promise<LiveHeap> {
  const address = /ws:\/\/\S+/.exec(child.stderr())?.[0];
  if (address === undefined) throw new Error(`no inspector: ${child.stderr()}`);
  const socket = new WebSocket(address);
  const waiting = new Map<number, PromiseWithResolvers<Reply['result']>>();
  socket.addEventListener('message', ({ data }) => {
    const { id, result, error } = JSON.parse(String(data)) as Reply;
    if (error === undefined) waiting.get(id)?.resolve(result);
    else waiting.get(id)?.reject(new Error(JSON.stringify(error)));
    waiting.delete(id);
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', () => reject(new Error(`no inspector at ${address}`)));
  });
  let asked = 0;
  const ask = (method: string): Promise<Reply['result']> => {
    const answer = Promise.withResolvers<Reply['result']>();
    waiting.set((asked += 1), answer);
    socket.send(JSON.stringify({ id: asked, method }));
    return answer.promise;
  };
  return {
    async measure() {
      await ask('HeapProfiler.collectGarbage');
      const usage = await ask('Runtime.getHeapUsage');
      return Number((((usage?.usedSize ?? NaN) + (usage?.backingStorageSize ?? NaN)) / 2 ** 20).toFixed(2));
    },
    [Symbol.dispose]: () => socket.close(),
  };
}
