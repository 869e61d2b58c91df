// if[Meta]Generation[Not]Match, on buckets and objects alike.

import { conditionNotMet, invalid, notModified } from './errors.ts';

/** Query parameters of a call, decoded. */
export type Query = URLSearchParams;

interface Versions {
  readonly generation: string;
  readonly metageneration: number;
}

/**
 * Throws 412 if a Match condition fails, and for reads 304 (writes 412) if a NotMatch condition does.
 * `current` undefined: nothing live is there, which is generation 0. `prefix` is "" or "Source" (copies have both).
 */
export function checkPreconditions(
  query: Query,
  current: Versions | undefined,
  mode: { read: boolean; prefix?: '' | 'Source' } = { read: false },
): void {
  const prefix = mode.prefix ?? '';
  const generation = current?.generation ?? '0';
  const metageneration = String(current?.metageneration ?? 0);
  const param = (name: string): string | undefined => int64(query, `if${prefix}${name}`);
  const mustBe = [
    [param('GenerationMatch'), generation],
    [param('MetagenerationMatch'), metageneration],
  ] as const;
  const mustNotBe = [
    [param('GenerationNotMatch'), generation],
    [param('MetagenerationNotMatch'), metageneration],
  ] as const;
  if (mustBe.some(([wanted, actual]) => wanted !== undefined && wanted !== actual)) throw conditionNotMet();
  if (mustNotBe.some(([unwanted, actual]) => unwanted === actual)) throw mode.read ? notModified() : conditionNotMet();
}

/** An int64 parameter in its shortest form; undefined when absent. Throws 400 on anything else. */
export function int64(query: Query, name: string): string | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^-?\d{1,19}$/.test(text))
    throw invalid(
      `Invalid value '${text}'. Values must be within the range: [-9223372036854775808, 9223372036854775807]`,
    );
  return String(BigInt(text));
}

/** maxResults, at least 1 and at most the page limit of 1,000. */
export function pageSize(query: Query): number {
  const wanted = int64(query, 'maxResults');
  if (wanted === undefined) return 1_000;
  const size = Number(wanted);
  if (size < 1) throw invalid(`Invalid value '${wanted}'. Values must be within the range: [1, 2147483647]`);
  return Math.min(size, 1_000);
}

/** A page token holds where the last page ended; its form is nobody's business. */
export function encodePageToken(after: string): string {
  return Buffer.from(after).toString('base64url');
}

export function decodePageToken(query: Query): string | undefined {
  const token = query.get('pageToken');
  if (token === null || token === '') return undefined;
  const after = Buffer.from(token, 'base64url').toString();
  if (encodePageToken(after) !== token) throw invalid(`Invalid argument: pageToken '${token}'`);
  return after;
}
