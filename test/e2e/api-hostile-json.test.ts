import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { WireError } from '#api/errors.ts';
import { bucketManifest, startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';
import { expectShape } from './api-shape.ts';

/**
 * Bodies that are meant to hurt, over a socket: each is answered 4xx in the one shape, and is stopped by a limit before it costs anything.
 * Here that is held by structure; `VIBN_STALL=1` also measures how long the event loop of server and client stood still, at most 50 ms:
 *
 *   VIBN_STALL=1 vitest run --project database test/e2e/api-hostile-json.test.ts
 */
const measures = process.env['VIBN_STALL'] === '1';
const stallMsMax = 50;

let api: TestApi;
let port: number;
beforeAll(async () => {
  api = await startApi({ options: { requestReadMs: 200 } });
  await api.server.listen({ host: '127.0.0.1', port: 0 });
  port = (api.server.server.address() as AddressInfo).port;
});
afterAll(() => api.close());

interface Heard {
  readonly status: number;
  readonly error: WireError;
}

/** One POST of these bytes, on a connection of its own; an answer before the end of the bytes is heard too. */
function post(
  body: Buffer,
  headers: Readonly<Record<string, string>> = {},
  path = '/trpc/resources.apply',
): Promise<Heard> {
  const sent = {
    host: 'x',
    connection: 'close',
    authorization: `Bearer ${api.root}`,
    'content-type': 'application/json',
    'content-length': String(body.length),
    ...headers,
  };
  const head = Object.entries(sent)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(`POST ${path} HTTP/1.1\r\n${head.join('')}\r\n`);
      socket.write(body);
    });
    socket.on('data', (chunk) => (text += String(chunk)));
    // A server that refuses early may close while we still send.
    socket.on('error', (error) => (text === '' ? reject(error) : undefined));
    socket.on('close', () => {
      const [top = '', answer = ''] = text.split('\r\n\r\n');
      const json = answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1);
      const status = Number(top.split(' ')[1]);
      resolve({ status, error: (JSON.parse(json) as { error: WireError }).error });
    });
  });
}

const deep = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
const many = (count: number): string => `{${Array.from({ length: count }, (_, index) => `"k${index}":1`).join(',')}}`;
const inSpec = (spec: string): string =>
  `{"manifest":{"apiVersion":"vibn.dev/v1","kind":"Bucket","metadata":{"workspace":"acme","name":"x"},"spec":${spec}}}`;
const inAnnotation = (text: string): string =>
  `{"manifest":{"apiVersion":"vibn.dev/v1","kind":"Bucket","metadata":{"workspace":"acme","name":"x","annotations":{"a":${text}}},"spec":{}}}`;
const annotated = (bytes: readonly number[]): Buffer => {
  const [before = '', after = ''] = inAnnotation('"@"').split('@');
  return Buffer.concat([Buffer.from(before), Buffer.from(bytes), Buffer.from(after)]);
};

/** What is sent, and what the refusal says of it. */
const hostile: readonly (readonly [what: string, body: Buffer | string, words: RegExp])[] = [
  ['not JSON', '{', /not valid JSON/],
  ['an unquoted word', 'hello', /not valid JSON/],
  ['two documents', '{}{}', /not valid JSON/],
  ['33 levels', deep(33), /more than 32 levels/],
  ['20,000 levels', '['.repeat(20_000), /more than 32 levels/],
  ['20,000 levels of a spec', inSpec(deep(20_000)), /more than 32 levels/],
  ['500,000 levels that never close', '['.repeat(500_000), /more than 32 levels/],
  ['2,001 keys', many(2_001), /more than 2000 keys/],
  ['80,000 keys', many(80_000), /more than 2000 keys/],
  [
    '300,000 keys spread over the items of a list',
    `{"manifests":[${Array.from({ length: 60_000 }, () => '{"a":1}').join(',')}]}`,
    /more than 20000 values/,
  ],
  ['300,000 numbers', `{"manifests":[${'1,'.repeat(300_000)}1]}`, /more than 20000 values/],
  ['__proto__', '{"__proto__":{"admin":true}}', /"__proto__" is not allowed/],
  ['an escaped __proto__', '{"\\u005f_proto__":{"admin":true}}', /"__proto__" is not allowed/],
  ['constructor in a spec', inSpec('{"constructor":{"prototype":{}}}'), /"constructor" is not allowed/],
  ['a key twice', '{"manifest":{},"manifest":{}}', /stands twice/],
  ['a key twice, once escaped', inSpec('{"versioning":true,"\\u0076ersioning":false}'), /stands twice/],
  ['a lone surrogate', inAnnotation('"\\ud800"'), /well-formed Unicode/],
  ['a lone surrogate as a key', inSpec('{"\\udc00":1}'), /well-formed Unicode/],
  ['U+0000', inAnnotation('"a\\u0000b"'), /without U\+0000/],
  ['a raw U+0000', annotated([0]), /not valid JSON/],
  ['a number beyond all numbers', inSpec('{"lifecycle":[{"deleteAfterDays":1e999}]}'), /larger than a number/],
  ['a number of 100,000 digits', inSpec(`{"lifecycle":[{"deleteAfterDays":${'9'.repeat(100_000)}}]}`), /larger than/],
  ['an integer that no double holds', inSpec('{"lifecycle":[{"deleteAfterDays":9007199254740993}]}'), /./],
  ['NaN', inSpec('{"lifecycle":[{"deleteAfterDays":NaN}]}'), /not valid JSON/],
  ['a byte order mark', Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from('{}')]), /not valid JSON/],
  ['UTF-16', Buffer.from('{"manifest":{}}', 'utf16le'), /not valid JSON|UTF-8/],
  ['a stray byte', annotated([0xff]), /UTF-8/],
  ['an overlong slash', annotated([0xc0, 0xaf]), /UTF-8/],
  ['a surrogate in UTF-8', annotated([0xed, 0xa0, 0x80]), /UTF-8/],
];

