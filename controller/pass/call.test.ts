import { describe, expect, it } from 'vitest';
import { createKindRegistry } from '#resources/registry.ts';
import { makeRow } from '#resources/testing.ts';
import { sendCall } from './call.ts';
import type { CallOptions, Intent } from '#controller/contract.ts';
import { ProviderError } from '#controller/contract.ts';
import { DeadlineExceeded, Throttled } from '#controller/gateway/errors.ts';
import type { GatewayCall } from '#controller/gateway/types.ts';
import { createInventories } from '#controller/inventory.ts';
import { silentLogger } from '#controller/log.ts';
import { createOptions } from '#controller/options.ts';
import { makeWork } from './pass-facts-testing.ts';
import { newRecord, PassStopped, StoreFailed } from './scope.ts';
import type { PassDeps, PassScope } from './scope.ts';
import { createFixedRng, createVirtualClock } from '#controller/testing.ts';

const once: CallOptions<string> = {
  provider: 'gcs',
  account: 'p',
  op: 'buckets.insert',
  mutating: true,
  safety: 'once',
};
const intent: Intent = {
  effect: 'create:1',
  attempt: 1,
  nonce: 'n1',
  state: 'announced',
  args: {},
  result: null,
  announcedAt: 1,
  sentAt: null,
  giveUpAt: null,
  answeredAt: null,
  contradicts: false,
};
const refusal = (outcome: 'not-done' | 'unknown'): ProviderError =>
  new ProviderError('no', { verdict: 'rejected', reason: 'ProviderRejected', outcome, providerCode: '400' });

interface Script {
  /** What the provider does; default: it answers "reply". */
  readonly send?: () => Promise<string>;
  /** What the gateway does around it; default: beforeSend, then send. */
  readonly gateway?: (call: GatewayCall<string>) => Promise<string>;
  readonly wakeSeq?: number;
  readonly lost?: boolean;
  readonly markFails?: boolean;
  /** Happens while the store grants the send. */
  readonly whileGranting?: (record: PassScope['record']) => void;
  /** Answers fail this often. */
  readonly answerFails?: number;
}

/** One call over a store that writes down its effects. */
function createBench(script: Script = {}) {
  const effects: string[] = [];
  const clock = createVirtualClock();
  let answerFails = script.answerFails ?? 0;
  const granted = script.lost === true ? null : { wakeSeq: script.wakeSeq ?? 3 };
  const store = {
    extend(_fence: unknown, timeoutMs: number) {
      effects.push(`extend ${timeoutMs}`);
      script.whileGranting?.(record);
      return Promise.resolve(granted);
    },
    markSending(_fence: unknown, nonce: string, timeoutMs: number) {
      effects.push(`sending ${nonce} ${timeoutMs}`);
      script.whileGranting?.(record);
      return script.markFails === true ? Promise.reject(new Error('no answer to COMMIT')) : Promise.resolve(granted);
    },
    answer({ nonce, state, result }: { nonce: string; state: string; result: unknown }) {
      effects.push(`answer ${nonce} ${state} ${JSON.stringify(result)}`);
      answerFails -= 1;
      return answerFails >= 0 ? Promise.reject(new Error('no database')) : Promise.resolve();
    },
    retire({ nonce }: { nonce: string }) {
      effects.push(`retire ${nonce}`);
      return Promise.resolve();
    },
  };
  const gateway = {
    async call(call: GatewayCall<string>) {
      if (script.gateway !== undefined) return script.gateway(call);
      await call.beforeSend?.();
      return call.send(new AbortController().signal);
    },
    state: () => ({ breaker: 'closed', cause: null, blockedForMs: 0, frozen: null }),
  };
  const options = createOptions().engine;
  const inventories = createInventories({ clock, max: 1 });
  const kinds = createKindRegistry([]);
  // Only what a call uses is there: anything else would throw and be noticed.
  const deps = {
    store,
    gateway,
    providers: {},
    kinds,
    inventories,
    clock,
    rng: createFixedRng(),
    options,
    log: silentLogger,
  };
  let held = true;
  const extended: number[] = [];
  const record = newRecord(1);
  const claim = { shard: 1, uid: 'u1', workspace: 'acme', kind: 'Note', epoch: 1, wakeSeq: 3, claimedAt: 1 };
  const scope: PassScope = {
    readVersion: 1,
    claim,
    fence: { shard: 1, uid: 'u1', epoch: 1, holder: 'w1' },
    passRow: {
      row: makeRow({}),
      work: makeWork(),
      intents: [],
      decisions: [],
      revision: null,
      listeners: [],
      owner: null,
    },
    timing: { resyncEveryMs: 1, visibilityMs: 1, maxCallMs: 30_000 },
    lease: {
      claim,
      isHeld: () => held,
      extendTo: (at) => void extended.push(at - clock.monotonic()),
      lost: new Promise(() => undefined),
      drop: () => undefined,
    },
    probe: false,
    now: 1,
    begunAt: 1,
    record,
  };
  const send = (): Promise<string> => {
    effects.push('send');
    return script.send?.() ?? Promise.resolve('reply');
  };
  const call = (options: CallOptions<string>, under: Intent | null = null): Promise<string> =>
    sendCall(scope, deps as unknown as PassDeps, { options, send, intent: under });
  return { call, effects, record, extended, clock, loseLease: () => (held = false) };
}

