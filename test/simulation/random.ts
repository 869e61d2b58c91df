import type { Rng } from '#controller/clock.ts';
import { hash32, seededRng } from '#hack/cloud/clock.ts';

/** Randomness of a world: streams that depend on nothing but the seed and their name. */
export interface SeededRng extends Rng {
  /** Uniform whole number in [0, below). */
  int(below: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
}

/** A stream of its own for each name, so that drawing from one does not move another. */
export function seeded(seed: number, name: string): SeededRng {
  const stream = seededRng(hash32(`${String(seed)}/${name}`));
  const int = (below: number): number => Math.floor(stream.next() * below);
  const hex = (length: number): string => Array.from({ length }, () => int(16).toString(16)).join('');
  return {
    next: () => stream.next(),
    uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`,
    int,
    chance: (probability) => stream.next() < probability,
    pick(items) {
      const item = items[int(items.length)];
      if (item === undefined) throw new RangeError('nothing to pick from');
      return item;
    },
  };
}
