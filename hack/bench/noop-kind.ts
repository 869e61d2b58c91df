import { z } from 'zod';
import type { AnyReconciler, Reconciler } from '#controller/contract.ts';
import { createOptions } from '#controller/options.ts';
import type { Options } from '#controller/options.ts';
import { workspaceReconciler } from '#reconcilers/workspace/reconciler.ts';
import { defineKind } from '#resources/kind.ts';
import { workspace } from '#resources/workspace.ts';

/** A kind whose provider does nothing, at once: what is left is the engine. Like every kind it needs its Workspace. */
export const noop = defineKind({
  name: 'Noop',
  plural: 'noops',
  area: 'bench',
  spec: { text: z.string().max(200).default('hello') },
  status: { external: z.object({ id: z.string() }).optional(), seen: z.number().optional() },
  conditions: [],
  verbs: {
    // A mutation that touches no row: through server, key, limits, router and input, and back.
    'bench.noop': {
      input: z.strictObject({ workspace: z.string().max(64) }),
      mutates: true,
      scope: 'write',
      call: () => ({ do: 'read', op: 'bench.noop', input: {} }),
    },
  },
});

export const benchKinds = [workspace, noop];

/** Provider calls for rows of this prefix are told of to the bench. */
export const probePrefix = 'probe-';

/** What the provider hears: one call for each pass. */
export type OnCall = (name: string) => void;

interface Seen {
  readonly id: string;
  readonly seen: number;
}

const provider = { provider: 'noop', account: 'bench' } as const;

/** `changing`: each pass sees something else, so that each settle writes status. Otherwise nothing ever changes. */
export function benchReconcilers(input: {
  readonly changing: boolean;
  readonly onCall?: OnCall;
}): readonly AnyReconciler[] {
  let calls = 0;
  const reconciler: Reconciler<typeof noop, Seen> = {
    kind: noop,
    timing: { resyncEveryMs: 3_600_000, visibilityMs: 0, maxCallMs: 30_000 },
    observe: (_desired, target, ctx) =>
      ctx.call({ ...provider, op: 'get', mutating: false }, () => {
        input.onCall?.(target.name);
        calls += 1;
        return Promise.resolve({ id: target.uid, seen: input.changing ? calls : 1 });
      }),
    plan: () => ({ verdict: 'converged' }),
    resolve: () => 'undecided',
    apply: () => Promise.reject(new Error('A Noop has no actions.')),
    report: (_desired, { id, seen }) => ({ status: { external: { id }, seen }, facts: [] }),
    exists: () => true,
    account: () => provider,
  };
  return [workspaceReconciler(), reconciler];
}

/** The defaults, but for the provider's own limits, which are not what is measured: 10,000 calls a second, 256 at once. */
export const benchOptions: Options = createOptions({
  gateway: { concurrencyOf: { noop: 256 }, budgets: { noop: { ratePerSecond: 10_000, burst: 20_000 } } },
});
