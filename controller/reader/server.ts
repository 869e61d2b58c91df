import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError, httpStatusOf } from '#resources/errors.ts';
import type { Clock } from '#controller/clock.ts';
import type { Logger } from '#controller/log.ts';
import type { Metrics } from '#controller/metrics.ts';
import { toApiError } from './errors.ts';

export interface ReaderRoutesInput {
  readonly internalToken: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** By path, e.g. "/plan": answers the data of a JSON body, or throws. */
  readonly answers: Readonly<Record<string, (body: unknown) => Promise<unknown>>>;
}

/**
 * The reader's questions over HTTP: `POST <path>` with the internal token as bearer, JSON both ways; `{ data }`, or `{ error }` with the
 * shape of the API's errors (api/reader-client.ts is the other end). Nothing of a bug but its existence crosses.
 */
export function addReaderRoutes(app: FastifyInstance, input: ReaderRoutesInput): void {
  const allowed = createTokenCheck(input.internalToken);
  app.setErrorHandler((error, request, reply) => fail(input, { error, request, reply }));
  for (const [path, answer] of Object.entries(input.answers)) {
    app.post(
      path,
      {
        // Before the body is read: a stranger's is never parsed.
        onRequest: async (request) => {
          if (!allowed(request.headers.authorization)) {
            throw new ApiError(
              'UNAUTHENTICATED',
              'The internal token is missing or wrong: VIBN_INTERNAL_TOKEN differs.',
            );
          }
        },
      },
      async (request) => {
        const startedAt = input.clock.monotonic();
        const data = await answer(request.body);
        measure(input, { path, code: 'ok', startedAt });
        return { data };
      },
    );
  }
}

/** Compares in constant time, whatever the length. */
function createTokenCheck(token: string): (header: string | undefined) => boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  const wanted = hash(`Bearer ${token}`);
  return (header) => timingSafeEqual(hash(header ?? ''), wanted);
}

interface Failure {
  readonly error: unknown;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

function fail(input: ReaderRoutesInput, { error, request, reply }: Failure): FastifyReply {
  const known = toApiError(error) ?? ofRequest(error);
  const path = request.routeOptions.url ?? 'unknown';
  if (known === null) input.log.error({ error, path, traceId: request.headers['x-request-id'] }, 'Reader failed');
  const shown = known ?? new ApiError('INTERNAL', 'The reader failed; its log says why.');
  measure(input, { path, code: shown.data.code, startedAt: null });
  return reply.code(httpStatusOf[shown.data.code]).send({ error: shown.data });
}

/** What Fastify itself refuses: a body that is too large, or is no JSON. */
function ofRequest(error: unknown): ApiError | null {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  if (status === 413) return new ApiError('PAYLOAD_TOO_LARGE', 'The body is too large.');
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new ApiError('VALIDATION', 'The body is not JSON that can be read.');
  }
  return null;
}

function measure(
  { metrics, clock }: ReaderRoutesInput,
  { path, code, startedAt }: { path: string; code: string; startedAt: number | null },
): void {
  metrics.requests.inc({ procedure: path, code });
  if (startedAt !== null) metrics.requestSeconds.observe({ procedure: path }, (clock.monotonic() - startedAt) / 1_000);
}
