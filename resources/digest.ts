import { hash } from 'node:crypto';
import { canonicalJson } from './json.ts';

/** SHA-256 of the canonical JSON of a value, as 32 hexadecimal characters (128 bits: enough to name, short enough to read). */
export function digest(value: unknown): string {
  return hash('sha256', canonicalJson(value)).slice(0, 32);
}
