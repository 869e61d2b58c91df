import PQueue from 'p-queue';
import { platformShard } from '#resources/shard.ts';
import type { Clock, Rng } from '#controller/clock.ts';
import type { Logger } from '#controller/log.ts';
import type { Metrics } from '#controller/metrics.ts';
import type { GatewayOptions } from '#controller/options.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';
import type { ProviderStore } from '#controller/store/provider-store.ts';
import { createLoop } from '#controller/process/supervisor.ts';
import { createAccountStates } from './account-state.ts';
import type { AccountStates } from './account-state.ts';
import { createBreaker } from './breaker.ts';
import { budgetsOf } from './budgets.ts';
import { BreakerOpen, Frozen, ResidencyViolation, Throttled } from './errors.ts';
import { createProbes } from './probes.ts';
import { checkResidency } from './residency.ts';
import { createSender, fieldsOf } from './send.ts';
import type { Sender } from './send.ts';
import { createSlots } from './slots.ts';
import { createTokens } from './tokens.ts';
import type { AccountName } from './tokens.ts';
import type { Gateway, GatewayCall, GatewayHandlers } from './types.ts';

export { BreakerOpen, DeadlineExceeded, Frozen, ResidencyViolation, Throttled } from './errors.ts';
export type { Gateway, GatewayCall, GatewayHandlers, LateAnswer } from './types.ts';

/**
 * The gateway (architecture §5). One call goes through, in this order:
 * residency → freeze, breaker, hold → a place in the account's queue → the same gates again → tokens → slot → `beforeSend` → the send,
 * within our own deadline → the report.
 *
 * Invariants
 * G1  Nothing is sent before every gate was passed and `beforeSend` resolved less than `beginWithinMs` after its start.
 * G2  There is no retry here: the engine's is the only retry layer.
 * G3  The caller gets the outcome of its call whatever happens to reports, slots and metrics.
 * G4  All time is the Clock's. p-queue gives concurrency only; its interval and timeout features would bring a second clock.
 */
export interface RunningGateway extends Gateway {
  /** Begins to refresh provider state and, with handlers, to probe open breakers. Resolves after the first look at the store. */
  start(handlers?: GatewayHandlers): Promise<void>;
  /** Ends refreshing and probing; calls under way are the callers'. */
  stop(): Promise<void>;
}

export interface GatewayInput {
  readonly providers: ProviderStore;
  /** Tells the database's time, by which freezes and holds end; without it, this process's wall clock stands in. */
  readonly store?: Pick<EngineStore, 'readRows'>;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly options: GatewayOptions;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** How often a late `beforeSend` is asked again before the call is given back as Throttled. */
const beforeSendMax = 3;

export function createGateway(input: GatewayInput): RunningGateway {
  const { providers, store, clock, options, log, metrics } = input;
  let handlers: GatewayHandlers | undefined;
  const states = createAccountStates(input);
  const breaker = createBreaker({
    ...input,
    states,
    onClosed: ({ provider, account }) => handlers?.onClosed(provider, account),
  });
  const probes = createProbes({ ...input, states });
  const call = createCall({ ...input, states, send: createSender({ ...input, breaker }), look: () => look() });

  const refresh = async (): Promise<void> => {
    for (const row of await providers.providers()) states.remember(row);
    if (store !== undefined && states.wantsTime()) states.learnTime((await store.readRows(platformShard, [])).now);
    for (const { provider, account } of states.thawed()) handlers?.onThawed(provider, account);
  };
  let looking: Promise<void> | null = null;
  let lookedAt = -Infinity;
  const look = (): Promise<void> => {
    if (clock.monotonic() - lookedAt < options.lookAgainMs) return looking ?? Promise.resolve();
    lookedAt = clock.monotonic();
    looking = refresh().catch((error: unknown) => log.warn({ error }, 'Provider state could not be read'));
    return looking;
  };
  const loop = createLoop({
    name: 'provider-state',
    clock,
    log,
    metrics,
    retryMs: options.refreshEveryMs,
    async step() {
      await refresh();
      if (handlers !== undefined) await probes.look(handlers);
      return options.refreshEveryMs;
    },
  });

  return {
    call,
    state: (provider, account) => states.state({ provider, account }),
    async start(given) {
      handlers = given;
      // A store that does not answer yet is the loop's to wait for; until then every account counts as healthy.
      await refresh().catch((error: unknown) => log.warn({ error }, 'Provider state could not be read'));
      await loop.start();
    },
    stop: () => loop.stop(),
  };
}

interface CallInput extends GatewayInput {
  readonly states: AccountStates;
  readonly send: Sender;
  /** Reads the store's word of all accounts, now and then at most. */
  readonly look: () => Promise<void>;
}

/** The way of one call through the gates. */
function createCall(input: CallInput): Gateway['call'] {
  const { clock, options, states, log, metrics, send, look } = input;
  const tokens = createTokens(input);
  const slots = createSlots(input);
  const queues = new Map<string, PQueue>();

  const queueOf = ({ provider, account }: AccountName): PQueue => {
    const key = `${provider}/${account}`;
    const found = queues.get(key);
    if (found !== undefined) return found;
    const queue = new PQueue({ concurrency: options.concurrencyOf[provider] ?? options.concurrency });
    queues.set(key, queue);
    return queue;
  };

  const askBefore = async (beforeSend: () => Promise<void>): Promise<void> => {
    for (let asked = 0; asked < beforeSendMax; asked += 1) {
      const askedAt = clock.monotonic();
      await beforeSend();
      if (clock.monotonic() - askedAt < options.beginWithinMs) return;
    }
    throw new Throttled(options.beginWithinMs);
  };

  const pass = async <R>(request: GatewayCall<R>): Promise<R> => {
    const { provider, account, mutating } = request.options;
    const name = { provider, account };
    const gate = { mutating, probe: request.probe };
    // Closed by another replica meanwhile, its settle would make the row due at once, again and again until this one hears of it.
    if (!request.probe && states.state(name).breaker === 'open') await look();
    states.check(name, gate);
    const queue = queueOf(name);
    const sent = queue.add(async () => {
      metrics.callsWaiting.set(name, queue.size);
      states.check(name, gate);
      await tokens.take(name, budgetsOf(request.options, options));
      return slots.hold(name, async () => {
        if (request.beforeSend !== undefined) await askBefore(request.beforeSend);
        return send(request);
      });
    });
    metrics.callsWaiting.set(name, queue.size);
    return sent;
  };

  return async (request) => {
    try {
      checkResidency(request.options, options.locations);
      return await pass(request);
    } catch (error) {
      const why = refusalOf(error);
      if (why !== null) {
        metrics.refusedCalls.inc({ provider: request.options.provider, why });
        log.debug({ ...fieldsOf(request), why }, 'Provider call was not made');
      }
      throw error;
    }
  };
}

/** Label of a call that was refused; null: it was sent, or `beforeSend` forbade it. */
function refusalOf(error: unknown): string | null {
  if (error instanceof Throttled) return 'throttled';
  if (error instanceof BreakerOpen) return 'breaker';
  if (error instanceof Frozen) return 'frozen';
  return error instanceof ResidencyViolation ? 'residency' : null;
}
