import { callTRPCProcedure } from '@trpc/server';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '#api/auth.ts';
import { traceOfRequest } from '#api/context.ts';
import type { Context } from '#api/context.ts';
import type { Seat } from '#api/procedures/wait.ts';
import type { AppRouter } from '#api/router.ts';
import type { ParkedWaits, UndecidedWait } from './parked-waits.ts';

/**
 * The way of a lone `resources.wait` through the server. It runs the same procedure, but without the objects that tRPC makes of a web
 * request, and a wait that parks keeps its reply and nothing else: no body, context, promise or abort controller. So 10,000 of them fit
 * (npm run bench -- waits). Status, headers and body of what goes out are as tRPC's.
 */
export interface WaitDoorDeps {
  readonly router: AppRouter;
  readonly waits: ParkedWaits;
  /** What a failure is answered with. */
  readonly refuse: (error: unknown, request: FastifyRequest) => WaitReply;
  /** A call has ended: by its answer, or by its caller. */
  readonly closed: (request: FastifyRequest) => void;
}

export interface WaitReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface WaitDoor {
  /** Whether a call is for this door; what tRPC would refuse or answer in another form is not. */
  takes(request: FastifyRequest, path: string): boolean;
  /** Sees to the reply, now or later; never rejects. `text`: the input. */
  enter(
    request: FastifyRequest,
    reply: FastifyReply,
    call: { readonly caller: Caller; readonly text: string },
  ): Promise<void>;
}

const path = 'resources.wait';

export function createWaitDoor({ router, waits, refuse, closed }: WaitDoorDeps): WaitDoor {
  const begin = (context: Context, text: string): Promise<unknown> =>
    traceOfRequest.run(context.traceId, () => {
      const getRawInput = async (): Promise<unknown> => (text === '' ? undefined : JSON.parse(text));
      return callTRPCProcedure({
        router,
        path,
        getRawInput,
        ctx: context,
        type: 'query',
        signal: undefined,
        batchIndex: 0,
      });
    });
  const end = (reply: FastifyReply, error: unknown): void => send(reply, refuse(error, reply.request));
  // Not inside `enter`: a closure holds all variables around it, for as long as the wait is parked.
  const hold = (reply: FastifyReply, wait: UndecidedWait): void => {
    const { raw, request } = reply;
    const parked = waits.park(wait, (heard) => {
      if ('error' in heard) end(reply, heard.error);
      else send(reply, success(heard.text()));
    });
    raw.on('close', () => {
      waits.leave(parked);
      closed(request);
    });
    // Its caller left before it was parked.
    if (raw.destroyed) waits.leave(parked);
  };
  return {
    takes: ({ headers }, of) => of === path && headers['trpc-accept'] === undefined && headers['accept'] !== jsonLines,
    async enter(request, reply, { caller, text }) {
      const seat: Seat = { wait: null };
      reply.hijack();
      letGo(request);
      try {
        const answer = await begin({ caller, traceId: request.id, seat }, text);
        if (seat.wait === null) send(reply, success(JSON.stringify(answer)));
        else hold(reply, seat.wait);
      } catch (error) {
        end(reply, error);
      }
    },
  };
}

/** What a request brought: the answer needs its id, and the line in the log its path. */
function letGo(request: FastifyRequest): void {
  request.body = undefined;
  request.raw.headers = none;
  request.raw.rawHeaders = noneRaw;
}

const none = Object.freeze({});
const noneRaw: string[] = [];

const jsonLines = 'application/jsonl';

const success = (data: string): WaitReply => ({ status: 200, headers: {}, body: `{"result":{"data":${data}}}` });

function send({ raw, request }: FastifyReply, { status, headers, body }: WaitReply): void {
  if (raw.destroyed) return;
  raw.writeHead(status, {
    'x-request-id': request.id,
    vary: 'trpc-accept, accept',
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  raw.end(body);
}
