import { validationError } from './errors.ts';
import type { JsonObject } from './json.ts';
import type { Manifest } from './manifest.ts';

/**
 * Bytes of JSON that spec, labels and annotations of one row have at most, all in all. Lists, watches and histories answer up to 500
 * rows at once: at the limits of the single fields that was 300 MB, which one tenant could ask for again and again.
 */
export const rowBytesMax = 65_536;

/** Throws VALIDATION for a row that is too large; `spec` is the defaulted one. */
export function refuseLargeRow({ path, labels, annotations }: Manifest, spec: JsonObject): void {
  const bytes = new TextEncoder().encode(JSON.stringify([spec, labels, annotations])).length;
  if (bytes <= rowBytesMax) return;
  const message = `Spec, labels and annotations are ${bytes} bytes of JSON together; at most ${rowBytesMax} are allowed. Keep what is large in a bucket.`;
  throw validationError([{ path, message, allowed: { maxBytes: rowBytesMax } }]);
}
