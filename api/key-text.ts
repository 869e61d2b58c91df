import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { canonicalJson } from '#resources/json.ts';

/**
 * API keys as text: `vibn_<env>_<id>_<secret>_<checksum>` (security.md). The secret has 192 random bits; only its HMAC is stored.
 * The checksum is a CRC-32 of what stands before it: a mistyped key is refused without asking the database.
 */
export interface KeyParts {
  readonly id: string;
  readonly secret: string;
}

const pattern = /^(vibn_[a-z0-9]{1,16}_([a-z0-9]{16})_([a-f0-9]{48}))_([a-f0-9]{8})$/;
const idBytes = 8;
const secretBytes = 24;

/** Makes a key. `text` is shown once; `id` and `hashSecret(secret)` are stored. */
export function mintKey(env: string): KeyParts & { readonly text: string } {
  if (!/^[a-z0-9]{1,16}$/.test(env))
    throw new Error('The environment in a key is 1 to 16 lower-case letters or digits.');
  const id = newKeyId();
  const secret = randomBytes(secretBytes).toString('hex');
  const body = `vibn_${env}_${id}_${secret}`;
  return { id, secret, text: `${body}_${checksum(body)}` };
}

/** A new key id: 64 random bits. */
export function newKeyId(): string {
  return randomBytes(idBytes).toString('hex');
}

/** The parts of a key, or null if its shape or checksum is wrong. */
export function parseKey(text: string): KeyParts | null {
  const [, body, id, secret, sum] = pattern.exec(text) ?? [];
  if (body === undefined || id === undefined || secret === undefined || sum !== checksum(body)) return null;
  return { id, secret };
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

/** HMAC-SHA-256 of a secret under VIBN_KEY_HMAC_SECRET, hex: what is stored. */
export function hashSecret(hmacSecret: string, secret: string): string {
  return createHmac('sha256', hmacSecret).update(secret).digest('hex');
}

/** Compares in constant time. */
export function sameHash(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Digest of a request: procedure and body, without the requestId. Keyed, since a body may hold what can be guessed. */
export function requestDigest(hmacSecret: string, procedure: string, body: unknown): string {
  return createHmac('sha256', hmacSecret)
    .update(canonicalJson([procedure, body]))
    .digest('hex');
}
