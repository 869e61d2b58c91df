// Flow step 1 of 10: request. Before: the caller. After: api/admission/chain.ts.
import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { resolveResponse } from '@trpc/server/http';
import { fastify } from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Metrics } from '#controller/metrics.ts';
import type { ResourceStore, Signals } from '#controller/store/resource-store.ts';
import { createFeed } from '#controller/watch/feed.ts';
import { notFound, validationError } from '#resources/errors.ts';
import { createAuthenticator } from './auth.ts';
import type { Caller } from './auth.ts';
import { traceOfRequest } from './context.ts';
import type { ApiDeps, Context } from './context.ts';
import { asApiError, toWireError, unavailable } from './errors.ts';
import { createHeldPages } from './held-pages.ts';
import { callOf, checkInput, checkUrl, pathCharsMax } from './http-call.ts';
import type { HttpCall } from './http-call.ts';
import { createOpenCalls } from './open-calls.ts';
import type { OpenCalls } from './open-calls.ts';
import { createRateLimiter } from './rate-limit.ts';
import { createReadLane, openReads } from './read-lane.ts';
import { createRowCounts } from './row-counts.ts';
import { createRouter, inputFields, typesOf } from './router.ts';
import type { AppRouter } from './router.ts';
import { requirePlatform } from './scopes.ts';
import { createRowLooks } from './shared-looks.ts';
import { createUnreadAnswers } from './unread-answers.ts';
import { createParkedWaits } from './waits/parked-waits.ts';
import { createWaitDoor } from './waits/wait-door.ts';
import type { WaitDoorDeps } from './waits/wait-door.ts';

/**
 * Bytes to a call with a principal, within limits.
 *
 * Invariants
 * S1  Size, shape and number of calls are refused before a context is built; a batch of n counts as n.
 * S2  Every error has one shape, whatever found it: parser, limit, key, procedure, or no route at all.
 * S3  Every answer carries `x-request-id`; the same id is in its error, log lines, audit entries and revisions.
 */
export interface ApiServerInput extends Omit<
  ApiDeps,
  'feed' | 'auth' | 'rowCounts' | 'lane' | 'reads' | 'held' | 'records' | 'rows' | 'waits'
> {
  readonly signals: Signals;
  readonly metrics: Metrics;
  /** Resolves if the database answers and is migrated; rejects otherwise. */
  readonly ready: () => Promise<void>;
}

/** How often requests are looked for that have not arrived completely in time. */
const lateLookMs = 1_000;

/** Makes the server; it does not listen yet. Closing it ends open watches and waits. */
export function createApiServer(input: ApiServerInput): FastifyInstance {
  const { options, clock, log } = input;
  const lane = createReadLane(options.laneReadsMax);
  const reads = openReads(input.stores.resources);
  const changes: ResourceStore['changes'] = (scope, query) =>
    lane.run(query.workspace, () => reads.changes(scope, query));
  const feed = createFeed({ store: { changes }, signals: input.signals, clock, options });
  const auth = createAuthenticator({
    admin: input.stores.admin,
    clock,
    options,
    keyHmacSecret: input.keyHmacSecret,
    onTouchFailed: (error) => log.warn({ error }, 'The last use of a key was not written'),
  });
  const rows = createRowLooks(reads, lane);
  const waits = createParkedWaits({ feed, resources: reads, auth, lane, clock, options });
  const [rowCounts, records] = [
    createRowCounts(input.stores.resources, clock),
    createReadLane(options.recordsAtOnceMax),
  ];
  const deps: ApiDeps = {
    ...input,
    feed,
    auth,
    lane,
    reads,
    held: createHeldPages(options),
    records,
    rows,
    waits,
    rowCounts,
  };
  const router = createRouter(deps);
  const calls = createOpenCalls();
  const server = fastify({
    logger: false,
    bodyLimit: options.bodyBytesMax,
    requestTimeout: options.requestReadMs,
    connectionTimeout: options.silentMs,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    genReqId: () => randomBytes(16).toString('hex'),
    routerOptions: { maxParamLength: pathCharsMax },
    http: {
      maxHeaderSize: options.headerBytesMax,
      // Node takes the smaller of the two limits for the headers alone, and looks for late ones every half minute unless told.
      headersTimeout: options.requestReadMs,
      connectionsCheckingInterval: Math.min(options.requestReadMs, lateLookMs),
    },
    clientErrorHandler: (error, socket) => refuseBytes(error, socket),
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply),
  });
  server.addHook('onClose', () => feed.stop());
  server.addHook('preClose', () => {
    waits.stop();
    calls.stop();
  });
  answerInOneShape(server, deps);
  addProbes(server, input, auth);
  addTrpc(server, { deps, router, calls });
  observe(server, input, new Set(Object.keys(router._def.procedures)));
  return server;
}

