/**
 * Makes a string safe for Postgres and for a person's screen: well-formed UTF-16, no U+0000, cut on a code point.
 * A lone surrogate or a NUL breaks the whole batch it is written in (architecture §4, Batches).
 * `max` counts code points.
 */
export function safeText(text: string, max: number): string {
  if (isSafeText(text, max)) return text;
  const clean = text.toWellFormed().replaceAll('\u0000', '\uFFFD');
  if (clean.length <= max) return clean;
  return Array.from(clean).slice(0, max).join('');
}

/** Whether nothing has to be done; a text of many surrogate pairs may be within its limit all the same. */
function isSafeText(text: string, max: number): boolean {
  return text.length <= max && text.isWellFormed() && !text.includes('\u0000');
}

/** Provider or tenant text inside a message: quoted, at most 256 code points, one line. */
export function quoted(text: string): string {
  return `"${safeText(text.replaceAll(/\s+/g, ' '), 256)}"`;
}

/** Makes every string inside a JSON value safe; keys too. Shape is kept; answers the SAME value if there was nothing to do. */
export function safeJson<T>(value: T, max = 65_536): T {
  return isSafe(value, max) ? value : (walk(value, max) as T);
}

function isSafe(value: unknown, max: number): boolean {
  if (typeof value === 'string') return isSafeText(value, max);
  if (Array.isArray(value)) return value.every((item) => isSafe(item, max));
  if (value === null || typeof value !== 'object') return true;
  const members = value as Readonly<Record<string, unknown>>;
  return Object.keys(members).every((key) => isSafeText(key, max) && isSafe(members[key], max));
}

function walk(value: unknown, max: number): unknown {
  if (typeof value === 'string') return safeText(value, max);
  if (Array.isArray(value)) return value.map((item) => walk(item, max));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [safeText(key, max), walk(member, max)]));
}
