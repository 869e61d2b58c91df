import { z } from 'zod';
import type { Action, AnyReconciler, CallOptions, Reconciler, Target } from '#controller/contract.ts';
import { ProviderError } from '#controller/contract.ts';
import { workspaceReconciler } from '#reconcilers/workspace/reconciler.ts';
import { defineKind } from '#resources/kind.ts';
import type { DepotReply, DepotRequest } from './depot.ts';

/** The kinds of the depot (depot.ts): Crate, which is made, changed and deleted, and Parcel, which is sent once and may need a Crate. */
export const crate = defineKind({
  name: 'Crate',
  plural: 'crates',
  area: 'depot',
  spec: { text: z.string().max(200).default('hello') },
  status: { external: z.object({ name: z.string() }).optional() },
  conditions: [],
});

export const parcel = defineKind({
  name: 'Parcel',
  plural: 'parcels',
  area: 'depot',
  lifecycle: 'once',
  spec: { to: z.string().max(200).default('you'), crate: z.string().max(32).optional() },
  status: { external: z.object({ sent: z.boolean() }).optional() },
  conditions: [],
  references: ({ crate: name }) =>
    typeof name === 'string' ? [{ mode: 'needs', kind: 'Crate', name, path: 'spec.crate' }] : [],
  needsKinds: ['Crate'],
});

export interface DepotClient {
  readonly url: string;
  /** Named at the depot with each call. */
  readonly worker: string;
  /** Hears of each changing call, directly before it is sent. */
  readonly onSend: (wish: DepotRequest) => void;
  /** The plan of a Crate throws at the text "boom": a bug, that another build has no more. */
  readonly buggy: boolean;
}

const provider = { provider: 'depot', account: 'yard' } as const;
const callMs = 1_500;
const timing = { resyncEveryMs: 600_000, visibilityMs: 300, maxCallMs: callMs };

/** Reconcilers of the named kinds (`Workspace` is always among them), over one depot. */
export function depotReconcilers(client: DepotClient, names: readonly string[]): readonly AnyReconciler[] {
  const all: readonly AnyReconciler[] = [crateReconciler(client), parcelReconciler(client)];
  return [workspaceReconciler(), ...all.filter((one) => names.includes(one.kind.name))];
}

type Wish = Omit<DepotRequest, 'worker'>;

async function ask(client: DepotClient, wish: Wish, signal: AbortSignal): Promise<DepotReply> {
  const request: DepotRequest = { ...wish, worker: client.worker };
  if (!/\.(get|find)$/.test(wish.op)) client.onSend(request);
  const reply = await fetch(client.url, { method: 'POST', body: JSON.stringify(request), signal })
    .then((response) => response.json() as Promise<DepotReply>)
    .catch((error: unknown) => {
      throw new ProviderError('The depot did not answer.', {
        verdict: 'unavailable',
        reason: 'ProviderUnavailable',
        outcome: 'unknown',
        providerCode: error instanceof Error ? error.name : '',
      });
    });
  if (reply.status === 200) return reply;
  throw new ProviderError(`The depot refused with ${reply.status}.`, {
    verdict: 'retryable',
    reason: 'ProviderConflict',
    outcome: 'not-done',
    providerCode: String(reply.status),
  });
}

interface SeenCrate {
  readonly mine: boolean;
  readonly text: string;
  readonly etag: number;
}

type CrateAction = Action & { readonly type: 'create' | 'update' | 'delete'; readonly text: string };

function crateReconciler(client: DepotClient): Reconciler<typeof crate, SeenCrate | null, CrateAction> {
  const nameOf = ({ workspace, name }: Target<typeof crate>): string => `${workspace}-${name}`;
  const options = (op: DepotRequest['op'], mutating: boolean): CallOptions<DepotReply> => ({
    ...provider,
    op,
    mutating,
    ...(mutating ? { safety: 'guarded' as const } : {}),
  });
  return {
    kind: crate,
    timing,
    async observe(_desired, target, ctx) {
      const wish = { op: 'crates.get', uid: target.uid, name: nameOf(target) } as const;
      const { crate: seen } = await ctx.call(options(wish.op, false), (signal) => ask(client, wish, signal));
      return seen === undefined ? null : { mine: seen.uid === target.uid, text: seen.text, etag: seen.etag };
    },
    plan(desired, seen) {
      if (desired.state === 'absent') {
        if (seen === null || !seen.mine) return { verdict: 'converged' };
        return acting({ type: 'delete', effect: 'delete', risk: 'guarded', text: '', guard: { etag: seen.etag } });
      }
      const { text } = desired.spec;
      if (client.buggy && text === 'boom') throw new Error('a bug of this build');
      if (seen === null) return acting({ type: 'create', effect: 'create', risk: 'free', text });
      if (seen.text === text) return { verdict: 'converged' };
      return acting({ type: 'update', effect: 'update', risk: 'free', text, guard: { etag: seen.etag } });
    },
    resolve: (_intent, seen) => (seen === null ? 'not-done' : 'done'),
    // oxlint-disable-next-line eslint/max-params -- the contract's own form
    async apply(_desired, target, action, ctx) {
      const etag = action.guard?.['etag'];
      const guard = typeof etag === 'number' ? { etag } : {};
      const op = `crates.${action.type}` as const;
      const wish = { op, uid: target.uid, name: nameOf(target), text: action.text, ...guard };
      await ctx.call(options(op, true), (signal) => ask(client, wish, signal));
    },
    report: (_desired, seen) => ({ status: seen?.mine === true ? { external: { name: seen.text } } : {}, facts: [] }),
    exists: (seen) => seen?.mine === true,
    account: () => provider,
  };
}

function acting(action: CrateAction) {
  return { verdict: 'act', actions: [action] } as const;
}

interface SeenParcel {
  readonly sent: boolean;
  /** Nonces of sends that the depot knows. */
  readonly found: readonly string[];
}

function parcelReconciler(client: DepotClient): Reconciler<typeof parcel, SeenParcel> {
  return {
    kind: parcel,
    timing,
    async observe(_desired, { uid, intents }, ctx) {
      const found: string[] = [];
      for (const { nonce } of intents) {
        const wish = { op: 'parcels.find', uid, name: nonce } as const;
        const call = { ...provider, op: wish.op, mutating: false };
        if ((await ctx.call(call, (signal) => ask(client, wish, signal))).found === true) found.push(nonce);
      }
      return { sent: intents.some((intent) => intent.state === 'done'), found };
    },
    plan(desired, { sent, found }) {
      if (desired.state === 'absent' || sent || found.length > 0) return { verdict: 'converged' };
      return { verdict: 'act', actions: [{ type: 'send', effect: 'create', risk: 'free', intent: 'send' }] };
    },
    resolve: (intent, { found }) => (found.includes(intent.nonce) ? 'done' : 'not-done'),
    // oxlint-disable-next-line eslint/max-params -- the contract's own form
    async apply(_desired, { uid }, _action, ctx) {
      const wish = { op: 'parcels.send', uid, name: ctx.intent?.nonce ?? '' } as const;
      await ctx.call({ ...provider, op: wish.op, mutating: true, safety: 'once' }, (signal) =>
        ask(client, wish, signal),
      );
    },
    report: (_desired, { sent, found }) => ({
      status: sent || found.length > 0 ? { external: { sent: true } } : {},
      facts: [],
    }),
    exists: ({ sent, found }) => sent || found.length > 0,
    account: () => provider,
  };
}