describe('hostile JSON', () => {
  it.each(hostile)('%s is refused as VALIDATION', async (_what, body, words) => {
    const { status, error } = await post(Buffer.from(body));
    expect(status).toBe(400);
    expectShape(error);
    expect(error.data).toMatchObject({ code: 'VALIDATION', message: expect.stringMatching(words) });
  });

  it.each([
    ['just over 1 MB', 1_048_577],
    ['10 MB', 10_485_760],
  ])('a body of %s is refused by its length', async (_what, size) => {
    const { status, error } = await post(Buffer.alloc(size, 0x20));
    expect(status).toBe(413);
    expectShape(error);
    expect(error.data.code).toBe('PAYLOAD_TOO_LARGE');
  });

  it('a body of 10 MB without a length is refused once a megabyte has come', async () => {
    const chunk = Buffer.alloc(65_536, 0x20);
    const framed = Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]);
    const body = Buffer.concat(Array.from({ length: 160 }, () => framed));
    const { status, error } = await post(body, { 'content-length': '', 'transfer-encoding': 'chunked' });
    expect(status).toBe(413);
    expectShape(error);
  });

  it.each([
    ['text/plain'],
    ['application/x-www-form-urlencoded'],
    ['multipart/form-data; boundary=x'],
    ['application/json; charset=utf-16'],
    ['application/xml'],
    ['nonsense'],
  ])('%s is refused with the type that is wanted', async (type) => {
    const { status, error } = await post(Buffer.from('{}'), { 'content-type': type });
    expect(status).toBe(400);
    expectShape(error);
  });

  it('a body that comes too slowly is cut off, in the one shape', async () => {
    const { status, error } = await post(Buffer.from('{"manifest":'), { 'content-length': '100' });
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    expectShape(error);
  });

  it('checks the input of a query by GET just so', async () => {
    const { body } = await api.server.inject({
      url: `/trpc/resources.get?input=${encodeURIComponent('{"__proto__":1}')}`,
      headers: { authorization: `Bearer ${api.root}` },
    });
    const { error } = JSON.parse(body) as { error: WireError };
    expect(error.data).toMatchObject({ code: 'VALIDATION', path: '__proto__' });
  });

  it.each(['%ff', '%c0%af', '%ed%a0%80', '%zz'])('refuses %s in the input of a query by GET', async (bytes) => {
    const name = encodeURIComponent('{"workspace":"acme","kind":"Bucket","name":"@"}').replace('%40', bytes);
    const { body } = await api.server.inject({
      url: `/trpc/resources.get?input=${name}`,
      headers: { authorization: `Bearer ${api.root}` },
    });
    const { error } = JSON.parse(body) as { error: WireError };
    expectShape(error);
    expect(error.data).toMatchObject({ code: 'VALIDATION', path: 'input', message: expect.stringMatching(/UTF-8/) });
  });

  it('accepts 200 manifests of ordinary size', async () => {
    const metadata = { labels: { a: 'b', c: 'd' } };
    const spec = { versioning: true, publicRead: false };
    const manifests = Array.from({ length: 200 }, (_, index) => bucketManifest(`many-${index}`, { metadata, spec }));
    expect((await api.call('resources.apply_all', { manifests })).status).toBe(200);
  });
});

/** The histogram samples once a millisecond: what stands still is noticed when it goes on. */
const sampled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 4));

it.runIf(measures)(`no hostile body stops the event loop for more than ${stallMsMax} ms`, async () => {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const worst: [string, number][] = [];
  for (const [what, body] of [...hostile, ['10 MB', Buffer.alloc(10_485_760, 0x20), /./] as const]) {
    const bytes = Buffer.from(body);
    // The least of ten: the machine has other things to do, the body does not become cheaper.
    let least = Infinity;
    for (let times = 0; times < 10; times += 1) {
      delay.reset();
      delay.enable();
      await sampled();
      await post(bytes);
      await sampled();
      delay.disable();
      least = Math.min(least, delay.max / 1e6);
    }
    worst.push([what, least]);
  }
  worst.sort(([, a], [, b]) => b - a);
  process.stdout.write(`${worst.map(([what, ms]) => `${ms.toFixed(1)} ms  ${what}`).join('\n')}\n`);
  expect(worst[0]?.[1]).toBeLessThanOrEqual(stallMsMax);
});
