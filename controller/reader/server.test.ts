import Fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import { ApiError, notFound } from '#resources/errors.ts';
import { makeRow } from '#resources/testing.ts';
import { ProviderError } from '#controller/contract.ts';
import type { ReaderOp } from '#controller/contract.ts';
import { BreakerOpen, DeadlineExceeded, ResidencyViolation, Throttled } from '#controller/gateway/errors.ts';
import type { GatewayCall } from '#controller/gateway/types.ts';
import { createLogger, silentLogger } from '#controller/log.ts';
import { createMetrics } from '#controller/metrics.ts';
import { createOptions } from '#controller/options.ts';
import { createVirtualClock } from '#controller/testing.ts';
import { toApiError } from './errors.ts';
import { readOp } from './read.ts';
import { addReaderRoutes } from './server.ts';

const token = 't'.repeat(40);
const authorization = `Bearer ${token}`;

/** The reader's routes without a socket; `answer` serves `/plan`. */
function serve(answer: (body: unknown) => Promise<unknown>) {
  const lines: string[] = [];
  const log = createLogger({ level: 'info', role: 'test', destination: { write: (line) => void lines.push(line) } });
  const metrics = createMetrics();
  const app = Fastify({ bodyLimit: 1_000 });
  addReaderRoutes(app, {
    internalToken: token,
    clock: createVirtualClock(),
    log,
    metrics,
    answers: { '/plan': answer },
  });
  const post = (payload: string | object, headers: Record<string, string> = { authorization }) =>
    app.inject({ method: 'POST', url: '/plan', payload, headers: { 'content-type': 'application/json', ...headers } });
  return { post, app, metrics, log: () => lines.join('') };
}

describe('the reader’s routes', () => {
  it('answer data to whoever has the internal token', async () => {
    const { post, metrics } = serve(async (body) => [body]);
    const answer = await post({ a: 1 });
    expect([answer.statusCode, answer.json()]).toEqual([200, { data: [{ a: 1 }] }]);
    expect(await metrics.text()).toContain('vibn_requests_total{procedure="/plan",code="ok"} 1');
  });

  it.each([{}, { authorization: 'Bearer ' }, { authorization: token }, { authorization: `${authorization}x` }])(
    'refuse %j before the body is read',
    async (headers: Record<string, string>) => {
      let asked = 0;
      const { post } = serve(async () => (asked += 1));
      const answer = await post('{ no json', headers);
      expect([answer.statusCode, answer.json().error.code, asked]).toEqual([401, 'UNAUTHENTICATED', 0]);
    },
  );

  it('hand on what a caller can mend, in the API’s shape', async () => {
    const { post } = serve(() => Promise.reject(notFound()));
    const answer = await post({});
    expect(answer.statusCode).toBe(404);
    expect(Object.keys(answer.json().error).toSorted()).toEqual(
      Object.keys(new ApiError('NOT_FOUND', '').data).toSorted(),
    );
  });

  it.each([
    ['{ no json', 400, 'VALIDATION'],
    ['{"__proto__":{}}', 400, 'VALIDATION'],
    [JSON.stringify({ long: 'x'.repeat(2_000) }), 413, 'PAYLOAD_TOO_LARGE'],
  ])('refuse the body %s', async (body, status, code) => {
    const answer = await serve(async () => null).post(body);
    expect([answer.statusCode, answer.json().error.code]).toEqual([status, code]);
  });

  it('tell nothing of a bug but that there is one; the log tells the rest', async () => {
    const { post, log } = serve(() => Promise.reject(new Error('cannot read hunter2')));
    const answer = await post({}, { authorization, 'x-request-id': 'trace-1' });
    expect([answer.statusCode, answer.json().error.code]).toEqual([500, 'INTERNAL']);
    expect(answer.body).not.toContain('hunter2');
    expect(log()).toContain('trace-1');
    expect(log()).not.toContain(token);
  });
});

