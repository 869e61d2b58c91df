import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { roleFlags } from '#hack/role-process.ts';

/** What a role of the operator is told at its start. */
export interface RoleInput {
  /** `bare-http`: no role, but a server that does nothing. */
  readonly role: 'api' | 'controller' | 'bare-http';
  /** Of vibn_api and vibn_platform, or of vibn_controller. */
  readonly url: string;
  readonly platformUrl?: string;
  readonly keyHmacSecret?: string;
}

/** Of a process. */
export interface Memory {
  readonly rssBytes: number;
  readonly heapBytes: number;
}

/** What a role says by itself. `at`: the machine's monotonic time in ms, the same in all processes. */
export type RoleEvent =
  | { readonly event: 'ready'; readonly port: number }
  | { readonly event: 'call'; readonly name: string; readonly at: number };

type RoleMessage =
  | RoleEvent
  | { readonly event: 'memory'; readonly memory: Memory }
  | { readonly event: 'open'; readonly count: number };

/** A role of the operator in a process of its own, as in production: its event loop and memory are its own. */
export interface Child {
  /** Where the API listens. */
  readonly port: number;
  /** `collected`: after a collection that also closes the gaps. */
  memory(how?: 'collected'): Promise<Memory>;
  /** Requests of the API that are not answered yet. */
  open(): Promise<number>;
  stop(): Promise<void>;
}

const main = fileURLToPath(new URL('./main.ts', import.meta.url));

/** Starts a role; resolves when it is ready. It ends with this process, whatever happens. */
export async function startChild(
  input: RoleInput,
  onCall: (name: string, at: number) => void = () => undefined,
): Promise<Child> {
  const child = fork(main, ['--role', JSON.stringify(input)], {
    execArgv: [...process.execArgv, ...roleFlags(input.role === 'api' ? 'api' : 'other'), '--expose-gc'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const waiting: { readonly event: string; readonly resolve: (message: RoleMessage) => void }[] = [];
  const next = (event: string): Promise<RoleMessage> =>
    Promise.race([
      new Promise<RoleMessage>((resolve) => waiting.push({ event, resolve })),
      exited.then(() => Promise.reject(new Error(`the ${input.role} ended`))),
    ]);
  child.on('message', (message: RoleMessage) => {
    if (message.event === 'call') return onCall(message.name, message.at);
    const index = waiting.findIndex((one) => one.event === message.event);
    if (index >= 0) waiting.splice(index, 1)[0]?.resolve(message);
  });
  const ready = await next('ready');
  const ask = (event: string, how?: 'collected'): Promise<RoleMessage> => {
    const answer = next(event);
    child.send({ ask: event, how });
    return answer;
  };
  return {
    port: ready.event === 'ready' ? ready.port : 0,
    memory: async (how) => {
      const message = await ask('memory', how);
      return message.event === 'memory' ? message.memory : { rssBytes: 0, heapBytes: 0 };
    },
    open: async () => {
      const message = await ask('open');
      return message.event === 'open' ? message.count : 0;
    },
    stop: async () => {
      child.disconnect();
      await exited;
    },
  };
}

/** In the child: answers what the bench asks, and stops when it goes away. */
export function serveParent(input: { readonly open: () => number; readonly stop: () => Promise<void> }): void {
  process.on('message', (message: { readonly ask: string; readonly how?: 'collected' }) => {
    if (message.ask === 'open') tellParent({ event: 'open', count: input.open() });
    if (message.ask === 'memory') void tellMemory(message.how);
  });
  process.once('disconnect', () => {
    const late = setTimeout(() => process.exit(1), 15_000);
    void input.stop().finally(() => {
      clearTimeout(late);
      process.exit(0);
    });
  });
}

async function tellMemory(how?: 'collected'): Promise<void> {
  // Twice: finalizers run between the two. "Last resort" also gives half-empty pages back.
  for (let round = how === 'collected' ? 0 : 2; round < 2; round += 1) {
    gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { rss, heapUsed } = process.memoryUsage();
  tellParent({ event: 'memory', memory: { rssBytes: rss, heapBytes: heapUsed } });
}

/** In the child. */
export function tellParent(message: RoleMessage): void {
  process.send?.(message);
}
