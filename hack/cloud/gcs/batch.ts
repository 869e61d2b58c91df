// Batches of the JSON API: up to 100 calls in one multipart/mixed request, each answered by itself.

import { STATUS_CODES } from 'node:http';
import type { CloudRequest, CloudResponse, Delivery } from '#hack/cloud/door.ts';
import { GcsError, invalid, jsonError } from './errors.ts';
import { boundaryOf } from './multipart.ts';

const BATCH_PATH = /^\/batch(?:\/storage\/v1)?$/;
const CALLS_MAX = 100;
const BOUNDARY = 'batch_vibn_local_cloud';

interface BatchCall {
  readonly id: string;
  readonly request: CloudRequest;
}

/** Whether the request is a batch. */
export function isBatch(request: CloudRequest): boolean {
  return request.method === 'POST' && BATCH_PATH.test(request.path);
}

/**
 * Carries out the calls of a batch in order, each through `handle`, so that faults and the call log see single calls. A call whose reply is
 * lost takes the whole answer with it; the slowest one decides when the answer comes.
 */
export function performBatch(batch: CloudRequest, handle: (request: CloudRequest) => Delivery): Delivery {
  let calls: BatchCall[];
  try {
    calls = parseBatch(batch);
  } catch (error) {
    if (error instanceof GcsError) return { kind: 'reply', delayMs: 0, response: jsonError(error) };
    throw error;
  }
  const deliveries = calls.map(({ id, request }) => ({ id, delivery: handle(request) }));
  const parts: string[] = [];
  let delayMs = 0;
  for (const { id, delivery } of deliveries) {
    if (delivery.kind === 'lost') return delivery;
    delayMs = Math.max(delayMs, delivery.delayMs);
    parts.push(answerPart(id, delivery.response));
  }
  const body = Buffer.from(`${parts.join('')}--${BOUNDARY}--\r\n`);
  const headers = { 'content-type': `multipart/mixed; boundary=${BOUNDARY}` };
  return { kind: 'reply', delayMs, response: { status: 200, headers, body } };
}

/** Line ends may be CRLF or LF: Python's SDK sends both in one body. */
function parseBatch(batch: CloudRequest): BatchCall[] {
  const boundary = boundaryOf(batch.headers['content-type'], 'mixed');
  const text = (batch.body ?? Buffer.alloc(0)).toString();
  const parts = text.split(`--${boundary}`).slice(1, -1);
  if (parts.length === 0 || parts.length > CALLS_MAX)
    throw invalid(`A batch has 1 to ${CALLS_MAX} calls, this one has ${parts.length}.`);
  return parts.map((part) => parseCall(batch, part));
}

function parseCall(batch: CloudRequest, part: string): BatchCall {
  const [outer, inner] = cut(part.replace(/^\r?\n/, ''));
  const [head, body] = cut(inner);
  const [requestLine = '', ...headerLines] = head.split(/\r?\n/);
  const match = /^(GET|POST|PUT|PATCH|DELETE|HEAD) (\S+)(?: HTTP\/1\.\d)?\s*$/.exec(requestLine);
  if (match === null) throw invalid(`A part of the batch does not begin with a request line: '${requestLine}'`);
  const [, method = '', target = ''] = match;
  const url = new URL(target, 'http://local');
  const { authorization, host } = batch.headers;
  const id = headersOf(outer.split(/\r?\n/))['content-id']?.replace(/^<|>$/g, '') ?? '';
  return {
    id,
    request: {
      method,
      path: url.pathname,
      query: url.search.slice(1),
      headers: { authorization, ...headersOf(headerLines), host },
      body: Buffer.from(body.replace(/\r?\n$/, '')),
    },
  };
}

/** Text before and after the first empty line. */
function cut(text: string): [string, string] {
  const blank = /\r?\n\r?\n/.exec(text);
  return blank === null
    ? [text.trimEnd(), '']
    : [text.slice(0, blank.index), text.slice(blank.index + blank[0].length)];
}

function headersOf(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon > 0) headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
  }
  return headers;
}

function answerPart(id: string, response: CloudResponse): string {
  const { status, body } = response;
  const text = body === undefined ? '' : Buffer.isBuffer(body) ? body.toString() : JSON.stringify(body);
  const type = body === undefined ? {} : { 'content-type': 'application/json; charset=UTF-8' };
  const headers = { ...type, ...response.headers, 'content-length': String(Buffer.byteLength(text)) };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `--${BOUNDARY}\r\nContent-Type: application/http\r\nContent-ID: <response-${id}>\r\n\r\n`;
  return `${head}HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Status'}\r\n${lines.join('')}\r\n${text}\r\n`;
}
