import type { CallOptions, Intent } from '#controller/contract.ts';
import { ProviderError } from '#controller/contract.ts';
import { BreakerOpen, Frozen, ResidencyViolation, Throttled } from '#controller/gateway/errors.ts';
import type { GatewayCall, LateAnswer } from '#controller/gateway/types.ts';
import { blame, onStore, PassStopped, stopPass } from './scope.ts';
import type { PassDeps, PassScope } from './scope.ts';

/**
 * One provider call of a pass, through the gateway. Owns what surrounds a mutating call: the lease that covers it, the intent that
 * announces it, and its answer.
 *
 * 1. Directly before the send the own row's lease is extended over the call, or the intent becomes `sending` in a commit of its own.
 *    No row back, wake_seq moved, or the pass cut off while the store answered: nothing is sent.
 * 2. No answer to the commit of `sending`: the attempt is retired by nonce and nothing is sent.
 * 3. The answer of a send under an intent is written at once, by nonce, whoever holds the lease by then.
 * 4. Anything but a clear no is an unknown outcome.
 */
export interface CallRequest<Reply> {
  readonly options: CallOptions<Reply>;
  readonly send: (signal: AbortSignal) => Promise<Reply>;
  /** The intent of the action being applied, or null. */
  readonly intent: Intent | null;
}

/** Sends it. Rejects with what the gateway or the client threw, or with PassStopped or StoreFailed when the pass is over. */
export async function sendCall<Reply>(scope: PassScope, deps: PassDeps, request: CallRequest<Reply>): Promise<Reply> {
  const { options, send } = request;
  if (scope.record.closed) throw new PassStopped('The pass is over');
  const mutation = options.mutating ? createMutation(scope, deps, request) : null;
  const { workspace, kind, uid } = scope.passRow.row;
  const begunAt = deps.clock.monotonic();
  const ended = (outcome: string): void => record(scope, deps, { options, outcome, begunAt });
  const doors: Pick<GatewayCall<Reply>, 'beforeSend' | 'onLateAnswer'> = mutation === null
    ? {}
    : { beforeSend: () => mutation.beforeSend(), onLateAnswer: (answer) => mutation.late(answer) };
  const { maxCallMs } = scope.timing;
  try {
    const reply = await deps.gateway.call({
      options,
      send,
      workspace,
      kind,
      uid,
      maxCallMs,
      probe: scope.probe,
      ...doors,
    });
    ended('ok');
    await mutation?.answered(reply);
    return reply;
  } catch (error) {
    blame(error, { provider: options.provider, account: options.account });
    if (mutation?.isAnswered() === true) throw error;
    ended(outcomeName(error));
    await mutation?.failed(error);
    throw error;
  }
}

function record(
  scope: PassScope,
  deps: PassDeps,
  call: { options: Pick<CallOptions<never>, 'provider' | 'op' | 'mutating'>; outcome: string; begunAt: number },
): void {
  const { provider, op, mutating } = call.options;
  if (scope.record.calls.length >= deps.options.journalCallsMax) return;
  const durationMs = Math.round(deps.clock.monotonic() - call.begunAt);
  scope.record.calls.push({ provider, op, mutating, outcome: call.outcome, durationMs });
}

function outcomeName(error: unknown): string {
  if (error instanceof ProviderError) return error.detail.reason;
  return error instanceof Error ? error.name : 'unknown';
}

/** What surrounds one mutating call. */
interface Mutation<Reply> {
  beforeSend(): Promise<void>;
  answered(reply: Reply): Promise<void>;
  failed(error: unknown): Promise<void>;
  late(answer: LateAnswer<Reply>): void;
  /** The provider said yes: what fails after that is ours. */
  isAnswered(): boolean;
}

function createMutation<Reply>(scope: PassScope, deps: PassDeps, request: CallRequest<Reply>): Mutation<Reply> {
  const { options } = request;
  const intent = intentOf(request);
  const timeoutMs = Math.min(options.timeoutMs ?? scope.timing.maxCallMs, scope.timing.maxCallMs);
  let permitted = false;
  let forbidden = false;
  let saidYes = false;
  const kept = (reply: Reply): Promise<void> =>
    intent === null
      ? Promise.resolve()
      : writeAnswer(scope, deps, { nonce: intent.nonce, state: 'done', result: options.keep?.(reply) ?? null });
  const leave = (): void => {
    if (permitted) scope.record.openMutations -= 1;
  };
  return {
    async beforeSend() {
      try {
        await permit(scope, deps, { intent, timeoutMs, again: permitted });
        // Cut off meanwhile (its time, a stop, the lease): whoever did that counted no call of this pass, and gave the row away.
        if (scope.record.closed) await forgo(scope, deps, intent);
      } catch (error) {
        forbidden = true;
        throw error;
      }
      if (permitted) return;
      permitted = true;
      scope.record.openMutations += 1;
      scope.record.sentMutations += 1;
    },
    async answered(reply) {
      saidYes = true;
      leave();
      await kept(reply);
    },
    async failed(error) {
      leave();
      if (!permitted || forbidden) return;
      const refused = isClearNo(error);
      if (!refused) scope.record.unknownOp ??= options.op;
      if (intent === null) return;
      // A clear no to a second send says nothing of the first one.
      const state = refused && intent.state === 'announced' ? 'refused' : 'unknown';
      await writeAnswer(scope, deps, { nonce: intent.nonce, state, result: null });
    },
    late(answer) {
      if (!answer.ok) return;
      kept(answer.reply).catch((error: unknown) => {
        deps.log.error({ error, uid: scope.claim.uid, op: options.op }, 'A late answer could not be stored');
      });
    },
    isAnswered: () => saidYes,
  };
}

