import type { Change, Fact, Remedy } from '#resources/condition.ts';
import type { Json, JsonObject } from '#resources/json.ts';
import type { Kind, SpecOf, StatusOf } from '#resources/kind.ts';
import type { ResourceRow } from '#resources/resource.ts';
import type { Topic } from '#resources/topic.ts';

/**
 * What the engine asks of a reconciler; the only file of controller/ that reconcilers/ may import.
 * A kind holds no clock, retry, condition, lease, budget or journal: those are the engine's (law 4).
 */
export interface Reconciler<K extends Kind = Kind, Observed = Json, A extends Action = Action> {
  readonly kind: K;
  readonly timing: Timing;
  /**
   * Reads the world and changes nothing. Must gather all that plan needs: references, quotas, prices, ctx.now.
   * Must answer plain JSON (it is stored and replayed). "Gone" is a value, never an exception.
   */
  observe(desired: Desired<K>, target: Target<K>, ctx: ReadContext): Promise<Observed>;
  /** Pure: no I/O, no clock, no randomness. For `absent`, "converged" means that nothing of ours is left. */
  plan(desired: Desired<K>, observed: Observed): Plan<A>;
  /** Pure. Only this closes an unknown intent. */
  resolve(intent: Intent, observed: Observed): 'done' | 'not-done' | 'undecided';
  /** Carries out one action. May be asked again after a crash; every mutating call states its safety. */
  apply(desired: Desired<K>, target: Target<K>, action: A, ctx: WriteContext): Promise<void>;
  /** Pure: status fields and facts that a user sees. Outputs are sticky: what is left out is kept. */
  report(desired: Desired<K>, observed: Observed): Report<K>;
  /** Pure. Whether the external object exists with our mark: sets `materialized_at`. */
  exists(observed: Observed): boolean;
  /** The provider account whose breaker, freeze and brakes govern this row's mutations. Pure. */
  account(desired: Desired<K>, target: Target<K>): { provider: string; account: string } | null;
}

export interface Timing {
  readonly resyncEveryMs: number;
  /** How long an acknowledged change may stay unseen by reads. */
  readonly visibilityMs: number;
  /** Longest provider call, ≤ 120 000. */
  readonly maxCallMs: number;
}

export interface Target<K extends Kind = Kind> {
  readonly uid: string;
  readonly workspace: string;
  readonly name: string;
  readonly generation: number;
  /** Where to look (provider-assigned ids live in status.external); never proof. */
  readonly last: Partial<StatusOf<K>>;
  /**
   * Open and done intents, with arguments and kept results: of the done ones the newest 100 of each family, which is the effect up to its
   * first colon. Older ones are never sent again either, so an effect is named by what it is about, never by counting intents.
   */
  readonly intents: readonly Intent[];
  /** Counts re-creations; part of the effect name `create:<incarnation>`. */
  readonly incarnation: number;
}

export type Desired<K extends Kind = Kind> =
  | { readonly state: 'present'; readonly spec: SpecOf<K> }
  | { readonly state: 'absent'; readonly policy: 'Delete' | 'Orphan'; readonly spec: SpecOf<K> };

export interface Report<K extends Kind = Kind> {
  readonly status: Partial<StatusOf<K>>;
  readonly facts: readonly Fact[];
}

export type Effect = 'create' | 'update' | 'delete' | 'release' | 'declare' | 'operation';
export type Risk = 'free' | 'guarded' | 'spending' | 'irreversible';

