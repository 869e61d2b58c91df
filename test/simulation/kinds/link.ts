import { z } from 'zod';
import type { Action, Desired, Plan, Reconciler } from '#controller/contract.ts';
import { defineKind } from '#resources/kind.ts';
import { topic } from '#resources/topic.ts';
import { tinyAccount, tinyLocation } from './tiny-client.ts';
import type { TinyClient } from './tiny-client.ts';

/** A thing under a name of its own that points at a Token: guarded by the name and by an etag, and needs another row. */
export const link = defineKind({
  name: 'Link',
  plural: 'links',
  area: 'tiny',
  spec: { token: z.string().meta({ immutable: true }), weight: z.int().min(0).max(100).default(1) },
  status: { external: z.object({ name: z.string(), target: z.string() }).optional() },
  conditions: [],
  references: (spec) => [{ mode: 'needs', kind: 'Token', name: spec['token'] as string, path: 'spec.token' }],
  needsKinds: ['Token'],
});
export type LinkKind = typeof link;

export interface LinkObserved {
  readonly uid: string;
  readonly name: string;
  readonly target: string | null;
  readonly found: {
    readonly uid: string | null;
    readonly target: string;
    readonly weight: number;
    readonly etag: number;
  } | null;
}

export type LinkAction = Action &
  (
    | { readonly type: 'create'; readonly name: string; readonly target: string; readonly weight: number }
    | { readonly type: 'patch'; readonly name: string; readonly target: string; readonly weight: number }
    | { readonly type: 'delete'; readonly name: string }
  );

/** The name at the provider. */
export function linkName(workspace: string, name: string): string {
  return `${workspace}-${name}`;
}

/** Link over a client of the tiny cloud. */
export function createLinkReconciler(client: TinyClient): Reconciler<LinkKind, LinkObserved, LinkAction> {
  return {
    kind: link,
    timing: { resyncEveryMs: 600_000, visibilityMs: 60_000, maxCallMs: 30_000 },
    async observe(desired, target, ctx) {
      const name = linkName(target.workspace, target.name);
      const needed = await ctx.read('Token', desired.spec.token);
      const options = { ...tinyAccount, op: 'links.get', mutating: false } as const;
      const seen = await ctx.call(options, (signal) =>
        client.read(
          'links.get',
          { uid: target.uid, signal },
          (cloud) => cloud.getLink(name),
          () => null,
        ),
      );
      const external = needed.outputs['external'] as { id?: string } | null | undefined;
      const found = seen === null ? null : { uid: seen.uid, target: seen.target, weight: seen.weight, etag: seen.etag };
      return { uid: target.uid, name, target: external?.id ?? null, found };
    },
    plan: planLink,
    resolve: () => 'undecided',
    // oxlint-disable-next-line eslint/max-params -- the contract's own form
    async apply(_desired, target, action, ctx) {
      const { uid } = target;
      const call = { ...tinyAccount, mutating: true, safety: 'guarded' } as const;
      const etag = Number(action.guard?.['etag'] ?? 0);
      if (action.type === 'create') {
        const { name, weight } = action;
        await ctx.call({ ...call, op: 'links.create', location: tinyLocation }, (signal) =>
          client.write('links.create', { uid, signal }, (cloud) =>
            cloud.createLink({ name, uid, target: action.target, weight, location: tinyLocation }),
          ),
        );
      } else if (action.type === 'patch') {
        await ctx.call({ ...call, op: 'links.patch' }, (signal) =>
          client.write('links.patch', { uid, signal }, (cloud) =>
            cloud.patchLink(action.name, etag, { target: action.target, weight: action.weight }),
          ),
        );
      } else {
        await ctx.call({ ...call, op: 'links.delete' }, (signal) =>
          client.write('links.delete', { uid, signal }, (cloud) => cloud.deleteLink(action.name, etag)),
        );
      }
    },
    report(_desired, observed) {
      if (observed.found?.uid !== observed.uid) return { status: {}, facts: [] };
      return { status: { external: { name: observed.name, target: observed.found.target } }, facts: [] };
    },
    exists: (observed) => observed.found?.uid === observed.uid,
    account: () => tinyAccount,
  };
}

/** The decisions of a Link. */
export function planLink(desired: Desired<LinkKind>, observed: LinkObserved): Plan<LinkAction> {
  const { found, name, target } = observed;
  const isOurs = found?.uid === observed.uid;
  if (desired.state === 'absent') {
    if (found === null || !isOurs) return { verdict: 'converged' };
    const guard = { etag: found.etag };
    return { verdict: 'act', actions: [{ type: 'delete', effect: 'delete', risk: 'guarded', name, guard }] };
  }
  const { weight } = desired.spec;
  if (target === null) {
    const message = `Token ${desired.spec.token} has no id yet.`;
    return { verdict: 'wait', reason: 'OutputMissing', message, retryAfterMs: 60_000 };
  }
  if (found === null) {
    return { verdict: 'act', actions: [{ type: 'create', effect: 'create', risk: 'free', name, target, weight }] };
  }
  if (!isOurs) return taken(observed);
  const changes = [
    { path: 'target', have: found.target, want: target },
    { path: 'spec.weight', have: found.weight, want: weight },
  ].filter((one) => one.have !== one.want);
  if (changes.length === 0) return { verdict: 'converged' };
  const guard = { etag: found.etag };
  return {
    verdict: 'act',
    actions: [{ type: 'patch', effect: 'update', risk: 'free', name, target, weight, changes, guard }],
  };
}

function taken({ uid, name }: LinkObserved): Plan<LinkAction> {
  const input = { kind: 'Link', patch: { adopt: name } };
  return {
    verdict: 'stalled',
    reason: 'AlreadyExistsUnowned',
    message: `A link ${name} exists and does not bear our mark.`,
    clearsOn: [topic.spec(uid)],
    remedy: [{ id: 'adopt', call: { proc: 'resources.patch', input }, destructive: false, needs: 'declarer' }],
  };
}
