import type { AnyReconciler } from './contract.ts';
import { finishPass } from './pass/finish.ts';
import type { FinishDeps } from './pass/finish.ts';
import type { InFlightPasses } from './in-flight.ts';
import { outcomeText } from './pass/journal.ts';
import type { Leases } from './lease/lease.ts';
import type { Metrics } from './metrics.ts';
import type { Outcome } from './pass/outcome.ts';
import { runPass } from './pass.ts';
import { createPass } from './pass/progress.ts';
import type { Pass } from './pass/progress.ts';
import type { Batch, ClaimedRow, Claimer } from './queue/claim.ts';
import type { Wake } from './queue/wake.ts';

/**
 * THE loop of the engine: wait → claim → pass → settle, as many at a time as there are slots. Nothing else loops over work.
 *
 * L1  Every claimed row ends in one settle, or its lease lapses: a pass that is lost, cut off or crashed holds nothing up.
 * L2  A pass that outlives its time is cut off: it may send nothing more, and settles as DeadlineExceeded. While a call that changes
 *     something is still under way its row is not given back: the lease covers that call, and whoever takes the row over then knows.
 */
export interface LoopDeps {
  readonly wake: Wake;
  readonly claimer: Claimer;
  readonly leases: Leases;
  readonly inFlight: InFlightPasses;
  readonly reconcilers: ReadonlyMap<string, AnyReconciler>;
  readonly finish: FinishDeps;
  readonly holder: string;
  readonly metrics: Metrics;
}

/** Runs until the wake is stopped and the claims under way have ended. Passes under way go on. */
export async function runLoop(deps: LoopDeps): Promise<void> {
  const lanes: Lanes = { open: 0, noted: 0, failures: 0, retrying: false };
  const claiming = new Set<Promise<void>>();
  for (let shards = await deps.wake.next(); shards !== null; shards = await deps.wake.next()) {
    deps.claimer.note(shards);
    lanes.noted += 1;
    for (let lane = lanes.open; lane < deps.finish.pass.options.claimsAtOnce; lane += 1) {
      const claimed = claimDue(deps, lanes).finally(() => claiming.delete(claimed));
      claiming.add(claimed);
    }
  }
  await Promise.all(claiming);
}

interface Lanes {
  /** Lanes that will look again, whatever is noted. */
  open: number;
  /** How often shards were noted. */
  noted: number;
  /** How often in a row claims were tried again because they had failed. */
  failures: number;
  /** They will be, soon: once for all that fail until then. With a wake for each, every failure led to more of them. */
  retrying: boolean;
}

/** Claims, one after the other, until nothing is left to claim or no slot to claim it for, and nothing was noted since. Never rejects. */
async function claimDue(deps: LoopDeps, lanes: Lanes): Promise<void> {
  const { claimer, inFlight, wake, finish } = deps;
  const start = (batch: Batch): void => {
    for (const claimed of batch.claimed) startPass(deps, { claimed, batch, probe: false });
  };
  lanes.open += 1;
  try {
    let noted: number;
    do {
      noted = lanes.noted;
      while (!wake.isStopped() && (await claimer.next(inFlight, start)) !== null) lanes.failures = 0;
      // Between its last answer and this line more may have been noted, for which no other lane was opened.
    } while (noted !== lanes.noted);
  } catch (error) {
    finish.pass.log.warn({ error }, 'Rows could not be claimed; tried again soon');
    retrySoon(deps, lanes);
  } finally {
    lanes.open -= 1;
  }
}

function retrySoon({ wake, finish: { pass } }: LoopDeps, lanes: Lanes): void {
  if (lanes.retrying) return;
  const { clock, options } = pass;
  const retryMs = Math.min(options.claimRetryMs * 2 ** lanes.failures, options.pollMs);
  lanes.failures += 1;
  lanes.retrying = true;
  clock.after(retryMs, () => {
    lanes.retrying = false;
    wake.poke([]);
  });
}

export interface Start {
  readonly claimed: ClaimedRow;
  readonly batch: Batch;
  /** A claimed listener of an open breaker: its first call may pass. */
  readonly probe: boolean;
}

/** Begins one pass; it ends by itself. */
export function startPass(deps: LoopDeps, start: Start): void {
  const { claim } = start.claimed;
  const reconciler = deps.reconcilers.get(claim.kind);
  if (reconciler === undefined) {
    deps.finish.pass.log.error({ kind: claim.kind, uid: claim.uid }, 'No reconciler for this kind in this build');
    return;
  }
  deps.metrics.claims.inc();
  const lease = deps.leases.hold(claim, start.batch.sentAt, passMs(deps, reconciler));
  const pass = createPass({ ...start, reconciler, lease, holder: deps.holder });
  deps.inFlight.add(pass);
  void work(deps, pass)
    .catch((error: unknown) => {
      deps.metrics.leaseLosses.inc({ when: 'settle' });
      deps.finish.pass.log.warn({ error, uid: claim.uid }, 'A pass was not settled; its lease lapses');
    })
    .finally(() => {
      lease.drop();
      deps.inFlight.remove(pass);
      if (deps.claimer.hasMore()) deps.wake.freed();
    });
}

function passMs({ finish }: LoopDeps, { timing }: AnyReconciler): number {
  const { options } = finish.pass;
  return Math.max(options.passMs, timing.maxCallMs + options.passMarginMs);
}

/** Steps 6 to 9 of one row. */
async function work(deps: LoopDeps, pass: Pass): Promise<void> {
  const outcome = await withinTime(deps, pass);
  const { kind } = pass.reconciler;
  if (outcome === null) {
    deps.metrics.leaseLosses.inc({ when: 'pass' });
    return;
  }
  const settled = await finishPass(pass, outcome, deps.finish);
  deps.metrics.passes.inc({ kind: kind.name, outcome: settled.type });
  deps.finish.pass.log.debug({ kind: kind.name, uid: pass.scope.claim.uid, outcome: outcomeText(settled) }, 'Pass');
}

/** The pass, cut off when its time is over or its lease is lost. */
async function withinTime(deps: LoopDeps, pass: Pass): Promise<Outcome | null> {
  const { clock } = deps.finish.pass;
  const { record, lease } = pass.scope;
  let cancel = (): void => undefined;
  const late = new Promise<Outcome | null>((resolve) => {
    cancel = clock.after(passMs(deps, pass.reconciler), () => resolve(cutOff(pass)));
  });
  const lost = lease.lost.then(() => {
    record.closed = true;
    return null;
  });
  const outcome = await Promise.race([runPass(pass, deps.finish.pass), late, lost]);
  cancel();
  return outcome;
}

function cutOff({ scope: { record } }: Pass): Outcome | null {
  record.closed = true;
  if (record.openMutations > 0) return null;
  const message = 'The pass took longer than it may and was broken off; what it had seen so far is kept.';
  return { type: 'bug', reason: 'DeadlineExceeded', message };
}
