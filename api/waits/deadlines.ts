import type { Ms } from '#resources/resource.ts';

/** Things that end at a time, in slots of `slotMs`: adding and removing one costs the same however many there are. */
export interface Deadlines<T> {
  /** The slot of a time: no earlier, and at most `slotMs` later. */
  slotOf(at: Ms): number;
  add(slot: number, one: T): void;
  remove(slot: number, one: T): void;
  /** Takes out all whose slot has passed. */
  take(now: Ms): readonly T[];
}

export function createDeadlines<T>(slotMs: Ms): Deadlines<T> {
  const slots = new Map<number, Set<T>>();
  return {
    slotOf: (at) => Math.ceil(at / slotMs),
    add(slot, one) {
      const some = slots.get(slot);
      if (some === undefined) slots.set(slot, new Set([one]));
      else some.add(one);
    },
    remove(slot, one) {
      const some = slots.get(slot);
      some?.delete(one);
      if (some?.size === 0) slots.delete(slot);
    },
    take(now) {
      const passed = [...slots].filter(([slot]) => slot * slotMs <= now);
      for (const [slot] of passed) slots.delete(slot);
      return passed.flatMap(([, some]) => [...some]);
    },
  };
}