/** The intent that a call goes under: any of an action with an intent that is not safe to do twice. Throws on a kind's mistake. */
function intentOf<Reply>({ options, intent }: CallRequest<Reply>): Intent | null {
  if (options.safety === undefined) throw new Error(`The mutating call ${options.op} does not state its safety`);
  const governing = options.safety === 'repeatable' ? null : intent;
  if (governing === null && options.safety === 'once') {
    throw new Error(`The call ${options.op} may happen once only and its action names no intent`);
  }
  if (governing === null && options.keep !== undefined) {
    throw new Error(`The call ${options.op} keeps part of its reply and its action names no intent`);
  }
  return governing;
}

/** Extends the lease over the call, or commits `sending`; `again`: it did so before and the send did not begin. Throws to forbid the send. */
async function permit(
  scope: PassScope,
  deps: PassDeps,
  { intent, timeoutMs, again }: { intent: Intent | null; timeoutMs: number; again: boolean },
): Promise<void> {
  if (scope.record.closed || !scope.lease.isHeld()) stopPass(scope, 'lost');
  const askedAt = deps.clock.monotonic();
  const announced = intent?.state === 'announced' ? intent : null;
  const granted =
    announced === null || again
      ? await onStore(scope, () => deps.store.extend(scope.fence, timeoutMs))
      : await markSending(scope, deps, { nonce: announced.nonce, timeoutMs });
  if (granted !== null && granted.wakeSeq === scope.claim.wakeSeq) {
    scope.lease.extendTo(askedAt + timeoutMs + leaseMarginMs);
    return;
  }
  // Provably not sent: the attempt must not stay `sending`, or it would be looked for until a person decides.
  if (announced !== null && (granted !== null || again)) await retire(scope, deps, announced.nonce);
  stopPass(scope, granted === null ? 'lost' : 'superseded');
}

/** The pass ended while the store answered. What it wrote down as sending is provably not sent. */
async function forgo(scope: PassScope, deps: PassDeps, intent: Intent | null): Promise<never> {
  if (intent?.state === 'announced') await retire(scope, deps, intent.nonce);
  throw new PassStopped('The pass is over');
}

/** Room between the lease's end and the call's deadline (architecture §5, Leases). */
const leaseMarginMs = 2_000;

async function markSending(
  scope: PassScope,
  deps: PassDeps,
  { nonce, timeoutMs }: { nonce: string; timeoutMs: number },
): Promise<{ readonly wakeSeq: number } | null> {
  return onStore(scope, async () => {
    try {
      return await deps.store.markSending(scope.fence, nonce, timeoutMs);
    } catch (error) {
      await retire(scope, deps, nonce);
      throw error;
    }
  });
}

/** After an unknown commit, or when nothing is sent after all. If it cannot be written the attempt counts as unknown later. */
async function retire(scope: PassScope, deps: PassDeps, nonce: string): Promise<void> {
  const { shard, uid } = scope.claim;
  await persist(deps, () => deps.store.retire({ shard, uid, nonce })).catch((error: unknown) => {
    deps.log.error({ error, uid }, 'An attempt could not be retired and counts as unknown');
  });
}

async function writeAnswer(
  scope: PassScope,
  deps: PassDeps,
  answer: { nonce: string; state: 'done' | 'refused' | 'unknown'; result: Intent['result'] },
): Promise<void> {
  const { shard, uid } = scope.claim;
  try {
    await persist(deps, () => deps.store.answer({ shard, uid, ...answer }));
  } catch (error) {
    scope.record.storeFailed = true;
    scope.record.closed = true;
    throw error;
  }
}

/** Writes again, a few times, what must not be lost; harmless to repeat. */
async function persist(deps: PassDeps, write: () => Promise<void>): Promise<void> {
  const { writeTriesMax, writeRetryMs } = deps.options;
  for (let tried = 1; ; tried += 1) {
    try {
      return await write();
    } catch (error) {
      if (tried >= writeTriesMax) throw error;
      await deps.clock.sleep(writeRetryMs * tried);
    }
  }
}

/** The provider certainly did not do it: the client's table says so, or the gateway sent nothing. */
function isClearNo(error: unknown): boolean {
  if (error instanceof ProviderError) return error.detail.outcome === 'not-done';
  return [Throttled, BreakerOpen, Frozen, ResidencyViolation].some((type) => error instanceof type);
}
