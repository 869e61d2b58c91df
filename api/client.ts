import { createTRPCUntypedClient, httpLink, httpSubscriptionLink, splitLink, TRPCClientError } from '@trpc/client';
import type { TRPCUntypedClient } from '@trpc/client';
import type { AnyTRPCProcedure, inferProcedureInput, inferProcedureOutput } from '@trpc/server';
import { EventSource } from 'eventsource';
import type { ResourceKey } from '#resources/resource.ts';
import type { WireError } from './errors.ts';
import type { AppRouter } from './router.ts';
import type { WaitAnswer } from './waits/parked.ts';
import type { WatchEvent } from './watch.ts';

/** The typed client (package export "./client"). Names are camelCase here alone; on the wire they are as in the documentation. */
export interface ClientSettings {
  /** E.g. "http://127.0.0.1:4400". */
  readonly url: string;
  readonly apiKey: string;
  readonly fetch?: typeof fetch;
}

/** What the API answered (`data`), or that it could not be asked (`data` absent). */
export type VibnError = Error & { readonly data?: WireError['data'] | null };

export function isVibnError(error: unknown): error is VibnError {
  return error instanceof TRPCClientError;
}

/** An event of a watch; `id` is the cursor after it. */
export type WatchItem = WatchEvent & { readonly id: string };

export interface WatchWish {
  readonly workspace: string;
  readonly kind?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly cursor?: string;
}

interface BaseClient {
  /** Calls any procedure by its dotted name, verbs of kinds too. */
  call<Answer = unknown>(procedure: string, input?: unknown, options?: { signal?: AbortSignal }): Promise<Answer>;
  /** Changes until the loop is left or `signal` aborts. Connections that break are made again, from the last event on. */
  watch(wish: WatchWish, options?: { signal?: AbortSignal }): AsyncGenerator<WatchItem, void>;
  /** Waits until all are Ready, as long as it takes up to `timeoutMs` (5 min), in calls that continue each other. */
  waitReady(refs: readonly ResourceKey[], options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<WaitAnswer>;
}

type CamelCase<Name> = Name extends `${infer Head}_${infer Rest}` ? `${Head}${Capitalize<CamelCase<Rest>>}` : Name;

type Callable<P extends AnyTRPCProcedure> = (
  input: inferProcedureInput<P>,
  options?: { signal?: AbortSignal },
) => Promise<inferProcedureOutput<P>>;

type Area<Procedures> = {
  readonly [
    Name in keyof Procedures as Procedures[Name] extends { _def: { type: 'subscription' } } ? never : CamelCase<Name>
  ]: Procedures[Name] extends AnyTRPCProcedure ? Callable<Procedures[Name]> : never;
};

type AppRecord = AppRouter['_def']['record'];

/** Areas of procedures: `client.resources.applyAll({ … })`. */
type Areas = { readonly [Name in keyof AppRecord]: Area<AppRecord[Name]> };

export type VibnClient = BaseClient & Areas;

const oneWaitMsMax = 60_000;
const waitReadyMsDefault = 300_000;

/** Makes a client. It opens no connection before the first call and holds none between calls. */
export function createClient(settings: ClientSettings): VibnClient {
  const trpc = untyped(settings);
  const call: BaseClient['call'] = async (procedure, input = {}, options = {}) =>
    (await trpc.mutation(procedure, input, options)) as never;
  const base: BaseClient = {
    call,
    watch: (wish, options) => watch(trpc, wish, options?.signal),
    waitReady: (refs, options) => waitReady(call, refs, options),
  };
  return new Proxy(base, {
    get: (target, name) => {
      if (typeof name !== 'string' || name === 'then') return undefined;
      return name in target ? target[name as keyof BaseClient] : areaOf(call, name);
    },
  }) as VibnClient;
}

/** Every call goes by POST, so that inputs have no length but the body's; `mutation` is how the untyped client says that. */
function untyped({ url, apiKey, fetch: send = fetch }: ClientSettings): TRPCUntypedClient<AppRouter> {
  const headers = { authorization: `Bearer ${apiKey}` };
  const at = `${url.replace(/\/+$/, '')}/trpc`;
  return createTRPCUntypedClient<AppRouter>({
    links: [
      splitLink({
        condition: (op) => op.type === 'subscription',
        true: httpSubscriptionLink({
          url: at,
          EventSource,
          eventSourceOptions: {
            fetch: (input, init) =>
              send(input as string, { ...(init as object), headers: { ...init.headers, ...headers } }),
          },
        }),
        false: httpLink({ url: at, headers, fetch: (input, init) => send(input as string, init as RequestInit) }),
      }),
    ],
  });
}

function areaOf(call: BaseClient['call'], area: string): unknown {
  const procedure =
    (path: string) =>
    (input?: unknown, options?: { signal?: AbortSignal }): Promise<unknown> =>
      call(path, input, options);
  return new Proxy(
    {},
    {
      get: (_target, name) =>
        typeof name === 'string' && name !== 'then' ? procedure(`${area}.${snakeCase(name)}`) : undefined,
    },
  );
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Events that wait for a slow reader; beyond it the watch ends with an error rather than fill the memory. */
const bufferMax = 10_000;

async function* watch(
  trpc: TRPCUntypedClient<AppRouter>,
  wish: WatchWish,
  signal: AbortSignal | undefined,
): AsyncGenerator<WatchItem, void> {
  const buffer: WatchItem[] = [];
  let ended = false;
  let failure: unknown = null;
  let wake: () => void = () => undefined;
  const end = (error: unknown): void => {
    ended = true;
    failure ??= error;
    wake();
  };
  const subscription = trpc.subscription('resources.watch', wish, {
    onData: (item) => {
      const { id, data } = item as { id: string; data: WatchEvent };
      if (buffer.push({ ...data, id }) > bufferMax) end(new Error('The reader of this watch is too slow.'));
      wake();
    },
    onError: end,
    onComplete: () => end(null),
  });
  const leave = (): void => end(null);
  if (signal?.aborted === true) leave();
  signal?.addEventListener('abort', leave, { once: true });
  try {
    for (;;) {
      const item = buffer.shift();
      if (item !== undefined) yield item;
      else if (ended) break;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
    if (failure !== null) throw failure;
  } finally {
    signal?.removeEventListener('abort', leave);
    subscription.unsubscribe();
  }
}

async function waitReady(
  call: BaseClient['call'],
  refs: readonly ResourceKey[],
  options: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<WaitAnswer> {
  const deadline = performance.now() + (options.timeoutMs ?? waitReadyMsDefault);
  const keys = refs.map(({ workspace, kind, name }) => ({ workspace, kind, name }));
  let cursor: string | undefined;
  for (;;) {
    const timeoutMs = Math.max(0, Math.min(oneWaitMsMax, Math.ceil(deadline - performance.now())));
    const wish = { refs: keys, timeoutMs, ...(cursor === undefined ? {} : { cursor }) };
    const answer = await call<WaitAnswer>('resources.wait', wish, options.signal ? { signal: options.signal } : {});
    if (answer.outcome !== 'timeout' || performance.now() >= deadline) return answer;
    cursor = answer.cursor;
  }
}
