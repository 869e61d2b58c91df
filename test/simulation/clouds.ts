import { CallLog } from '#hack/cloud/call-log.ts';
import { Faults } from '#hack/cloud/faults.ts';
import { seededRng } from '#hack/cloud/clock.ts';
import { openGcs } from '#hack/cloud/gcs/in-process.ts';
import type { GcsDoor } from '#hack/cloud/gcs/in-process.ts';
import { GcsModel } from '#hack/cloud/gcs/model.ts';
import { queryText } from '#reconcilers/providers/gcs/transport.ts';
import type { GcsReply, GcsRequest, GcsTransport } from '#reconcilers/providers/gcs/transport.ts';
import type { Fault, Send } from './effects.ts';
import { createTinyCloud } from './tiny-cloud.ts';
import type { TinyCloud } from './tiny-cloud.ts';

/** Everything outside: the tiny cloud and the models of the local cloud, in this process, under the world's time. */
export interface Clouds {
  readonly tiny: TinyCloud;
  readonly gcs: { readonly model: GcsModel; readonly door: GcsDoor };
}

/** Empty clouds. `now`: ms since the epoch, by the providers' clocks. */
export function createClouds(seed: number, now: () => number): Clouds {
  const clock = { now };
  const model = new GcsModel({ clock, rng: seededRng(seed), rates: 'off' });
  // Faults are the world's own, at the workers' doors, where they can be drawn by its seed.
  const door = openGcs(model, { faults: new Faults(), calls: new CallLog(clock, 100), later: () => undefined });
  return { tiny: createTinyCloud(clock), gcs: { model, door } };
}

/** Cloud Storage as a worker reaches it: each request is an effect. */
export function gcsTransport(clouds: Clouds, door: <T>(send: Send<T>) => Promise<T>): GcsTransport {
  return (request, signal) =>
    door<GcsReply>({
      op: `gcs.${request.method} ${shapeOf(request)}`,
      mutating: request.method !== 'GET',
      subject: bucketOf(request),
      signal,
      execute: (asOfMs) =>
        asOfMs === 0 || request.method !== 'GET'
          ? carryOut(clouds, request)
          : clouds.gcs.model.state.readAt(clouds.gcs.model.clock.now() - asOfMs, () => carryOut(clouds, request)),
      answer: (fault) => answerOf(fault),
      isRefusal: (reply) => reply.status >= 400,
    });
}

/** The bucket a request is about: in its path, or, where one is created, in its body. */
function bucketOf({ path, body }: GcsRequest): string {
  const name = body?.['name'];
  return decodeURIComponent(path.split('/')[2] ?? (typeof name === 'string' ? name : ''));
}

/** "/b/<bucket>/o" without its names. */
function shapeOf({ path }: GcsRequest): string {
  return path.replaceAll(/^\/b\/[^/]+/g, '/b/*').replaceAll(/\/o\/[^/]+/g, '/o/*');
}

function carryOut({ gcs }: Clouds, request: GcsRequest): GcsReply {
  const delivery = gcs.door.handle({
    method: request.method,
    path: `/storage/v1${request.path}`,
    query: queryText(request.query),
    headers: { 'content-type': 'application/json' },
    ...(request.body === undefined ? {} : { body: Buffer.from(JSON.stringify(request.body)) }),
  });
  if (delivery.kind === 'lost') throw new Error('the model lost an answer although it has no faults');
  const { status, headers, body } = delivery.response;
  if (body === undefined || Buffer.isBuffer(body)) return { status, headers, body: body?.toString('utf8') };
  // Copied as the wire would: a caller must not hold on to the model's own records.
  return { status, headers, body: JSON.parse(JSON.stringify(body)) as unknown };
}

/** How Cloud Storage answers where a fault decides the answer; undefined: it does not answer. */
function answerOf(fault: Fault): GcsReply | undefined {
  const failure = (status: number, reason: string): GcsReply => ({
    status,
    headers: {},
    body: { error: { code: status, message: reason, errors: [{ reason, message: reason }] } },
  });
  if (fault === 'refuse') return failure(503, 'backendError');
  if (fault === 'throttle') return failure(429, 'rateLimitExceeded');
  if (fault === 'error-after') return failure(500, 'internalError');
  if (fault === 'garbled') return { status: 200, headers: {}, body: '<html>' };
  return undefined;
}
