import PQueue from 'p-queue';
import type { Change } from '#resources/condition.ts';
import { digest } from '#resources/digest.ts';
import type { Json, JsonObject } from '#resources/json.ts';
import type { ResourceKey } from '#resources/resource.ts';
import { shardOf } from '#resources/shard.ts';
import { isoTime } from '#controller/clock.ts';
import type { Action, AnyReconciler, Plan, Risk } from '#controller/contract.ts';
import type { ReaderOptions } from '#controller/options.ts';
import { approvalDigest } from '#controller/pass/recent-actions.ts';
import type { PassDeps } from '#controller/pass/scope.ts';
import type { AdminStore } from '#controller/store/admin-store.ts';
import type { Snapshot, StoredPlan } from '#controller/store/rows.ts';
import { admitChanges, parsePlanInput } from './changes.ts';
import type { AdmittedChange } from './changes.ts';
import { lookFresh } from './look.ts';

/**
 * Plans changes before they are made (architecture §6, Plan hash): only this role holds the kinds and may ask their providers.
 *
 * 1. Nothing is written but `plans`; no intent, no condition, no pass.
 * 2. A hash stands for one change: its key, its base generation, its desired state and the digests of what it would do that needs
 *    approval, the preview included. Observations are no part of it.
 */
export interface PlanDeps {
  readonly pass: PassDeps;
  readonly admin: Pick<AdminStore, 'writePlans'>;
  readonly reconcilers: ReadonlyMap<string, AnyReconciler>;
  readonly options: ReaderOptions;
}

/** One answer of `resources.plan`, in the order of the changes. */
export interface PlannedChange {
  readonly ref: ResourceKey;
  /** 0: the row does not exist. */
  readonly baseGeneration: number;
  /** What the actions would change, at most 50 places. */
  readonly diff: readonly Change[];
  readonly actions: readonly JsonObject[];
  /** Guarded-or-higher actions that would follow until convergence. */
  readonly preview: readonly JsonObject[];
  /** The highest of all actions and the preview. */
  readonly risk: Risk;
  /** Sum over all actions and the preview, or null if nothing costs anything. */
  readonly priceCents: number | null;
  readonly hash: string;
  /** ISO-8601. */
  readonly expiresAt: string;
  readonly verdict: Plan['verdict'];
  /** Of a plan that waits or is stalled, else null. */
  readonly reason: string | null;
  readonly message: string | null;
}

const risks: readonly Risk[] = ['free', 'guarded', 'spending', 'irreversible'];
const diffMax = 50;
/** Newest passes among which an observation is looked for: one may be too large for the journal. */
const passesMax = 5;

/** Answers `POST /plan { workspace, changes, fresh }`. Throws ApiError as admission does, or what the look at the provider threw. */
export async function planChanges(deps: PlanDeps, body: unknown): Promise<readonly PlannedChange[]> {
  const { store: engine, kinds, clock, rng } = deps.pass;
  const input = parsePlanInput(body, deps.options);
  const admitted = await admitChanges({ engine, kinds, clock, rng, options: deps.options }, input);
  const uids = admitted.flatMap(({ stored }) => (stored === null ? [] : [stored.uid]));
  const snapshot = await engine.readRows(shardOf(input.workspace), uids);
  const queue = new PQueue({ concurrency: deps.options.looksAtOnce });
  const planned = await Promise.all(
    admitted.map((change) => queue.add(() => planOne(deps, { change, snapshot, fresh: input.fresh }))),
  );
  await deps.admin.writePlans(
    input.workspace,
    planned.map((one) => one.stored),
  );
  return planned.map((one) => one.answer);
}

interface ChangeToPlan {
  readonly change: AdmittedChange;
  readonly snapshot: Snapshot;
  readonly fresh: boolean;
}

async function planOne(deps: PlanDeps, { change, snapshot, fresh }: ChangeToPlan) {
  const { key, desired } = change;
  const reconciler = deps.reconcilers.get(key.kind);
  if (reconciler === undefined) throw new Error(`The kind ${key.kind} has no reconciler`);
  const recorded = fresh ? null : await newestObservation(deps, change);
  const stored = snapshot.rows.find((one) => one.row.uid === change.row.uid) ?? null;
  const looked = { row: change.row, stored, snapshot };
  const maxCallMs = deps.options.lookCallMs;
  const observed = recorded ?? (await lookFresh(deps.pass, reconciler, { looked, desired, maxCallMs }));
  const plan = reconciler.plan(desired, observed);
  const expiresAt = snapshot.now + deps.options.planValidMs;
  const written = storedPlan(change, plan, { expiresAt, nonce: deps.pass.rng.uuid() });
  return { stored: written, answer: answerOf(plan, written) };
}

/** What the newest journalled pass saw. A deletion is planned on a fresh look: what it must know, passes over a declared row do not gather. */
async function newestObservation(deps: PlanDeps, { stored, desired }: AdmittedChange): Promise<Json> {
  if (stored === null || desired.state === 'absent') return null;
  const { shard, uid } = stored;
  const passes = await deps.pass.store.passes({ shard, uid, limit: passesMax });
  return passes.find((pass) => pass.observed !== null)?.observed ?? null;
}

/** What would be done now or later, each once: a preview names guarded actions of the plan itself again. */
function actionsOf(plan: Plan): readonly Action[] {
  if (plan.verdict !== 'act') return [];
  const now = new Set(plan.actions.map(approvalDigest));
  return [...plan.actions, ...(plan.preview ?? []).filter((action) => !now.has(approvalDigest(action)))];
}

function storedPlan(
  { key, stored, desiredDigest }: AdmittedChange,
  plan: Plan,
  { expiresAt, nonce }: { expiresAt: number; nonce: string },
): StoredPlan {
  const guarded = actionsOf(plan).filter((action) => action.risk !== 'free');
  // Steps of one piece of work share a digest.
  const approvable = new Map(guarded.map((action) => [approvalDigest(action), action.risk]));
  const actions = [...approvable].map(([actionDigest, risk]) => ({ digest: actionDigest, risk }));
  const content = { ref: key, baseGeneration: stored?.generation ?? 0, desiredDigest, actions };
  return { hash: digest({ ...content, nonce }), workspace: key.workspace, ...content, expiresAt };
}

function answerOf(plan: Plan, { ref, baseGeneration, hash, expiresAt }: StoredPlan): PlannedChange {
  const all = actionsOf(plan);
  const prices = all.flatMap((action) => (action.priceCents === undefined ? [] : [action.priceCents]));
  const said = plan.verdict === 'wait' || plan.verdict === 'stalled' ? plan : { reason: null, message: null };
  return {
    ref,
    baseGeneration,
    diff: all.flatMap((action) => action.changes ?? []).slice(0, diffMax),
    actions: plan.verdict === 'act' ? plan.actions.map(shown) : [],
    preview: plan.verdict === 'act' ? (plan.preview ?? []).map(shown) : [],
    risk: risks.findLast((risk) => all.some((action) => action.risk === risk)) ?? 'free',
    priceCents: prices.length === 0 ? null : prices.reduce((sum, price) => sum + price, 0),
    hash,
    expiresAt: isoTime(expiresAt),
    verdict: plan.verdict,
    reason: said.reason,
    message: said.message,
  };
}

/** An action as shown: without what it holds on to, which is of the observation, and without the diff, which stands beside it. */
function shown(action: Action): JsonObject {
  const { guard: _guard, changes: _changes, ...rest } = action;
  return JSON.parse(JSON.stringify(rest)) as JsonObject;
}
