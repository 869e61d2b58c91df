import type { JsonObject } from '#resources/json.ts';
import type { ResourceKey, ResourceRow } from '#resources/resource.ts';
import type { Clouds } from '#test/simulation/clouds.ts';

/**
 * What the suites need to know of a kind beyond its registry line: specs to declare, how to see its objects at the provider, how to
 * meddle with them. A kind without a scenario fails the suites.
 */
export interface Scenario {
  readonly kind: string;
  /** Tells variants of one kind apart: "Letter, untraceable". */
  readonly title: string;
  /** Declared and converged first. */
  readonly needs: readonly { readonly key: ResourceKey; readonly spec: JsonObject }[];
  /** Puts things at the providers once the needs are ready. */
  readonly plant?: (clouds: Clouds) => void;
  readonly sample: JsonObject;
  /** The whole spec after an edit; null: the kind takes none. */
  readonly update: JsonObject | null;
  /** Puts data into the row's object, and counts what is there of it. */
  readonly data?: { fill(clouds: Clouds, row: Named): void; count(clouds: Clouds, row: Named): number };
  /** Members of the spec that name the row itself. */
  readonly own?: (name: string) => JsonObject;
  /** Whether what a deletion leaves behind is there, whole. */
  readonly kept?: (clouds: Clouds, row: Named) => boolean;
  /** Objects at the provider that bear the row's mark. */
  objects(clouds: Clouds, row: Named): number;
  /** Whether the world is as the spec says. */
  matches(clouds: Clouds, row: Named, spec: JsonObject): boolean;
  /** Changes of managed fields from outside; each is repaired. */
  readonly drifts: readonly Drift[];
  /** Changes of unmanaged fields from outside; each is left alone. */
  readonly unmanaged: readonly (Drift & { readonly kept: (clouds: Clouds, row: Named) => boolean })[];
  /** Ways to put a thing of somebody else under the row's name; each answers what tells that it was not touched. Null: names are not shared. */
  readonly foreign: Readonly<Record<string, (clouds: Clouds, key: ResourceKey) => () => boolean>> | null;
  /** What becomes of an object that is deleted outside. */
  readonly whenGone: 'recreated' | 'stalled' | 'nothing';
  /** Deletes the row's objects from outside. */
  readonly destroy: ((clouds: Clouds, row: Named) => void) | null;
  /** The outcome of a lost send can never be found out: the row parks. */
  readonly untraceable: boolean;
  /** It is read in parts, and each may lag by itself: a change of one may not be needed any more by the time it is seen. */
  readonly readInParts?: true;
  /** How long a change may stay unseen by the provider's reads: within the kind's visibility. */
  readonly lagMs: number;
  /** Whether creates and deletes are the same in number whatever is lost; not where a lost reply means finding and discarding. */
  readonly sameCounts: boolean;
}

export interface Drift {
  readonly name: string;
  readonly mutate: (clouds: Clouds, row: Named) => void;
}

export type Named = Pick<ResourceRow, 'uid' | 'workspace' | 'name' | 'status'>;

export const workspaceName = 'acme';

export function keyOf(kind: string, name: string): ResourceKey {
  return { workspace: workspaceName, kind, name };
}
