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
  readonly shared: Shared;
  items: readonly unknown[] | null;
}

/** Watches that asked at the same time have the same items: they weigh once. */
interface Shared {
  /** Whose they count for: of the first who had them. */
  readonly tenant: string;
  readonly bytes: number;
  holders: number;
}

/** One of these serves a process. */
export function createHeldPages(options: Pick<ApiOptions, 'watchBytesPerTenant' | 'watchBytesMax'>): HeldPages {
  /** In the order in which something was last taken from them. */
  const pages = new Set<Page>();
  const bytesOf = new Map<string, number>();
  const sharedBy = new WeakMap<readonly unknown[], Shared>();
  let all = 0;

  const count = ({ tenant, bytes }: Shared, sign: 1 | -1): void => {
    const left = (bytesOf.get(tenant) ?? 0) + sign * bytes;
    if (left === 0) bytesOf.delete(tenant);
    else bytesOf.set(tenant, left);
    all += sign * bytes;
  };
  const share = (tenant: string, items: readonly unknown[]): Shared => {
    const known = sharedBy.get(items);
    const shared = known ?? { tenant, bytes: weightOf(items), holders: 0 };
    if (known === undefined) sharedBy.set(items, shared);
    if (shared.holders === 0) count(shared, 1);
    shared.holders += 1;
    return shared;
  };
  const letGo = (page: Page): void => {
    page.items = null;
    if (!pages.delete(page)) return;
    page.shared.holders -= 1;
    if (page.shared.holders === 0) count(page.shared, -1);
  };
  const touch = (page: Page): void => {
    pages.delete(page);
    pages.add(page);
  };
  const makeRoom = (kept: Page): void => {
    const { watchBytesPerTenant, watchBytesMax } = options;
    const { tenant } = kept.shared;
    for (const page of pages) {
      const tooMuch = (bytesOf.get(tenant) ?? 0) > watchBytesPerTenant;
      if (!tooMuch && all <= watchBytesMax) return;
      const others = page.shared !== kept.shared && (page.shared.tenant === tenant || all > watchBytesMax);
      if (others) letGo(page);
    }
  };
  return {
    hold<T>(tenant: string, items: readonly T[]) {
      const page: Page = { shared: share(tenant, items), items };
      const { length } = items;
      let taken = 0;
      pages.add(page);
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