function answerInOneShape(server: FastifyInstance, deps: ApiDeps): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    // Decoded as it is, a broken byte would become U+FFFD: what is stored would not be what was sent.
    if (Buffer.isBuffer(body) && isUtf8(body)) return done(null, body.toString('utf8'));
    done(validationError([{ path: '', message: 'The body is not valid UTF-8.', allowed: null }]));
  });
  server.addContentTypeParser('*', (_request, _payload, done) => {
    const message = 'Send the body as JSON, with the header "content-type: application/json".';
    done(validationError([{ path: '', message, allowed: ['application/json'] }]));
  });
  server.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done();
  });
  server.setNotFoundHandler((request, reply) => sendError(notFound(), request, reply));
  server.setErrorHandler((error, request, reply) => {
    logUnexpected(deps, error, { traceId: request.id, procedure: null });
    return sendError(error, request, reply);
  });
}

/** An error outside tRPC, in the same envelope. */
function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const wire = toWireError(error, { procedure: procedureOf(request), traceId: request.id });
  if (wire.data.retryAfterMs !== null) reply.header('retry-after', Math.ceil(wire.data.retryAfterMs / 1_000));
  reply.code(wire.data.httpStatus).header('x-request-id', request.id).type('application/json');
  return reply.send(JSON.stringify({ error: wire }));
}

function procedureOf(request: FastifyRequest): string | null {
  const { params } = request;
  const path = params !== null && typeof params === 'object' && 'path' in params ? params.path : null;
  return typeof path === 'string' && path !== '' && !path.includes(',') ? path : null;
}

function logUnexpected(
  deps: Pick<ApiDeps, 'log'>,
  error: unknown,
  at: { traceId: string; procedure: string | null },
): void {
  const { code } = asApiError(error).data;
  if (code === 'INTERNAL') deps.log.error({ error, ...at }, 'A request failed for a reason of ours');
  else if (code === 'UNAVAILABLE') deps.log.warn({ error, ...at }, 'A request could not be served right now');
}

