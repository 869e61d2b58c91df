// multipart/related bodies of `uploadType=multipart`: metadata as JSON, then the bytes.

import type { JsonObject } from '#hack/cloud/json.ts';
import { jsonBody } from './call.ts';
import { invalid } from './errors.ts';

export interface RelatedParts {
  readonly fields: JsonObject;
  readonly contentType: string | undefined;
  readonly bytes: Buffer;
}

/** Splits the body at its boundary. Throws 400 unless there are exactly two parts. */
export function parseRelated(contentType: string | undefined, body: Buffer): RelatedParts {
  const boundary = boundaryOf(contentType, 'related');
  const parts = splitParts(body, Buffer.from(`--${boundary}`));
  const [metadata, media] = parts;
  if (metadata === undefined || media === undefined || parts.length !== 2) {
    throw invalid(`Multipart must have exactly two parts, this one has ${parts.length}.`);
  }
  return { fields: jsonBody(metadata.content), contentType: media.headers.get('content-type'), bytes: media.content };
}

/** The boundary that a multipart content type names. Throws 400 for another type, or without one. */
export function boundaryOf(contentType: string | undefined, subtype: 'related' | 'mixed'): string {
  const match = /^multipart\/(\w+);.*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType ?? '');
  const boundary = match?.[2] ?? match?.[3];
  if (boundary === undefined || match?.[1]?.toLowerCase() !== subtype)
    throw invalid(`Bad content type. Please use multipart/${subtype} with a boundary.`);
  return boundary;
}

interface Part {
  readonly headers: ReadonlyMap<string, string>;
  readonly content: Buffer;
}

function splitParts(body: Buffer, delimiter: Buffer): Part[] {
  const parts: Part[] = [];
  let at = body.indexOf(delimiter);
  while (at !== -1) {
    const start = at + delimiter.length;
    const next = body.indexOf(delimiter, start);
    if (next === -1) break;
    parts.push(parsePart(body.subarray(start, next)));
    at = next;
  }
  return parts;
}

/** From after one delimiter to before the next: CRLF, headers, empty line, content, CRLF. */
function parsePart(raw: Buffer): Part {
  const blank = raw.indexOf('\r\n\r\n');
  if (blank === -1) throw invalid('Malformed multipart body.');
  const headers = new Map<string, string>();
  for (const line of raw.toString('latin1', 0, blank).split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  const end = raw.subarray(-2).equals(Buffer.from('\r\n')) ? raw.length - 2 : raw.length;
  return { headers, content: raw.subarray(blank + 4, end) };
}
