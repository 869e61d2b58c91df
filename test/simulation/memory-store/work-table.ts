import type { WorkRow } from '#controller/store/rows.ts';
import type { Ms } from '#resources/resource.ts';
import { createHeap } from '#test/simulation/heap.ts';

export type MemoryWork = WorkRow & { readonly workspace: string; readonly kind: string };

interface Entry {
  readonly at: Ms;
  readonly uid: string;
}

/** Due, and held by nobody whose lease is still good. */
function isClaimable(work: MemoryWork, now: Ms): boolean {
  return claimableAt(work) <= now;
}

function claimableAt({ dueAt, leaseUntil }: MemoryWork): Ms {
  return Math.max(dueAt, leaseUntil ?? -Infinity);
}

/**
 * The queue of a shard by uid, which knows what may be claimed without looking at every row: of ten thousand a few are due at each of
 * thousands of claims.
 *
 * 1. Each row is in `waiting` under the time from which it may be claimed, or in `due`, or in both.
 * 2. What `due` or `waiting` say is checked against the row itself: an entry that is no longer true is dropped when it is met.
 */
export class WorkTable extends Map<string, MemoryWork> {
  readonly #waiting = createHeap<Entry>((a, b) => a.at < b.at || (a.at === b.at && a.uid < b.uid));
  readonly #due = new Set<string>();

  override set(uid: string, work: MemoryWork): this {
    const before = this.get(uid);
    super.set(uid, work);
    const at = claimableAt(work);
    if (before === undefined || claimableAt(before) !== at) this.#waiting.push({ at, uid });
    return this;
  }

  /** All rows that may be claimed at that time, in no order that means anything. */
  claimable(now: Ms): readonly (readonly [string, MemoryWork])[] {
    for (let top = this.#waiting.top(); top !== undefined && top.at <= now; top = this.#waiting.top()) {
      this.#waiting.pop();
      this.#due.add(top.uid);
    }
    const found: (readonly [string, MemoryWork])[] = [];
    for (const uid of this.#due) {
      const work = this.get(uid);
      if (work !== undefined && isClaimable(work, now)) found.push([uid, work]);
      else this.#drop(uid, work);
    }
    return found;
  }

  #drop(uid: string, work: MemoryWork | undefined): void {
    this.#due.delete(uid);
    if (work !== undefined) this.#waiting.push({ at: claimableAt(work), uid });
  }
}
