import type { ApiOptions } from './options.ts';

/**
 * Pages that watches hold while their readers take them, one event at a time. Who does not read would hold a page for as long as its
 * connection lives, and a tenant may have hundreds of those.
 *
 * H1  The pages of one tenant weigh at most `watchBytesPerTenant` together, those of all at most `watchBytesMax`; a single one may weigh more.
 * H2  What is too much is let go, beginning with what nobody has taken from for longest. Its watch reads it again.
 * H3  The first item of a page is never let go: whoever reads gets on.
 */
export interface HeldPages {
  /** Holds the items of a page for a tenant, until they are taken or let go. They must be taken, at least in part. */
  hold<T>(tenant: string, items: readonly T[]): Held<T>;
}

/** Its items, once; what is left when nobody takes any more is let go. */
export interface Held<T> {
  [Symbol.iterator](): Generator<T, void, undefined>;
  /** Whether some were let go before they were taken. */
  isCut(): boolean;
}

interface Page {
  readonly tenant: string;
  readonly bytes: number;
  items: readonly unknown[] | null;
}

/** One of these serves a process. */
export function createHeldPages(options: Pick<ApiOptions, 'watchBytesPerTenant' | 'watchBytesMax'>): HeldPages {
  /** In the order in which something was last taken from them. */
  const pages = new Set<Page>();
  const bytesOf = new Map<string, number>();
  let all = 0;

  const count = (page: Page, sign: 1 | -1): void => {
    const left = (bytesOf.get(page.tenant) ?? 0) + sign * page.bytes;
    if (left === 0) bytesOf.delete(page.tenant);
    else bytesOf.set(page.tenant, left);
    all += sign * page.bytes;
  };
  const letGo = (page: Page): void => {
    page.items = null;
    if (pages.delete(page)) count(page, -1);
  };
  const touch = (page: Page): void => {
    pages.delete(page);
    pages.add(page);
  };
  const makeRoom = (kept: Page): void => {
    const { watchBytesPerTenant, watchBytesMax } = options;
    for (const page of pages) {
      const tooMuch = (bytesOf.get(kept.tenant) ?? 0) > watchBytesPerTenant;
      if (!tooMuch && all <= watchBytesMax) return;
      if (page !== kept && (page.tenant === kept.tenant || all > watchBytesMax)) letGo(page);
    }
  };
  return {
    hold<T>(tenant: string, items: readonly T[]) {
      const page: Page = { tenant, bytes: weightOf(items), items };
      const { length } = items;
      let taken = 0;
      pages.add(page);
      count(page, 1);
      makeRoom(page);
      const [first] = items;
      return { isCut: () => taken < length, [Symbol.iterator]: () => take(first) };

      function* take(item: T | undefined): Generator<T, void, undefined> {
        try {
          for (let next = item; next !== undefined; next = page.items?.[taken] as T | undefined) {
            taken += 1;
            if (taken === length) letGo(page);
            else if (page.items !== null) touch(page);
            yield next;
          }
        } finally {
          letGo(page);
        }
      }
    },
  };
}

/** Some more than the JSON text of a value has: what an object, a list or a number takes beside its texts. */
const memberBytes = 16;

/** Roughly the bytes that a value keeps. Its depth is bounded where it comes from. */
function weightOf(value: unknown): number {
  if (typeof value === 'string') return value.length + memberBytes;
  if (value === null || typeof value !== 'object') return memberBytes;
  let bytes = memberBytes;
  for (const [key, member] of Object.entries(value)) bytes += key.length + weightOf(member);
  return bytes;
}
