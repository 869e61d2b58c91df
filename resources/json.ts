/** Plain JSON, as it crosses every door of the system. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/**
 * JSON text with object keys sorted at every depth, so that equal values have equal text.
 * `undefined` members are left out, as JSON.stringify does.
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(sorted(value));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, member]) => [key, sorted(member)]));
}

/**
 * Whether two JSON values are the same, whatever the order of their keys. Compared in place: as two canonical texts this was a sixth of
 * what a pass costs.
 */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (!Array.isArray(a) || !Array.isArray(b)) {
    return !Array.isArray(a) && !Array.isArray(b) && sameMembers(a as Members, b as Members);
  }
  return a.length === b.length && a.every((item, index) => sameJson(item, b[index]));
}

type Members = Readonly<Record<string, unknown>>;

function sameMembers(a: Members, b: Members): boolean {
  let unmatched = 0;
  for (const name of Object.keys(b)) if (b[name] !== undefined) unmatched += 1;
  for (const name of Object.keys(a)) {
    if (a[name] === undefined) continue;
    unmatched -= 1;
    if (!Object.hasOwn(b, name) || !sameJson(a[name], b[name])) return false;
  }
  return unmatched === 0;
}
