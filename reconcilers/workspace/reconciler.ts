import type { Reconciler } from '#controller/contract.ts';
import { workspace } from '#resources/workspace.ts';

/** A Workspace asks nothing of a provider yet: it converges by being there, and goes when nothing needs it any more (HasDependents). */
export function workspaceReconciler(): Reconciler<typeof workspace, { readonly slug: string }> {
  return {
    kind: workspace,
    // It calls no provider: after a takeover nothing can still land, and what stands on it need not wait for that.
    timing: { resyncEveryMs: 1_800_000, visibilityMs: 0, maxCallMs: 0 },
    observe: (_desired, target) => Promise.resolve({ slug: target.workspace }),
    plan: () => ({ verdict: 'converged' }),
    resolve: () => 'undecided',
    apply: () => Promise.reject(new Error('A Workspace has no actions.')),
    report: (_desired, { slug }) => ({ status: { slug }, facts: [] }),
    // Nothing outside exists of it, so that nothing can be deleted outside.
    exists: () => false,
    account: () => null,
  };
}
