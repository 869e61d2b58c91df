/** A binary heap: what comes first by `comesBefore` is on top. Items must be in a total order for runs to be repeatable. */
export interface Heap<T> {
  push(item: T): void;
  top(): T | undefined;
  pop(): T | undefined;
}

/** An empty heap. */
export function createHeap<T>(comesBefore: (a: T, b: T) => boolean): Heap<T> {
  const items: T[] = [];
  const swap = (a: number, b: number): void => {
    const [one, other] = [items[a], items[b]];
    if (one === undefined || other === undefined) return;
    items[a] = other;
    items[b] = one;
  };
  const isBefore = (a: number, b: number): boolean => {
    const [one, other] = [items[a], items[b]];
    return one !== undefined && other !== undefined && comesBefore(one, other);
  };
  return {
    push(item) {
      items.push(item);
      for (let at = items.length - 1; at > 0;) {
        const parent = (at - 1) >> 1;
        if (!isBefore(at, parent)) return;
        swap(at, parent);
        at = parent;
      }
    },
    top: () => items[0],
    pop() {
      swap(0, items.length - 1);
      const item = items.pop();
      for (let at = 0; ;) {
        const left = 2 * at + 1;
        const least = isBefore(left + 1, left) ? left + 1 : left;
        if (!isBefore(least, at)) return item;
        swap(least, at);
        at = least;
      }
    },
  };
}
