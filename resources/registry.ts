import type { Kind } from './kind.ts';

/** The kinds a process knows, with what follows from their `needs` edges. */
export interface KindRegistry {
  readonly all: readonly Kind[];
  get(name: string): Kind | undefined;
  /** Replay rank by kind: 0 needs nothing; each is higher than all it needs. */
  readonly ranks: Readonly<Record<string, number>>;
  /** Known kinds of which no row `needs` one of this kind. Rows of any other kind may, of those that this process does not know too. */
  unrelatedTo(name: string): readonly string[];
}

/**
 * Builds the registry. Throws if two kinds share a name, or if kinds need each other in a circle (a kind may need itself: rows of it
 * are then checked for cycles at admission).
 */
export function createKindRegistry(kinds: readonly Kind[]): KindRegistry {
  const byName = new Map(kinds.map((kind) => [kind.name, kind]));
  if (byName.size !== kinds.length) throw new Error('Two kinds have the same name.');
  const ranks = new Map<string, number>();
  for (const kind of kinds) rankOf(kind.name, { byName, ranks, path: [] });
  return {
    all: kinds,
    get: (name) => byName.get(name),
    ranks: Object.fromEntries(ranks),
    unrelatedTo: (name) => kinds.filter((kind) => !kind.needsKinds.includes(name)).map((kind) => kind.name),
  };
}

interface Ranking {
  readonly byName: ReadonlyMap<string, Kind>;
  readonly ranks: Map<string, number>;
  readonly path: readonly string[];
}

function rankOf(name: string, ranking: Ranking): number {
  const known = ranking.ranks.get(name);
  if (known !== undefined) return known;
  if (ranking.path.includes(name))
    throw new Error(`Kinds need each other in a circle: ${[...ranking.path, name].join(' → ')}.`);
  const needs = (ranking.byName.get(name)?.needsKinds ?? []).filter((other) => other !== name);
  const below = needs.map((other) => rankOf(other, { ...ranking, path: [...ranking.path, name] }));
  const rank = below.length === 0 ? 0 : Math.max(...below) + 1;
  ranking.ranks.set(name, rank);
  return rank;
}
