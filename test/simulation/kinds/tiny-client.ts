import { ProviderError } from '#controller/contract.ts';
import type { Send } from '#test/simulation/effects.ts';
import { TinyRefusal } from '#test/simulation/tiny-cloud.ts';
import type { TinyCloud } from '#test/simulation/tiny-cloud.ts';

/** The tiny cloud behind a worker's door: each method is one effect. Errors are those that a kind may see. */
export interface TinyClient {
  read<T>(op: string, call: TinyCall, run: (cloud: TinyCloud) => T, empty?: () => T): Promise<T>;
  write<T>(op: string, call: TinyCall, run: (cloud: TinyCloud) => T): Promise<T>;
}

export interface TinyCall {
  /** The row it is for. */
  readonly uid: string;
  readonly signal: AbortSignal;
}

export const tinyAccount = { provider: 'tiny', account: 'acct-1' } as const;
export const tinyLocation = 'northamerica-northeast1';

export function createTinyClient(cloud: TinyCloud, door: <T>(send: Send<T>) => Promise<T>): TinyClient {
  return {
    // eslint-disable-next-line eslint/max-params -- an adapter of four plain parts
    read: (op, { uid, signal }, run, empty) =>
      door({
        op: `tiny.${op}`,
        mutating: false,
        subject: uid,
        signal,
        execute: (asOfMs) => cloud.lagging(asOfMs, () => run(cloud)),
        ...(empty === undefined ? {} : { empty }),
      }),
    write: (op, { uid, signal }, run) =>
      door({ op: `tiny.${op}`, mutating: true, subject: uid, signal, execute: () => asProvider(() => run(cloud)) }),
  };
}

/** A refusal in the words of the contract: it certainly was not done. */
function asProvider<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof TinyRefusal)) throw error;
    throw new ProviderError(error.message, {
      verdict: 'retryable',
      reason: 'ProviderConflict',
      outcome: 'not-done',
      providerCode: String(error.status),
    });
  }
}
