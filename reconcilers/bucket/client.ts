import type { JsonObject } from '#resources/json.ts';
import type { BucketSight, ObjectName, ObjectsQuery } from '#reconcilers/providers/gcs/client.ts';
import type { BucketView, ObjectPage, PolicyView } from '#reconcilers/providers/gcs/replies.ts';

/**
 * What the Bucket kind needs of a provider, as a contract. Methods that change something send at most once. "Gone" is an answer (absent,
 * null, done), given only when the provider itself said so; everything else that is not a success throws ProviderError. All stop at
 * `signal`; what was sent may then still take effect.
 */
export interface BucketClient {
  /** The provider account whose breaker and budgets govern the calls. */
  readonly project: string;
  /** Looks for a bucket anywhere at the provider. A bucket that is not ours to read is `foreign`. `sure`: absent only by two answers. */
  look(name: string, how: { sure: boolean; signal: AbortSignal }): Promise<BucketSight>;
  /** Guarded: names are unique at the provider. `body` names the location. */
  create(body: JsonObject, options: { objectRetention: boolean }, signal: AbortSignal): Promise<BucketView>;
  /** Guarded by the metageneration. Fields left out stay as they are, null clears. */
  patch(name: string, change: { patch: JsonObject; metageneration: string }, signal: AbortSignal): Promise<BucketView>;
  /** Guarded by the metageneration. Cannot be undone. */
  lockRetention(name: string, metageneration: string, signal: AbortSignal): Promise<BucketView>;
  /** Guarded by the metageneration; a bucket that holds objects is refused by the provider. Safe to repeat: gone is done. */
  delete(name: string, metageneration: string, signal: AbortSignal): Promise<void>;
  policy(name: string, signal: AbortSignal): Promise<PolicyView | null>;
  /** Guarded by the policy's etag. Must be given all bindings that shall stay. */
  setPolicy(name: string, policy: PolicyView, signal: AbortSignal): Promise<PolicyView>;
  objects(name: string, page: ObjectsQuery, signal: AbortSignal): Promise<ObjectPage | null>;
  /** Safe to repeat: gone is done. Throws RetentionUntil for an object under a retention or hold. */
  deleteObject(name: string, object: ObjectName, signal: AbortSignal): Promise<void>;
}
