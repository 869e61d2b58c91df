import type { Json } from '#resources/json.ts';
import type { ResourceRow } from '#resources/resource.ts';
import { createReadContext, plainJson } from '#controller/pass/context.ts';
import type { AnyReconciler, Desired, Target } from '#controller/contract.ts';
import type { HeldLease } from '#controller/lease/lease.ts';
import { newRecord } from '#controller/pass/scope.ts';
import type { PassDeps, PassScope } from '#controller/pass/scope.ts';
import { freshWork } from '#controller/store/rows.ts';
import type { Claim, PassRow, Snapshot } from '#controller/store/rows.ts';

/** A row that is looked at without being claimed: as stored, or as it would be. */
export interface Looked {
  readonly row: ResourceRow;
  /** Of the stored row; null: it does not exist yet. */
  readonly stored: PassRow | null;
  readonly snapshot: Pick<Snapshot, 'now' | 'version'>;
}

/**
 * A fresh look at the world, as a pass would take it, without a lease: whatever would change something is refused by the context. It
 * listens to nothing and writes nothing.
 */
export async function lookFresh(
  deps: PassDeps,
  reconciler: AnyReconciler,
  { looked, desired, maxCallMs }: { looked: Looked; desired: Desired; maxCallMs: number },
): Promise<Json> {
  const context = createReadContext(scopeOf(deps, reconciler, { looked, maxCallMs }), deps);
  return plainJson(await reconciler.observe(desired, targetOf(looked), context));
}

function targetOf({ row, stored }: Looked): Target {
  const { uid, workspace, name, generation, status } = row;
  const incarnation = stored?.work.incarnation ?? 0;
  return { uid, workspace, name, generation, last: status, intents: stored?.intents ?? [], incarnation };
}

function scopeOf(
  deps: PassDeps,
  reconciler: AnyReconciler,
  { looked, maxCallMs }: { looked: Looked; maxCallMs: number },
): PassScope {
  const { row, stored, snapshot } = looked;
  const { shard, uid, workspace, kind } = row;
  const claim: Claim = { shard, uid, workspace, kind, epoch: 0, wakeSeq: 0, claimedAt: snapshot.now };
  return {
    claim,
    fence: { shard, uid, epoch: 0, holder: 'reader' },
    passRow: { ...(stored ?? unstored(snapshot.now)), row },
    timing: { ...reconciler.timing, maxCallMs: Math.min(reconciler.timing.maxCallMs, maxCallMs) },
    lease: noLease(claim),
    probe: false,
    now: snapshot.now,
    begunAt: deps.clock.monotonic(),
    readVersion: snapshot.version,
    record: newRecord(snapshot.now),
  };
}

/** Reading needs no lease; what would need one is refused before it is asked. */
function noLease(claim: Claim): HeldLease {
  const nothing = (): void => undefined;
  return { claim, isHeld: () => false, extendTo: nothing, lost: new Promise(nothing), drop: nothing };
}

/** What the store would hold beside a row that does not exist yet. */
function unstored(now: number): Omit<PassRow, 'row'> {
  return { work: freshWork(now), intents: [], decisions: [], revision: null, listeners: [], owner: null };
}