describe('a call that changes nothing', () => {
  it('asks the store nothing', async () => {
    const { call, effects, record } = createBench();
    await expect(call({ provider: 'gcs', account: 'p', op: 'get', mutating: false })).resolves.toBe('reply');
    expect(effects).toEqual(['send']);
    expect(record.calls).toEqual([{ provider: 'gcs', op: 'get', mutating: false, outcome: 'ok', durationMs: 0 }]);
  });

  it('is not made once the pass is over', async () => {
    const { call, effects, record } = createBench();
    record.closed = true;
    await expect(call({ provider: 'gcs', account: 'p', op: 'get', mutating: false })).rejects.toThrow(PassStopped);
    expect(effects).toEqual([]);
  });
});

describe('a call that is harmless to repeat', () => {
  const repeatable: CallOptions<string> = { ...once, safety: 'repeatable', timeoutMs: 5_000 };

  it('extends the lease over itself directly before it is sent', async () => {
    const { call, effects, extended, record } = createBench();
    await call(repeatable);
    expect(effects).toEqual(['extend 5000', 'send']);
    expect(extended).toEqual([7_000]);
    expect([record.sentMutations, record.openMutations]).toEqual([1, 0]);
  });

  it('may last no longer than the longest call of its kind', async () => {
    const { call, effects } = createBench();
    await call({ ...repeatable, timeoutMs: 90_000 });
    expect(effects[0]).toBe('extend 30000');
  });

  it('is not sent when the lease is lost', async () => {
    const { call, effects, record } = createBench({ lost: true });
    await expect(call(repeatable)).rejects.toThrow(PassStopped);
    expect([effects, record.stop]).toEqual([['extend 5000'], 'lost']);
  });

  it('is not sent when our own deadline has passed, and the store is not asked', async () => {
    const { call, effects, record, loseLease } = createBench();
    loseLease();
    await expect(call(repeatable)).rejects.toThrow(PassStopped);
    expect([effects, record.stop]).toEqual([[], 'lost']);
  });

  it('is not sent when the spec or a wake has moved', async () => {
    const { call, effects, record } = createBench({ wakeSeq: 4 });
    await expect(call(repeatable)).rejects.toThrow(PassStopped);
    expect([effects, record.stop]).toEqual([['extend 5000'], 'superseded']);
  });

  it('is not sent when the pass was cut off while the lease was extended: its row may be another’s by now', async () => {
    const { call, effects, record } = createBench({ whileGranting: (pass) => (pass.closed = true) });
    await expect(call(repeatable)).rejects.toThrow(PassStopped);
    expect(effects).toEqual(['extend 5000']);
    expect([record.sentMutations, record.openMutations, record.unknownOp]).toEqual([0, 0, null]);
  });

  it('leaves an unknown outcome when its answer is lost, and none when the provider said no', async () => {
    const lost = createBench({ send: () => Promise.reject(new DeadlineExceeded(true)) });
    await expect(lost.call(repeatable)).rejects.toThrow(DeadlineExceeded);
    expect(lost.record.unknownOp).toBe('buckets.insert');
    const refused = createBench({ send: () => Promise.reject(refusal('not-done')) });
    await expect(refused.call(repeatable)).rejects.toThrow(ProviderError);
    expect(refused.record.unknownOp).toBeNull();
  });

  it('needs no intent where its action has one', async () => {
    const { call, effects } = createBench();
    await call(repeatable, intent);
    expect(effects).toEqual(['extend 5000', 'send']);
  });
});