/** One step of a plan: plain JSON, in a union on `type`. Stored, hashed, shown, approved, replayed. */
export interface Action {
  readonly type: string;
  readonly effect: Effect;
  readonly risk: Risk;
  /** Destroys customers' data: held back by the undo window. */
  readonly destroysData?: boolean;
  readonly priceCents?: number;
  readonly currency?: string;
  /** At most 50; the source of evidence.diff and of plan's diff. */
  readonly changes?: readonly Change[];
  /**
   * For `once` and spending actions, and for guarded ones whose guard lapses: the name of the EXTERNAL fact, e.g. "create:1",
   * "register:shop.example". Price, contact and time are arguments, never in this name.
   */
  readonly intent?: string;
  /**
   * With `intent`, for `guarded` calls whose guard lapses (Task: 50 min): ms from the first send in which a lost answer may be sent
   * again under the same intent. After that the row parks as NeedsDecision.
   */
  readonly guardedForMs?: number;
  /**
   * What the observation gives the calls to hold on to (metageneration, etag): apply reads it, and it is part of NO digest, so that
   * an approval and the drift brake outlive a newer observation of the same.
   */
  readonly guard?: JsonObject;
  /**
   * For work done in steps (emptying page by page): differs at each step. Part of the digest in `recent_actions`, so that progress
   * is not taken for a loop; not part of an approval's digest, so that one approval covers all steps.
   */
  readonly step?: string;
}

/** Built-in: names ALL children the owner wants, `[]` included. Carried out in the owner's settle transaction. */
export interface DeclareAction extends Action {
  readonly type: 'declare';
  readonly effect: 'declare';
  readonly children: readonly ChildDeclaration[];
}

export interface ChildDeclaration {
  /** Unique per owner; for a `once` child it names the occasion. */
  readonly slot: string;
  readonly manifest: {
    readonly kind: string;
    readonly name: string;
    readonly spec: JsonObject;
    readonly labels?: Record<string, string>;
  };
}

/** Built-in: starts or cancels long work, which a mover claims; a pass only starts and observes it. */
export interface OperationAction extends Action {
  readonly type: 'operation';
  readonly effect: 'operation';
  readonly key: string;
  readonly op: 'start' | 'cancel';
  readonly input: JsonObject;
}

export type Plan<A extends Action = Action> =
  | { readonly verdict: 'converged' }
  | { readonly verdict: 'act'; readonly actions: readonly [A, ...A[]]; readonly preview?: readonly A[] }
  | {
      readonly verdict: 'wait';
      readonly reason: string;
      readonly message: string;
      readonly retryAfterMs: number;
      readonly deadline?: string;
    }
  | StalledPlan;

export interface StalledPlan {
  readonly verdict: 'stalled';
  readonly reason: string;
  readonly message: string;
  readonly clearsOn: readonly [Topic, ...Topic[]];
  readonly remedy: readonly [Remedy, ...Remedy[]];
}

export type IntentState = 'announced' | 'sending' | 'unknown' | 'done' | 'refused' | 'retired';

/** Write-ahead record of what must not happen twice (architecture §5, Intents). Times in ms, database clock. */
export interface Intent {
  readonly effect: string;
  readonly attempt: number;
  readonly nonce: string;
  readonly state: IntentState;
  readonly args: Json;
  /** What `keep` took from the answer. */
  readonly result: Json;
  readonly announcedAt: number;
  readonly sentAt: number | null;
  /** After this the call has certainly been abandoned. */
  readonly giveUpAt: number | null;
  readonly answeredAt: number | null;
  /** A `done` that arrived after the attempt was retired: a duplicate, never silent. */
  readonly contradicts: boolean;
}

/** What `ctx.read` answers of another row. `ready` is the STORED Ready, so that an edit in progress unreadies nobody. */
export interface ReadResult {
  readonly exists: boolean;
  readonly ready: boolean;
  readonly deleting: boolean;
  readonly outputs: JsonObject;
  readonly version: number;
  readonly uid: string | null;
  /** Reason of its Ready or Stalled condition, for messages. */
  readonly reason: string | null;
}

export interface ListedRow {
  readonly uid: string;
  readonly kind: string;
  readonly name: string;
  readonly slot: string | null;
  readonly ready: boolean;
  readonly deleting: boolean;
  readonly spec: JsonObject;
  readonly status: JsonObject;
}

/** Why a provider call failed, as the provider's own table says. */
export type ProviderVerdict = 'retryable' | 'rejected' | 'credential' | 'throttled' | 'unavailable';

/** Thrown inside ctx.call by client wrappers. Never means "gone": clients answer null for that. */
export class ProviderError extends Error {
  override readonly name = 'ProviderError';
  readonly detail: ProviderErrorDetail;
  constructor(message: string, detail: ProviderErrorDetail) {
    super(message);
    this.detail = detail;
  }
}

