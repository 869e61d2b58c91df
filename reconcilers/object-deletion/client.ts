import type { ObjectName } from '#reconcilers/providers/gcs/client.ts';
import type { ObjectView } from '#reconcilers/providers/gcs/replies.ts';

/** What the ObjectDeletion kind needs of a provider. Same rules as the Bucket's client: "gone" only if the provider itself said so. */
export interface ObjectClient {
  readonly project: string;
  /** The generation named, or the live one; null: no such object. */
  object(
    bucket: string,
    key: string,
    options: { generation?: string; signal: AbortSignal },
  ): Promise<ObjectView | null>;
  /** Safe to repeat: gone is done. Throws RetentionUntil for an object under a retention or hold. */
  deleteObject(bucket: string, object: ObjectName, signal: AbortSignal): Promise<void>;
}
