import type { Action, Risk } from '#controller/contract.ts';
import type { JsonObject } from '#resources/json.ts';

/**
 * What can be done to a bucket. Arguments follow from the declaration alone; what was observed is in `guard` (never part of a digest), so
 * that an approval of the plan still fits when the bucket's metageneration has moved.
 */
export type BucketAction =
  | CreateBucket
  | AdoptBucket
  | UpdateBucket
  | LockRetention
  | ExposeBucket
  | ConcealBucket
  | EmptyBucket
  | DeleteBucket
  | ReleaseBucket;

interface OnBucket extends Action {
  /** External name. */
  readonly bucket: string;
}

interface Guarded extends OnBucket {
  readonly guard: { readonly metageneration: string };
}

/** Makes the bucket with all its settings and our mark. */
export interface CreateBucket extends OnBucket {
  readonly type: 'create';
  readonly effect: 'create';
  readonly body: JsonObject;
  readonly objectRetention: boolean;
}

/** Writes our mark on a bucket that carries none of ours; the declaration names it exactly. */
export interface AdoptBucket extends Guarded {
  readonly type: 'adopt';
  readonly effect: 'update';
  readonly patch: JsonObject;
}

/** Puts managed settings right. Risk `guarded` where data, or its protection, could be lost. */
export interface UpdateBucket extends Guarded {
  readonly type: 'update';
  readonly effect: 'update';
  readonly risk: Extract<Risk, 'free' | 'guarded'>;
  readonly patch: JsonObject;
}

/** Locks the retention, for ever. */
export interface LockRetention extends Guarded {
  readonly type: 'lock-retention';
  readonly effect: 'update';
  readonly risk: 'irreversible';
  readonly days: number;
}

/** Lets everyone read the objects. */
export interface ExposeBucket extends OnBucket {
  readonly type: 'expose';
  readonly effect: 'update';
  readonly risk: 'guarded';
  /** `prevented`: public access prevention must be lifted first. */
  readonly guard: { readonly metageneration: string; readonly prevented: boolean };
}

/** Takes from the public what is not declared. */
export interface ConcealBucket extends OnBucket {
  readonly type: 'conceal';
  readonly effect: 'update';
  readonly risk: 'free';
  /** Whether declared public reading stays. */
  readonly publicRead: boolean;
}

/** Deletes objects, all versions, some at a time. */
export interface EmptyBucket extends OnBucket {
  readonly type: 'empty';
  readonly effect: 'delete';
  readonly risk: 'guarded';
  readonly destroysData: true;
  /** The first object that is still there. */
  readonly step: string;
}

/** Deletes the empty bucket. */
export interface DeleteBucket extends Guarded {
  readonly type: 'delete';
  readonly effect: 'delete';
  readonly risk: 'guarded';
}

/** Takes our mark off; the bucket and its objects stay. */
export interface ReleaseBucket extends Guarded {
  readonly type: 'release';
  readonly effect: 'release';
  readonly risk: 'free';
  readonly patch: JsonObject;
}
