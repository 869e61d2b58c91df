import { z } from 'zod';
import type { Action, Reconciler } from '#controller/contract.ts';
import { defineKind } from '#resources/kind.ts';
import { tinyAccount, tinyLocation } from './tiny-client.ts';
import type { TinyClient } from './tiny-client.ts';

/** A thing that is done once and never again. Untraceable ones cannot be looked up: a lost answer is a person's to decide. */
export const letter = defineKind({
  name: 'Letter',
  plural: 'letters',
  area: 'tiny',
  lifecycle: 'once',
  spec: { to: z.string(), text: z.string().max(200), traceable: z.boolean().default(true) },
  status: { external: z.object({ sent: z.boolean() }).optional() },
  conditions: [],
});
export type LetterKind = typeof letter;

export interface LetterObserved {
  readonly sent: boolean;
  /** Nonces found at the provider. */
  readonly found: readonly string[];
  readonly traceable: boolean;
}

export type LetterAction = Action & { readonly type: 'send'; readonly to: string; readonly text: string };

/** Letter over a client of the tiny cloud. */
export function createLetterReconciler(client: TinyClient): Reconciler<LetterKind, LetterObserved, LetterAction> {
  return {
    kind: letter,
    timing: { resyncEveryMs: 600_000, visibilityMs: 60_000, maxCallMs: 30_000 },
    async observe(desired, target, ctx) {
      const { traceable } = desired.spec;
      const sends = target.intents.filter((intent) => intent.effect === 'send');
      const found: string[] = [];
      for (const { nonce } of traceable ? sends : []) {
        const options = { ...tinyAccount, op: 'letters.find', mutating: false } as const;
        const seen = await ctx.call(options, (signal) =>
          client.read(
            'letters.find',
            { uid: target.uid, signal },
            (cloud) => cloud.findLetter(nonce),
            () => null,
          ),
        );
        if (seen !== null) found.push(nonce);
      }
      return { sent: sends.some((intent) => intent.state === 'done'), found, traceable };
    },
    plan(desired, observed) {
      if (desired.state === 'absent' || observed.sent || observed.found.length > 0) return { verdict: 'converged' };
      const { to, text } = desired.spec;
      return { verdict: 'act', actions: [{ type: 'send', effect: 'create', risk: 'free', intent: 'send', to, text }] };
    },
    resolve(intent, observed) {
      if (!observed.traceable) return 'undecided';
      return observed.found.includes(intent.nonce) ? 'done' : 'not-done';
    },
    // oxlint-disable-next-line eslint/max-params -- the contract's own form
    async apply(_desired, target, action, ctx) {
      const { uid } = target;
      const nonce = ctx.intent?.nonce ?? '';
      const options = {
        ...tinyAccount,
        op: 'letters.send',
        mutating: true,
        safety: 'once',
        location: tinyLocation,
      } as const;
      await ctx.call(options, (signal) =>
        client.write('letters.send', { uid, signal }, (cloud) =>
          cloud.sendLetter({ nonce, uid, to: action.to, text: action.text }),
        ),
      );
    },
    report: (_desired, observed) => ({
      status: observed.sent || observed.found.length > 0 ? { external: { sent: true } } : {},
      facts: [],
    }),
    exists: (observed) => observed.sent || observed.found.length > 0,
    account: () => tinyAccount,
  };
}
