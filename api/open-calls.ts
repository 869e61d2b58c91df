import type { FastifyReply, FastifyRequest } from 'fastify';

/** Calls under way. Each has a signal that aborts when its caller leaves, or when the server stops: then watches end. */
export interface OpenCalls {
  open(request: FastifyRequest, reply: FastifyReply): AbortSignal;
  /** A call has ended: a connection kept alive would hold up the stop. */
  readonly closed: (request: FastifyRequest) => void;
  stop(): void;
}

export function createOpenCalls(): OpenCalls {
  const open = new Set<AbortController>();
  let stopping = false;
  const closed = (request: FastifyRequest): void => {
    if (stopping) request.raw.socket.end();
  };
  return {
    closed,
    open(request, reply) {
      const call = new AbortController();
      open.add(call);
      reply.raw.once('close', () => {
        open.delete(call);
        if (!reply.raw.writableFinished) call.abort();
        closed(request);
      });
      return call.signal;
    },
    stop() {
      stopping = true;
      for (const call of open) call.abort();
    },
  };
}
