import { callTRPCProcedure } from '@trpc/server';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '#api/auth.ts';
import { traceOfRequest } from '#api/context.ts';
import type { Context } from '#api/context.ts';
import type { HttpCall } from '#api/http-call.ts';
import type { AppRouter } from '#api/router.ts';
import type { ParkedWaits } from './parked-waits.ts';
import type { Parked, Seat, UndecidedWait } from './parked.ts';

/**
 * The way through the server of requests that wait and do nothing else: a `resources.wait`, or a batch of them. They run the same procedure,
 * but without the objects that tRPC makes of a web request, and what is parked keeps its reply and nothing else: no body, headers, context,
 * promise or abort controller. So 10,000 of them fit (npm run bench -- waits). What goes out is as tRPC's: status, headers and body.
 */
export interface WaitDoorDeps {
  readonly router: AppRouter;
  readonly waits: ParkedWaits;
  /** What a failure of one wait is answered with. */
  readonly refuse: (error: unknown, at: { readonly procedure: string; readonly traceId: string }) => WaitReply;
  /** A request has ended: by its answer, or by its caller. */
  readonly closed: (request: FastifyRequest) => void;
}

export interface WaitReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface WaitDoor {
  /** Whether a request is for this door. What tRPC would answer line by line is not. */
  takes(request: FastifyRequest, call: HttpCall): boolean;
  /** Sees to the reply, now or later. `text`: the input, checked. */
  enter(request: FastifyRequest, reply: FastifyReply, entry: Entry): void;
}

export interface Entry {
  readonly caller: Caller;
  readonly call: HttpCall;
  readonly text: string;
}

/** A request under way. */
interface Open {
  readonly reply: FastifyReply;
  readonly batch: boolean;
  readonly parts: WaitReply[];
  readonly parked: Parked[];
  /** Waits without an answer. */
  left: number;
}

const path = 'resources.wait';

export function createWaitDoor({ router, waits, refuse, closed }: WaitDoorDeps): WaitDoor {
  const begin = (context: Context, input: unknown): Promise<unknown> =>
    traceOfRequest.run(context.traceId, () => {
      const call = { router, path, ctx: context, type: 'query', signal: undefined, batchIndex: 0 } as const;
      return callTRPCProcedure({ ...call, getRawInput: async () => input });
    });
  const end = (open: Open, index: number, part: WaitReply): void => {
    open.parts[index] = part;
    open.left -= 1;
    if (open.left === 0) send(open.reply, open.batch ? joined(open.parts) : part);
  };
  const fail = (open: Open, index: number, error: unknown): void =>
    end(open, index, refuse(error, { procedure: path, traceId: open.reply.request.id }));
  // Not inside `run`: a closure holds all variables around it, for as long as the wait is parked.
  const hold = (open: Open, index: number, wait: UndecidedWait): void => {
    const parked = waits.park(wait, (heard) => {
      if ('error' in heard) fail(open, index, heard.error);
      else end(open, index, success(heard.text()));
    });
    open.parked.push(parked);
    // Its caller left before it was parked.
    if (open.reply.raw.destroyed) waits.leave(parked);
  };
  const run = async (
    open: Open,
    index: number,
    { caller, input }: { caller: Caller; input: unknown },
  ): Promise<void> => {
    const seat: Seat = { wait: null };
    try {
      const answer = await begin({ caller, traceId: open.reply.request.id, seat }, input);
      if (seat.wait === null) end(open, index, success(JSON.stringify(answer)));
      else hold(open, index, seat.wait);
    } catch (error) {
      fail(open, index, error);
    }
  };
  const follow = (open: Open): void => {
    open.reply.raw.on('close', () => {
      for (const parked of open.parked) waits.leave(parked);
      closed(open.reply.request);
    });
  };
  return {
    takes: ({ headers }, { procedures }) =>
      procedures.every((one) => one === path) && ![headers['trpc-accept'], headers['accept']].includes(jsonLines),
    enter(request, reply, { caller, call: { batch, procedures }, text }) {
      reply.hijack();
      letGo(request);
      const open: Open = { reply, batch, parts: [], parked: [], left: procedures.length };
      follow(open);
      const body: unknown = text === '' ? undefined : JSON.parse(text);
      for (const index of procedures.keys()) {
        void run(open, index, { caller, input: batch ? (body as Record<number, unknown> | undefined)?.[index] : body });
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

/** As tRPC answers a batch. */
function joined(parts: readonly WaitReply[]): WaitReply {
  const [first, ...others] = new Set(parts.map(({ status }) => status));
  const mixed = 207;
  return {
    status: others.length > 0 ? mixed : (first ?? mixed),
    headers: {},
    body: `[${parts.map(({ body }) => body).join(',')}]`,
  };
}

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
