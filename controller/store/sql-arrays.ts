/**
 * One-dimensional arrays in Postgres's text form. The driver's own codec needs `fetch_types`, a query at each connect whose failure
 * nobody can catch: it would end the process when a connection breaks just then.
 */

/** `{"a","b",NULL}`. */
export function arrayText(values: readonly (string | number | null)[]): string {
  return `{${values.map(itemText).join(',')}}`;
}

function itemText(value: string | number | null): string {
  if (value === null) return 'NULL';
  const text = String(value);
  // Nearly all are keys, with nothing to escape.
  return text.includes('"') || text.includes('\\') ? `"${text.replaceAll(/[\\"]/g, String.raw`\$&`)}"` : `"${text}"`;
}

/** The elements of an array's text, NULL as null. */
export function parseArray<T>(text: string, parse: (element: string) => T): (T | null)[] {
  if (text === '{}') return [];
  return Array.from(text.slice(1, -1).matchAll(/"((?:[^"\\]|\\.)*)"|([^,]+)/gs), ([, quoted, plain]) => {
    if (quoted !== undefined) return parse(quoted.replaceAll(/\\(.)/gs, '$1'));
    return plain === 'NULL' ? null : parse(plain ?? '');
  });
}
