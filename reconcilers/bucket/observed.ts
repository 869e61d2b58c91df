import type { BucketSight } from '#reconcilers/providers/gcs/client.ts';
import type { ObjectPage, PolicyView } from '#reconcilers/providers/gcs/replies.ts';

/** All that plan needs to know of the world, as plain JSON. */
export interface BucketObserved {
  readonly uid: string;
  readonly workspace: string;
  /** Name of the row. */
  readonly name: string;
  /** Name at the provider. */
  readonly external: string;
  /** Whether a pass before saw this bucket as ours: decides words, never deeds. */
  readonly seenBefore: boolean;
  readonly sight: BucketSight;
  /** Read where the bucket could be ours and shall stay. Null: not read, or the provider has none for it. */
  readonly policy: PolicyView | null;
  /** Changed so lately that its policy may be read as it was before, or as that of another bucket of the name. */
  readonly policyLags: boolean;
  /** Looked at only where a bucket of ours shall go. */
  readonly contents: Contents | null;
}

/** The first page of what is in a bucket, noncurrent versions too. */
export interface Contents {
  /** "<key>#<generation>" of the first version; null: empty. */
  readonly first: string | null;
  /** ISO-8601: when the last retention seen on the page ends; null: none is in force. */
  readonly retainedUntil: string | null;
  readonly onHold: boolean;
}

/** What a page of objects means for emptying at `now` (ms). Pure. */
export function contentsOf(page: ObjectPage, now: number): Contents {
  const [first] = page.objects;
  const ends = page.objects.flatMap(({ retainedUntil }) =>
    retainedUntil !== null && Date.parse(retainedUntil) > now ? [retainedUntil] : [],
  );
  return {
    first: first === undefined ? null : `${first.key}#${first.generation}`,
    retainedUntil: ends.sort((a, b) => Date.parse(a) - Date.parse(b)).at(-1) ?? null,
    onHold: page.objects.some((object) => object.onHold),
  };
}
