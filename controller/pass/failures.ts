import { classOf } from '#resources/reasons.ts';
import type { ResourceRow } from '#resources/resource.ts';
import { quoted } from '#resources/text.ts';
import { topic } from '#resources/topic.ts';
import { ProviderError } from '#controller/contract.ts';
import type { ProviderErrorDetail } from '#controller/contract.ts';
import { frozenRefusal } from './gates.ts';
import { BreakerOpen, DeadlineExceeded, Frozen, ResidencyViolation, Throttled } from '#controller/gateway/errors.ts';
import type { GatewayState } from '#controller/gateway/types.ts';
import type { Account, Outcome, Retryable } from './outcome.ts';
import { isSilence, PassStopped, StoreFailed } from './scope.ts';

/**
 * From what observe or apply threw to how the pass ends. Pure. Messages hold no moving part of an answer, so that a failure which
 * repeats writes nothing.
 */
export interface FailureFacts {
  readonly row: ResourceRow;
  /** Whose call it was, else whose row it is. */
  readonly account: Account | null;
  readonly state: (account: Account) => GatewayState;
}

/** Wait after a 429 that names no time. */
const throttledDefaultMs = 1_000;
const causesMax = 5;

/** Total: what nobody knows is a bug of ours. */
export function outcomeOfFailure(thrown: unknown, facts: FailureFacts): Outcome {
  const error = innermostKnown(thrown);
  const { account, row } = facts;
  if (error instanceof ProviderError) return outcomeOfProvider(error, facts);
  if (error instanceof Throttled) return { type: 'throttled', retryAfterMs: error.retryAfterMs };
  if (error instanceof BreakerOpen) {
    return { type: 'unavailable', account: { provider: error.provider, account: error.account } };
  }
  if (error instanceof Frozen && account !== null) return frozenRefusal(account, error);
  if (error instanceof ResidencyViolation) return residency(error.location, row);
  if (error instanceof DeadlineExceeded) {
    return { type: 'retryable', message: `${name(account)} did not answer in time; it is asked again.` };
  }
  if (error instanceof PassStopped || error instanceof StoreFailed) {
    return { type: 'retryable', message: 'A listing shared with another resource was broken off; it is read again.' };
  }
  // Of a token or a slot: the call was not sent. What the pass itself asks of the store ends it without an outcome.
  if (isSilence(error))
    return { type: 'retryable', message: 'The operator’s database did not answer; it is tried again.' };
  return bug(error);
}

/** A throw that the engine does not know: of plan, report, or of code before the call. */
export function bug(error: unknown): Outcome {
  const kind = error instanceof Error ? error.name : typeof error;
  const message = `The operator failed with ${kind} while it worked on this resource; the operator's log says where.`;
  return { type: 'bug', reason: 'InternalError', message };
}

const known = [ProviderError, Throttled, BreakerOpen, Frozen, ResidencyViolation, DeadlineExceeded, PassStopped];

/** A kind may wrap what the client threw. */
function innermostKnown(thrown: unknown): unknown {
  let error = thrown;
  for (let depth = 0; depth < causesMax && error instanceof Error; depth += 1) {
    if (isSilence(error) || known.some((type) => error instanceof type)) return error;
    error = error.cause;
  }
  return thrown;
}

function name(account: Account | null): string {
  return account === null ? 'The provider' : `${account.provider}/${account.account}`;
}

function outcomeOfProvider(error: ProviderError, facts: FailureFacts): Outcome {
  const { detail } = error;
  const { account } = facts;
  const state = account === null ? null : facts.state(account);
  switch (detail.verdict) {
    case 'throttled':
      return { type: 'throttled', retryAfterMs: detail.retryAfterMs ?? throttledDefaultMs };
    case 'unavailable':
      if (account !== null && state?.breaker === 'open') return { type: 'unavailable', account };
      return { ...retryable(account, detail), reason: 'ProviderUnavailable' };
    case 'credential': {
      if (account === null) return retryable(account, detail);
      const stalled = state?.breaker === 'open' && state.cause === 'credential';
      const reason = classOf(detail.reason) === 'credential' ? detail.reason : 'AuthenticationFailed';
      return { type: 'credential', stalled, reason, account };
    }
    case 'retryable':
      return retryable(account, detail);
    case 'rejected':
      return {
        type: 'rejected',
        reason: detail.reason,
        message: `${name(account)} refused: ${quoted(error.message)}`,
        providerCode: detail.providerCode,
        clearsOn: [...new Set([topic.spec(facts.row.uid), ...(detail.clearsOn ?? [])])].sort(),
        remedy: detail.remedy ?? [],
      };
  }
}

/** When is in `retry`, what was asked and answered each time in the journal: both move, and a message must not. */
function retryable(account: Account | null, { reason, providerCode }: ProviderErrorDetail): Retryable {
  const message =
    `${name(account)} answered ${quoted(providerCode)} (${reason}). It is tried again by itself, at retry.nextAt; ` +
    'if it stays so, resources.passes shows what was asked and answered.';
  return { type: 'retryable', message, providerCode };
}

function residency(location: string, row: ResourceRow): Outcome {
  const { workspace, kind, name } = row;
  return {
    type: 'stalled',
    reason: 'ResidencyViolation',
    message: `The location ${quoted(location)} is not on the allow-list; nothing was sent.`,
    clearsOn: [topic.engine, topic.spec(row.uid)],
    remedy: [
      {
        id: 'see-spec',
        call: { proc: 'resources.get', input: { workspace, kind, name } },
        destructive: false,
        needs: 'declarer',
      },
    ],
  };
}