describe('what a provider refused, as callers see it', () => {
  const refused = (verdict: 'rejected' | 'unavailable') =>
    new ProviderError('<b>secret text</b>', {
      verdict,
      reason: 'PermissionDenied',
      outcome: 'not-done',
      providerCode: '403',
    });

  it.each([
    [new Throttled(1_500), 'RATE_LIMITED', true, 1_500],
    [new BreakerOpen('gcs', 'p', 'credential'), 'UNAVAILABLE', true, null],
    [new DeadlineExceeded(false), 'UNAVAILABLE', true, null],
    [new ResidencyViolation('us'), 'POLICY_DENIED', false, null],
    [refused('unavailable'), 'UNAVAILABLE', true, null],
    [refused('rejected'), 'UNAVAILABLE', false, null],
  ])('%s', (...[error, code, retryable, retryAfterMs]) => {
    expect(toApiError(error)?.data).toMatchObject({ code, retryable, retryAfterMs });
    expect(toApiError(error)?.message).not.toContain('secret text');
  });

  it('is no answer for a bug', () => {
    expect(toApiError(new TypeError('x'))).toBe(null);
  });
});

describe('a read verb', () => {
  const row = makeRow({ kind: 'Bucket', name: 'uploads' });
  const key = { workspace: 'acme', kind: 'Bucket', name: 'uploads' };

  function build(reader: ReaderOp) {
    const calls: GatewayCall<unknown>[] = [];
    const clock = createVirtualClock();
    const deps = {
      engine: { readKey: async (asked: typeof key) => ({ version: 1, row: asked.name === 'uploads' ? row : null }) },
      gateway: {
        call: <R>(request: GatewayCall<R>) => {
          calls.push(request as GatewayCall<unknown>);
          return request.send(new AbortController().signal);
        },
        state: () => ({ breaker: 'closed' as const, cause: null, blockedForMs: 0, frozen: null }),
      },
      readers: { 'storage.list_objects': reader },
      clock,
      options: createOptions().reader,
    };
    return { calls, clock, ask: (body: unknown) => readOp(deps, body), log: silentLogger };
  }

  it('gets the row, the time and the gateway', async () => {
    const world = build(async (input, context) => ({
      input,
      uid: context.row?.uid ?? null,
      now: context.now,
      reply: await context.call(
        { provider: 'gcs', account: 'p', op: 'objects.list', mutating: false },
        async () => 'r',
      ),
    }));
    const body = { op: 'storage.list_objects', key, input: { prefix: 'a/' } };
    expect(await world.ask(body)).toEqual({
      input: { prefix: 'a/' },
      uid: row.uid,
      now: world.clock.now(),
      reply: 'r',
    });
    expect(world.calls[0]).toMatchObject({
      workspace: 'acme',
      kind: 'Bucket',
      uid: row.uid,
      maxCallMs: 20_000,
      probe: false,
    });
  });

  it('may change nothing', async () => {
    const world = build((_input, context) =>
      context.call({ provider: 'gcs', account: 'p', op: 'objects.delete', mutating: true }, async () => null),
    );
    await expect(world.ask({ op: 'storage.list_objects', key })).rejects.toThrow('objects.delete');
    expect(world.calls).toEqual([]);
  });

  it.each([
    ['an unknown op', { op: 'storage.nothing', key }, 'NOT_FOUND'],
    ['a name of every object', { op: 'constructor', key }, 'NOT_FOUND'],
    ['a missing row', { op: 'storage.list_objects', key: { ...key, name: 'other' } }, 'NOT_FOUND'],
    ['a malformed request', { op: 'storage.list_objects', key: 'uploads' }, 'VALIDATION'],
    ['no body', null, 'VALIDATION'],
  ])('with %s is refused', async (_name, body, code) => {
    await expect(build(async () => null).ask(body)).rejects.toMatchObject({ data: { code } });
  });
});
