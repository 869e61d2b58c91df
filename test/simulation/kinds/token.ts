import { z } from 'zod';
import type { Action, Desired, Intent, Plan, Reconciler, Target, WriteContext } from '#controller/contract.ts';
import type { JsonObject } from '#resources/json.ts';
import { defineKind } from '#resources/kind.ts';
import { tinyAccount, tinyLocation } from './tiny-client.ts';
import type { TinyClient } from './tiny-client.ts';

/**
 * A thing whose id the provider assigns, with a secret that is told once: creating is `once`, the reply is kept, and a token whose
 * reply was lost is found by its mark and discarded.
 */
export const token = defineKind({
  name: 'Token',
  plural: 'tokens',
  area: 'tiny',
  spec: { label: z.string().max(40), scopes: z.array(z.string()).max(5).default([]) },
  status: { external: z.object({ id: z.string() }).optional() },
  conditions: [],
});
export type TokenKind = typeof token;

interface SeenToken {
  readonly id: string;
  readonly nonce: string;
  readonly label: string;
  readonly scopes: readonly string[];
}

export interface TokenObserved {
  readonly now: number;
  readonly seen: readonly SeenToken[];
  /** Ids whose reply, and so secret, was heard, newest last. */
  readonly kept: readonly string[];
  /** Nonces on the way: their reply may still come. */
  readonly open: readonly string[];
  readonly lastAnswerAt: number;
  /** Part of the next effect's name. */
  readonly next: string;
}

export type TokenAction = Action &
  (
    | { readonly type: 'create'; readonly label: string; readonly scopes: readonly string[] }
    | { readonly type: 'discard' | 'delete'; readonly id: string }
    | { readonly type: 'update'; readonly id: string; readonly label: string; readonly scopes: readonly string[] }
  );

const visibilityMs = 60_000;

/** Token over a client of the tiny cloud. */
export function createTokenReconciler(client: TinyClient): Reconciler<TokenKind, TokenObserved, TokenAction> {
  return {
    kind: token,
    timing: { resyncEveryMs: 600_000, visibilityMs, maxCallMs: 30_000 },
    async observe(_desired, target, ctx) {
      const options = { ...tinyAccount, op: 'tokens.list', mutating: false } as const;
      const listed = await ctx.call(options, (signal) =>
        client.read(
          'tokens.list',
          { uid: target.uid, signal },
          (cloud) => cloud.listTokens(target.uid),
          () => [],
        ),
      );
      const seen = listed.map(({ id, nonce, label, scopes }) => ({ id, nonce, label, scopes }));
      return { now: ctx.now, seen, ...remembered(target) };
    },
    plan: planToken,
    resolve: (intent, observed) => (observed.seen.some((one) => one.nonce === intent.nonce) ? 'done' : 'not-done'),
    // oxlint-disable-next-line eslint/max-params -- the contract's own form
    apply: (_desired, target, action, ctx) => applyToken(client, target, { action, ctx }),
    report(_desired, observed) {
      const mine = current(observed);
      return { status: mine === undefined ? {} : { external: { id: mine.id } }, facts: [] };
    },
    exists: (observed) => current(observed) !== undefined,
    account: () => tinyAccount,
  };
}

/** What the intents tell: ids whose secret was told to us, and what is on the way. */
function remembered(target: Target<TokenKind>): Omit<TokenObserved, 'now' | 'seen'> {
  const creates = target.intents.filter((intent) => intent.effect.startsWith('create:'));
  const done = creates.filter((intent) => intent.state === 'done');
  const kept = done.map(keptId).filter((id) => id !== null);
  const open = creates.filter((intent) => intent.state === 'sending' || intent.state === 'unknown');
  return {
    kept,
    open: open.map((intent) => intent.nonce),
    lastAnswerAt: Math.max(0, ...done.map((intent) => intent.answeredAt ?? 0)),
    next: `${String(target.incarnation)}.${String(1 + Math.max(-1, ...done.map(ordinal)))}`,
  };
}

