import type { Action, AnyReconciler, Desired, Plan, ReadResult, Target, WriteContext } from '#controller/contract.ts';
import { ProviderError } from '#controller/contract.ts';
import type { JsonObject } from '#resources/json.ts';

/** Drives one row of a kind pass by pass, without engine, store or gates: what a reconciler does by itself against a cloud. */

export interface Wish {
  readonly uid: string;
  readonly workspace: string;
  readonly name: string;
  readonly desired: Desired;
  /** Status so far. */
  readonly last?: JsonObject;
}

export interface Drive {
  /** Passes at most; default 30. */
  readonly passesMax?: number;
  /** ms; default: the machine's clock. */
  readonly now?: () => number;
  /** What ctx.read answers, by "Kind/name". */
  readonly rows?: Readonly<Record<string, JsonObject>>;
  /** Runs after a pass that failed: a test lets time go by. */
  readonly afterError?: (error: ProviderError) => void;
  /** Runs after a pass that waits, and goes on; absent: waiting ends the drive. */
  readonly afterWait?: () => void;
}

export interface Driven {
  readonly plan: Plan;
  readonly status: JsonObject;
  readonly facts: readonly string[];
  /** Types of the actions, in order; failed ones too. */
  readonly actions: readonly string[];
  readonly passes: number;
  readonly errors: readonly ProviderError[];
}

/** Passes until the plan does not act; a ProviderError ends its pass, as in the engine. Throws if that takes too many. */
export async function driveKind(reconciler: AnyReconciler, wish: Wish, drive: Drive = {}): Promise<Driven> {
  const actions: string[] = [];
  const errors: ProviderError[] = [];
  let last = wish.last ?? {};
  for (let passes = 1; passes <= (drive.passesMax ?? 30); passes += 1) {
    try {
      const ctx = context(drive);
      const target: Target = { ...wish, generation: 1, last, intents: [], incarnation: 1 };
      const observed: unknown = await reconciler.observe(wish.desired, target, ctx);
      const plan = reconciler.plan(wish.desired, observed);
      const report = reconciler.report(wish.desired, observed);
      last = { ...last, ...(report.status as JsonObject) };
      if (plan.verdict === 'wait' && drive.afterWait !== undefined) {
        drive.afterWait();
        continue;
      }
      if (plan.verdict !== 'act') {
        const facts = report.facts.map((fact) => `${fact.type} ${fact.status} ${fact.reason}`);
        return { plan, status: last, facts, actions, passes, errors };
      }
      for (const action of plan.actions as readonly Action[]) {
        actions.push(action.type);
        await reconciler.apply(wish.desired, target, action, ctx);
      }
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error;
      errors.push(error);
      drive.afterError?.(error);
    }
  }
  throw new Error(`not settled after ${actions.join(', ')}; ${errors.map((error) => error.message).join(' · ')}`);
}

function context({ now = Date.now, rows = {} }: Drive): WriteContext {
  return {
    now: now(),
    intent: null,
    read: (kind, name) => Promise.resolve(readResult(rows[`${kind}/${name}`])),
    list: () => Promise.resolve([]),
    call: (options, send) => {
      if (options.mutating && options.safety === undefined) throw new Error(`${options.op} states no safety`);
      return send(AbortSignal.timeout(options.timeoutMs ?? 30_000));
    },
    inventory: (_key, _maxAgeMs, fetch) => fetch(),
    operation: () => Promise.resolve(null),
  };
}

function readResult(outputs: JsonObject | undefined): ReadResult {
  const exists = outputs !== undefined;
  return {
    exists,
    ready: exists,
    deleting: false,
    outputs: outputs ?? {},
    version: 1,
    uid: exists ? 'other' : null,
    reason: null,
  };
}
