// if[Meta]Generation[Not]Match, on buckets and objects alike.

import type { CloudRequest, CloudResponse } from '#hack/cloud/door.ts';
import { isObject } from '#hack/cloud/json.ts';
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

/** If-Match and If-None-Match of a read: throws 412 or 304 by the etag of what was found, which is in the header or in the resource. */
export function unlessUnchanged(request: CloudRequest, response: CloudResponse): CloudResponse {
  const etag = response.headers['etag'] ?? etagIn(response.body);
  if (etag === undefined) return response;
  const names = (header: string | undefined): boolean | undefined =>
    header?.split(',').some((one) => one.trim() === '*' || unquoted(one) === unquoted(etag));
  if (names(request.headers['if-match']) === false) throw conditionNotMet();
  if (names(request.headers['if-none-match']) === true) throw notModified();
  return response;
}

function etagIn(body: CloudResponse['body']): string | undefined {
  const etag = isObject(body) ? body['etag'] : undefined;
  return typeof etag === 'string' ? etag : undefined;
}

function unquoted(etag: string): string {
  return etag.trim().replaceAll(/^(?:W\/)?"|"$/g, '');
}

/** A boolean parameter, absent is false. Clients write true, True and TRUE. Throws 400 on anything else. */
export function boolean(query: Query, name: string): boolean {
  const text = query.get(name);
  if (text === null || /^false$/i.test(text)) return false;
  if (/^true$/i.test(text)) return true;
  throw invalid(`Invalid value for ${name}: '${text}'. Use true or false.`);
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
