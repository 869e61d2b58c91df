// Cloud Storage for the reconcilers without a socket: the kinds' own client (same requests, same parsing, same error table) over the
// model's handle(). For simulations: no timer, no I/O of its own.

import { GcsClient } from '#reconcilers/providers/gcs/client.ts';
import { queryText } from '#reconcilers/providers/gcs/transport.ts';
import type { GcsReply, GcsRequest, GcsTransport } from '#reconcilers/providers/gcs/transport.ts';
import type { CloudRequest, CloudResponse } from '#hack/cloud/door.ts';
import type { GcsDoor } from './in-process.ts';

export interface InProcessOptions {
  /** Waits for slow answers; a simulation gives its virtual clock. Resolves early when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** A lost answer: `reset` fails at once, as the wire does; `wait` fails when the caller gives up. Default: reset. */
  readonly onLost?: 'reset' | 'wait';
  /** Bearer to act as; absent: the project's owner. */
  readonly token?: string;
}

/** The way to a model in the same process. */
export function inProcessTransport(door: GcsDoor, options: InProcessOptions): GcsTransport {
  return async (request, signal) => {
    if (signal.aborted) throw reset('aborted before it was sent');
    const delivery = door.handle(cloudRequest(request, options.token));
    if (delivery.kind === 'lost') {
      if (options.onLost === 'wait') await untilAborted(signal);
      throw reset('the answer was lost');
    }
    if (delivery.delayMs > 0) await options.sleep(delivery.delayMs, signal);
    if (signal.aborted) throw reset('the caller gave up');
    return reply(delivery.response);
  };
}

/** The client of Bucket, ObjectDeletion and the reader, over a model in the same process. */
export function inProcessBucketClient(door: GcsDoor, options: InProcessOptions, project = 'vibn-local'): GcsClient {
  return new GcsClient(inProcessTransport(door, options), project);
}

function cloudRequest(request: GcsRequest, token: string | undefined): CloudRequest {
  return {
    method: request.method,
    path: `/storage/v1${request.path}`,
    query: queryText(request.query),
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(request.body === undefined ? {} : { body: Buffer.from(JSON.stringify(request.body)) }),
  };
}

/** Objects are copied through JSON, as the wire would: a caller must not hold on to the model's own records. */
function reply({ status, headers, body }: CloudResponse): GcsReply {
  if (body === undefined) return { status, headers, body };
  if (!Buffer.isBuffer(body)) return { status, headers, body: JSON.parse(JSON.stringify(body)) as unknown };
  return { status, headers, body: body.toString('utf8') };
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function reset(message: string): Error {
  return Object.assign(new Error(message), { code: 'ECONNRESET' });
}