export interface ProviderErrorDetail {
  readonly verdict: ProviderVerdict;
  /** A reason of conditions.md: ProviderRejected, PermissionDenied, RateLimited, … */
  readonly reason: string;
  /** Whether the provider certainly did not carry it out. "unknown" makes a mutating call an unknown outcome. */
  readonly outcome: 'not-done' | 'unknown';
  /** The provider's own code, untrusted text, cut by the engine. */
  readonly providerCode: string;
  readonly retryAfterMs?: number;
  readonly remedy?: readonly Remedy[];
  readonly clearsOn?: readonly Topic[];
}

/** `repeatable`: safe to do twice. `guarded`: the provider refuses the second. `once`: it would happen twice. */
export type Safety = 'repeatable' | 'guarded' | 'once';

export interface CallOptions<Reply> {
  /** "gcs" */
  readonly provider: string;
  /** The provider account, e.g. a project id. */
  readonly account: string;
  /** The provider's operation, e.g. "buckets.insert". */
  readonly op: string;
  readonly mutating: boolean;
  /** Required for mutating calls. */
  readonly safety?: Safety;
  /** Required for every call that stores bytes; refused off the allow-list. */
  readonly location?: string;
  /** Own deadline in ms, at most the kind's maxCallMs, which is the default. */
  readonly timeoutMs?: number;
  /**
   * What of the reply must never be lost; written to the intent before anything else happens, IN THE CLEAR. No secret may be in it: one
   * that a reply tells goes to the sealed table `secrets`, whose door comes with the first kind that has one. The simulated world looks
   * for secrets of its clouds in everything that a kind leaves behind (O11).
   */
  readonly keep?: (reply: Reply) => Json;
}

export interface ReadContext {
  /** Database time of the pass's read, ms. */
  readonly now: number;
  /** Reads another row of the same workspace and listens for its changes. */
  read(kind: string, name: string): Promise<ReadResult>;
  /** Lists rows owned by this row, or referring to it, and listens for changes. */
  list(kind: string, selector: 'owned' | 'refers'): Promise<readonly ListedRow[]>;
  /** Calls a provider through the gateway. The only door. */
  call<Reply>(options: CallOptions<Reply>, send: (signal: AbortSignal) => Promise<Reply>): Promise<Reply>;
  /** Shares one listing among many rows: younger than `maxAgeMs`, or fetched once. `readAt` counts for `resolve`. */
  inventory<T>(key: string, maxAgeMs: number, fetch: () => Promise<T>): Promise<T>;
  /** State of a long operation of this row, or null. */
  operation(key: string): Promise<OperationView | null>;
}

export interface OperationView {
  readonly key: string;
  readonly state: 'waiting' | 'running' | 'done' | 'failed' | 'cancelled';
  readonly progress: Json;
  readonly result: Json;
}

export interface WriteContext extends ReadContext {
  /** The intent of the action being applied, when it has one: its nonce goes to the provider as the mark of this attempt. */
  readonly intent: Intent | null;
}

/** What the reader role gives an operation that answers a verb of `do: "read"`. */
export interface ReaderContext {
  /** The row that the verb named (`VerbCall.key`), or null if it names none. */
  readonly row: ResourceRow | null;
  /** Wall time in ms. */
  readonly now: number;
  /** Calls a provider through the gateway; mutating calls are refused. */
  call<Reply>(options: CallOptions<Reply>, send: (signal: AbortSignal) => Promise<Reply>): Promise<Reply>;
}

/** Answers one read verb, by its name ("storage.list_objects"). Changes nothing. Throws ApiError for what a caller can mend, else ProviderError. */
export type ReaderOp = (input: JsonObject, context: ReaderContext) => Promise<Json>;

/** Any reconciler, as the registry holds it: the engine never looks inside its observations and actions. */
// oxlint-disable-next-line typescript/no-explicit-any -- the one place where the kinds' own types are forgotten
export type AnyReconciler = Reconciler<Kind, any, any>;