/** `create:<incarnation>.<ordinal>`. */
function ordinal({ effect }: Intent): number {
  return Number(effect.split('.').at(-1));
}

function keptId(intent: Intent): string | null {
  const id = (intent.result as JsonObject | null)?.['id'];
  return typeof id === 'string' ? id : null;
}

/** The token in use: seen, and its secret was told to us. */
function current(observed: TokenObserved): SeenToken | undefined {
  const newest = observed.kept.findLast((id) => observed.seen.some((one) => one.id === id));
  return observed.seen.find((one) => one.id === newest);
}

/** The decisions of a Token. */
export function planToken(desired: Desired<TokenKind>, observed: TokenObserved): Plan<TokenAction> {
  const mine = current(observed);
  const sinceAnswer = observed.now - observed.lastAnswerAt;
  // One whose secret was lost counts too: it is there, and is found and discarded once it shows.
  const unseen = observed.seen.length === 0 && sinceAnswer < visibilityMs;
  const lagging = {
    verdict: 'wait',
    reason: 'WaitingForPropagation',
    message: 'The token was created and is not listed yet.',
    retryAfterMs: Math.max(1, visibilityMs - sinceAnswer),
  } as const;
  if (desired.state === 'absent') {
    const [first] = observed.seen;
    if (first !== undefined) return act({ type: 'delete', effect: 'delete', risk: 'guarded', id: first.id });
    return unseen ? lagging : { verdict: 'converged' };
  }
  const extra = observed.seen.find((one) => one.id !== mine?.id && !observed.open.includes(one.nonce));
  if (extra !== undefined) return act({ type: 'discard', effect: 'update', risk: 'free', id: extra.id });
  const { label, scopes } = desired.spec;
  if (mine === undefined) {
    if (unseen) return lagging;
    const intent = `create:${observed.next}`;
    return act({ type: 'create', effect: 'create', risk: 'free', intent, label, scopes });
  }
  const changes = [
    { path: 'spec.label', have: mine.label, want: label },
    { path: 'spec.scopes', have: [...mine.scopes], want: [...scopes] },
  ].filter((one) => JSON.stringify(one.have) !== JSON.stringify(one.want));
  if (changes.length === 0) return { verdict: 'converged' };
  return act({ type: 'update', effect: 'update', risk: 'free', id: mine.id, label, scopes, changes });
}

function act(action: TokenAction): Plan<TokenAction> {
  return { verdict: 'act', actions: [action] };
}

async function applyToken(
  client: TinyClient,
  { uid }: Target<TokenKind>,
  { action, ctx }: { action: TokenAction; ctx: WriteContext },
): Promise<void> {
  const call = { ...tinyAccount, mutating: true } as const;
  switch (action.type) {
    case 'create': {
      const { label, scopes } = action;
      const nonce = ctx.intent?.nonce ?? '';
      const options = {
        ...call,
        op: 'tokens.create',
        safety: 'once',
        location: tinyLocation,
        keep: withoutSecret,
      } as const;
      await ctx.call(options, (signal) =>
        client.write('tokens.create', { uid, signal }, (cloud) =>
          cloud.createToken({ uid, nonce, label, scopes, location: tinyLocation }),
        ),
      );
      return;
    }
    case 'update': {
      const { id, label, scopes } = action;
      await ctx.call({ ...call, op: 'tokens.update', safety: 'repeatable' }, (signal) =>
        client.write('tokens.update', { uid, signal }, (cloud) => cloud.updateToken(id, { label, scopes })),
      );
      return;
    }
    case 'discard':
    case 'delete':
      await ctx.call({ ...call, op: 'tokens.delete', safety: 'repeatable' }, (signal) =>
        client.write('tokens.delete', { uid, signal }, (cloud) => cloud.deleteToken(action.id)),
      );
  }
}

/** Of the reply: never the secret. That there is an id says that it was told to us. */
function withoutSecret({ id }: { readonly id: string }): JsonObject {
  return { id };
}