describe('a call that may happen once', () => {
  it('is announced as sending in a commit of its own, and its answer is kept at once', async () => {
    const { call, effects } = createBench();
    await call({ ...once, keep: (reply) => ({ id: reply }) }, intent);
    expect(effects).toEqual(['sending n1 30000', 'send', 'answer n1 done {"id":"reply"}']);
  });

  it.each([
    ['refused, by a clear no', () => Promise.reject(refusal('not-done')), 'answer n1 refused null', null],
    [
      'unknown, by an unclear one',
      () => Promise.reject(refusal('unknown')),
      'answer n1 unknown null',
      'buckets.insert',
    ],
    [
      'unknown, by what nobody knows',
      () => Promise.reject(new Error('socket')),
      'answer n1 unknown null',
      'buckets.insert',
    ],
  ] as const)('is %s', async (...[, send, answer, unknownOp]) => {
    const { call, effects, record } = createBench({ send });
    await expect(call(once, intent)).rejects.toThrow(Error);
    expect([effects.at(-1), record.unknownOp]).toEqual([answer, unknownOp]);
  });

  it('is retired and not sent when nobody knows whether the commit of sending stands', async () => {
    const { call, effects, record } = createBench({ markFails: true });
    await expect(call(once, intent)).rejects.toThrow(StoreFailed);
    expect([effects, record.storeFailed]).toEqual([['sending n1 30000', 'retire n1'], true]);
  });

  it('is retired and not sent when the spec moved under it', async () => {
    const { call, effects, record } = createBench({ wakeSeq: 4 });
    await expect(call(once, intent)).rejects.toThrow(PassStopped);
    expect([effects, record.stop]).toEqual([['sending n1 30000', 'retire n1'], 'superseded']);
  });

  it('is retired and not sent when the pass was cut off while sending was written down', async () => {
    const { call, effects, record } = createBench({ whileGranting: (pass) => (pass.closed = true) });
    await expect(call(once, intent)).rejects.toThrow(PassStopped);
    expect([effects, record.sentMutations]).toEqual([['sending n1 30000', 'retire n1'], 0]);
  });

  it('is not retired by one that does not hold the row', async () => {
    const { call, effects } = createBench({ lost: true });
    await expect(call(once, intent)).rejects.toThrow(PassStopped);
    expect(effects).toEqual(['sending n1 30000']);
  });

  it('is refused when the gateway held it back after all', async () => {
    const gateway: Script['gateway'] = async (call) => {
      await call.beforeSend?.();
      throw new Throttled(5);
    };
    const { call, effects } = createBench({ gateway });
    await expect(call(once, intent)).rejects.toThrow(Throttled);
    expect(effects).toEqual(['sending n1 30000', 'answer n1 refused null']);
  });

  it('stays announced when the gateway refuses it before', async () => {
    const { call, effects } = createBench({ gateway: () => Promise.reject(new Throttled(5)) });
    await expect(call(once, intent)).rejects.toThrow(Throttled);
    expect(effects).toEqual([]);
  });

  it('only extends its lease when the gateway asks a second time', async () => {
    const gateway: Script['gateway'] = async (call) => {
      await call.beforeSend?.();
      await call.beforeSend?.();
      return call.send(new AbortController().signal);
    };
    const { call, effects, record } = createBench({ gateway });
    await call(once, intent);
    expect(effects).toEqual(['sending n1 30000', 'extend 30000', 'send', 'answer n1 done null']);
    expect([record.sentMutations, record.openMutations]).toEqual([1, 0]);
  });

  it('sent again under its guard says nothing of the first send by being refused', async () => {
    const open = { ...intent, state: 'unknown' } as const;
    const { call, effects } = createBench({ send: () => Promise.reject(refusal('not-done')) });
    await expect(call({ ...once, safety: 'guarded' }, open)).rejects.toThrow(ProviderError);
    expect(effects).toEqual(['extend 30000', 'send', 'answer n1 unknown null']);
  });

  it('writes its answer again when the database does not answer', async () => {
    const { call, effects, clock } = createBench({ answerFails: 2 });
    const reply = call(once, intent);
    await clock.advance(5_000);
    await expect(reply).resolves.toBe('reply');
    expect(effects.filter((effect) => effect.startsWith('answer'))).toHaveLength(3);
  });

  it('ends the pass when its answer cannot be written, and does not call that a failure of the provider', async () => {
    const { call, record, clock } = createBench({ answerFails: 99 });
    const reply = call(once, intent).catch((error: unknown) => error);
    await clock.advance(60_000);
    expect(await reply).toMatchObject({ message: 'no database' });
    expect([record.storeFailed, record.unknownOp, record.calls[0]?.outcome]).toEqual([true, null, 'ok']);
  });

  it('writes an answer that comes after the deadline', async () => {
    const gateway: Script['gateway'] = async (call) => {
      await call.beforeSend?.();
      setImmediate(() => call.onLateAnswer?.({ ok: true, reply: 'late' }));
      throw new DeadlineExceeded(true);
    };
    const { call, effects, clock } = createBench({ gateway });
    await expect(call({ ...once, keep: (reply) => reply }, intent)).rejects.toThrow(DeadlineExceeded);
    await clock.advance(0);
    expect(effects.slice(1)).toEqual(['answer n1 unknown null', 'answer n1 done "late"']);
  });
});

describe('a kind’s mistakes', () => {
  it.each([
    ['a change that does not state its safety', { ...once, safety: undefined }, null],
    ['a once call without an intent', once, null],
    ['a reply to keep and nowhere to keep it', { ...once, safety: 'repeatable', keep: () => null }, intent],
  ])('%s is refused before anything is sent', async (...[, options, under]) => {
    const { call, effects } = createBench();
    await expect(call(options as CallOptions<string>, under)).rejects.toThrow('buckets.insert');
    expect(effects).toEqual([]);
  });
});
