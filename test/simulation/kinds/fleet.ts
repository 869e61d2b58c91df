import { z } from 'zod';
import type { DeclareAction, ListedRow, Plan, Reconciler, Desired } from '#controller/contract.ts';
import { sameJson } from '#resources/json.ts';
import { defineKind } from '#resources/kind.ts';

/** A parent: declares Tokens and is ready when they are. */
export const fleet = defineKind({
  name: 'Fleet',
  plural: 'fleets',
  area: 'tiny',
  spec: { size: z.int().min(0).max(10), label: z.string().max(40).default('fleet') },
  status: { external: z.object({ size: z.number() }).optional() },
  conditions: [],
});
export type FleetKind = typeof fleet;

export interface FleetObserved {
  readonly name: string;
  readonly children: readonly {
    readonly slot: string;
    readonly ready: boolean;
    readonly deleting: boolean;
    readonly label: string;
  }[];
}

/** Fleet: no provider of its own. */
export function createFleetReconciler(): Reconciler<FleetKind, FleetObserved, DeclareAction> {
  return {
    kind: fleet,
    timing: { resyncEveryMs: 600_000, visibilityMs: 1_000, maxCallMs: 30_000 },
    async observe(_desired, target, ctx) {
      const rows = await ctx.list('Token', 'owned');
      return { name: target.name, children: rows.map(child).sort((a, b) => (a.slot < b.slot ? -1 : 1)) };
    },
    plan: planFleet,
    resolve: () => 'undecided',
    apply: async () => undefined,
    report: (_desired, observed) => ({ status: { external: { size: observed.children.length } }, facts: [] }),
    exists: () => false,
    account: () => null,
  };
}

function child(row: ListedRow): FleetObserved['children'][number] {
  return { slot: row.slot ?? '', ready: row.ready, deleting: row.deleting, label: row.spec['label'] as string };
}

/** The decisions of a Fleet. */
export function planFleet(desired: Desired<FleetKind>, observed: FleetObserved): Plan<DeclareAction> {
  const { children, name } = observed;
  const waiting = (message: string): Plan<DeclareAction> => ({
    verdict: 'wait',
    reason: 'DependencyNotReady',
    message,
    retryAfterMs: 60_000,
  });
  if (desired.state === 'absent') {
    if (children.length === 0) return { verdict: 'converged' };
    if (children.every((one) => one.deleting)) return waiting('The children are being removed.');
    return declare([], 'guarded');
  }
  const { size, label } = desired.spec;
  const wanted = Array.from({ length: size }, (_, n) => ({
    slot: `s${String(n)}`,
    manifest: { kind: 'Token', name: `${name}-${String(n)}`, spec: { label, scopes: [] } },
  }));
  const have = children.filter((one) => !one.deleting).map(({ slot, label }) => ({ slot, label }));
  const want = wanted.map(({ slot }) => ({ slot, label }));
  if (!sameJson(have, want)) {
    const drops = have.some((one) => !want.some((other) => other.slot === one.slot));
    return declare(wanted, drops ? 'guarded' : 'free');
  }
  if (children.length > size) return waiting('A child is being removed.');
  return children.every((one) => one.ready) ? { verdict: 'converged' } : waiting('The children are not ready yet.');
}

function declare(children: DeclareAction['children'], risk: 'free' | 'guarded'): Plan<DeclareAction> {
  return { verdict: 'act', actions: [{ type: 'declare', effect: 'declare', risk, children }] };
}