/** What is not even HTTP, or has too large headers. Written by hand: there is no request yet. */
function refuseBytes(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return;
  const traceId = randomBytes(16).toString('hex');
  const cause = error.code === 'HPE_HEADER_OVERFLOW' ? error : badHttp();
  const wire = toWireError(cause, { procedure: null, traceId });
  const body = JSON.stringify({ error: wire });
  const lines = [
    `HTTP/1.1 ${wire.data.httpStatus} Refused`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${traceId}`,
    'connection: close',
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

function badHttp() {
  return validationError([{ path: '', message: 'This is not a complete HTTP/1.1 request.', allowed: null }]);
}

/** Liveness, readiness, and the figures (for platform keys). */
function addProbes(server: FastifyInstance, input: ApiServerInput, auth: ApiDeps['auth']): void {
  server.get('/healthz', () => ({ status: 'ok' }));
  server.get('/readyz', async (request, reply) => {
    const late = new AbortController();
    const timeout = input.clock.sleep(input.options.readyzMs, late.signal).then(() => 'late' as const);
    const state = await Promise.race([
      input.ready().then(
        () => 'ready' as const,
        () => 'down' as const,
      ),
      timeout,
    ]);
    late.abort();
    if (state === 'ready') return { status: 'ready' };
    return sendError(unavailable('The database does not answer, or is not migrated yet.'), request, reply);
  });
  server.get('/metrics', async (request, reply) => {
    const caller = await auth.authenticate(request.headers.authorization);
    requirePlatform(caller.principal);
    return reply.type(input.metrics.contentType).send(await input.metrics.text());
  });
}

interface TrpcInput {
  readonly deps: ApiDeps;
  readonly router: AppRouter;
  readonly calls: OpenCalls;
}

function addTrpc(server: FastifyInstance, { deps, router, calls }: TrpcInput): void {
  const { auth, options, clock } = deps;
  const fieldsOf = inputFields(router);
  const limiter = createRateLimiter({ clock, options });
  const unread = createUnreadAnswers(options);
  const typeOf = typesOf(router);
  const refuse: WaitDoorDeps['refuse'] = (error, at) => {
    logUnexpected(deps, error, at);
    const wire = toWireError(error, { ...at, ...(at.procedure === null ? {} : { fields: fieldsOf(at.procedure) }) });
    return { status: wire.data.httpStatus, headers: retryAfter(wire.data), body: JSON.stringify({ error: wire }) };
  };
  const door = createWaitDoor({ router, waits: deps.waits, refuse, closed: calls.closed });
  const route = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    checkUrl(request.url);
    const url = new URL(request.url, 'http://api');
    const { path } = request.params as { path: string };
    const call = callOf(path, url.searchParams, options);
    const caller = await auth.authenticate(request.headers.authorization);
    // Its caller left meanwhile: nobody hears the answer, nor would any count of it hear that the call is over.
    if (reply.raw.destroyed) return reply.hijack();
    limiter.take(caller, call.procedures.length);
    const text = request.method === 'GET' ? (url.searchParams.get('input') ?? '') : textOf(request.body);
    checkInput(text, call, options);
    if (door.takes(request, call)) {
      door.enter(request, reply, { caller, call, text });
      return reply;
    }
    unread.admit(caller.principal, reply.raw, text.length);
    const signal = calls.open(request, reply);
    const response = await traceOfRequest.run(request.id, () =>
      answer({ deps, router, fieldsOf, request, caller, call, path, url, text, signal }),
    );
    // Many may have been admitted before the first was answered. What a mutation has done is said in any case.
    if (call.procedures.every((one) => typeOf(one) === 'query')) unread.refuse(caller.principal);
    return reply.send(response);
  };
  server.route({ method: ['GET', 'POST'], url: '/trpc/:path', handler: route });
}

const textOf = (body: unknown): string => (typeof body === 'string' ? body : '');

interface AnswerInput {
  readonly deps: ApiDeps;
  readonly router: AppRouter;
  readonly fieldsOf: NonNullable<Context['fieldsOf']>;
  readonly request: FastifyRequest;
  readonly caller: Caller;
  readonly call: HttpCall;
  readonly path: string;
  readonly url: URL;
  readonly text: string;
  readonly signal: AbortSignal;
}

/** Headers that tRPC reads; nothing else of the request reaches it. */
const passedHeaders = ['accept', 'trpc-accept', 'last-event-id'] as const;

function answer(input: AnswerInput): Promise<Response> {
  const { deps, router, fieldsOf, request, caller, call, path, url, text, signal } = input;
  const headers = new Headers({ 'content-type': 'application/json' });
  for (const name of passedHeaders) {
    const value = request.headers[name];
    if (typeof value === 'string') headers.set(name, value);
  }
  const post = request.method === 'POST';
  const req = new Request(url, { method: request.method, headers, signal, ...(post ? { body: text } : {}) });
  const context: Context = { caller, traceId: request.id, seat: null, fieldsOf };
  return resolveResponse({
    router,
    req,
    path,
    error: null,
    createContext: async () => context,
    allowMethodOverride: true,
    allowBatching: true,
    maxBatchSize: deps.options.batchMax,
    responseMeta: ({ errors }) => ({ headers: retryHeaders(call, errors) }),
    onError: ({ error, path: procedure }) =>
      logUnexpected(deps, error, { traceId: request.id, procedure: procedure ?? null }),
  });
}

function retryHeaders(call: HttpCall, errors: readonly unknown[]): Record<string, string> {
  const [error] = errors;
  return call.batch || error === undefined ? {} : retryAfter(asApiError(error).data);
}

function retryAfter({ retryAfterMs }: { readonly retryAfterMs: number | null }): Record<string, string> {
  return retryAfterMs === null ? {} : { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) };
}

/** One line and one count for each request. What callers make up is never a label. */
function observe(server: FastifyInstance, { log, metrics }: ApiServerInput, known: ReadonlySet<string>): void {
  server.addHook('onResponse', (request, reply, done) => {
    const named = procedureOf(request);
    const procedure = named !== null && known.has(named) ? named : (request.routeOptions.url ?? 'none');
    const { statusCode: httpStatus, elapsedTime } = reply;
    metrics.requests.inc({ procedure, code: String(httpStatus) });
    metrics.requestSeconds.observe({ procedure }, elapsedTime / 1_000);
    log.info({ traceId: request.id, procedure, httpStatus, ms: Math.round(elapsedTime) }, 'Request');
    done();
  });
}
