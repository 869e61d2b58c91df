import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { machineMs } from '#hack/role-process.ts';
import { listen } from '#test/support/listen.ts';

/**
 * A provider of two things, over HTTP, for workers that are processes of their own: crates, whose names are unique and whose changes are
 * guarded by an etag, and parcels, of which there is one more each time one is sent.
 */
export interface Depot extends AsyncDisposable {
  readonly url: string;
  /** By name. */
  readonly crates: ReadonlyMap<string, Crate>;
  readonly parcels: readonly Parcel[];
  /** All calls, in the order in which they arrived. */
  readonly calls: readonly DepotCall[];
  /** Comes when a call has arrived, before it is carried out, and holds it up. */
  beforeCall: (call: DepotCall) => Promise<void> | void;
  /** Changes that took effect, by "create crate <name>". */
  done(): ReadonlyMap<string, number>;
}

export interface Crate {
  readonly uid: string;
  readonly text: string;
  readonly etag: number;
}

export interface Parcel {
  readonly uid: string;
  readonly nonce: string;
}

export interface DepotCall {
  readonly worker: string;
  /** "crates.create" */
  readonly op: string;
  readonly mutating: boolean;
  /** Name of the crate, nonce of the parcel. */
  readonly name: string;
  readonly uid: string;
  /** machineMs of its arrival. */
  readonly at: number;
  outcome: 'open' | 'done' | 'refused';
}

/** What a client sends. */
export interface DepotRequest {
  readonly op: 'crates.get' | 'crates.create' | 'crates.update' | 'crates.delete' | 'parcels.find' | 'parcels.send';
  readonly worker: string;
  readonly uid: string;
  readonly name: string;
  readonly text?: string;
  readonly etag?: number;
}

/** What it hears. 409: taken; 412: another etag; 404: not there. */
export interface DepotReply {
  readonly status: 200 | 404 | 409 | 412;
  readonly crate?: Crate;
  readonly found?: boolean;
}

interface State {
  readonly crates: Map<string, Crate>;
  readonly parcels: Parcel[];
  readonly counts: Map<string, number>;
}

/** Starts an empty depot on a free port. */
export async function startDepot(): Promise<Depot> {
  const state: State = { crates: new Map(), parcels: [], counts: new Map() };
  const calls: DepotCall[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const wish = JSON.parse(await textOf(request)) as DepotRequest;
    const mutating = !/\.(get|find)$/.test(wish.op);
    const { worker, op, name, uid } = wish;
    const call: DepotCall = { worker, op, mutating, name, uid, at: machineMs(), outcome: 'open' };
    calls.push(call);
    await depot.beforeCall(call);
    const reply = perform(state, wish);
    call.outcome = reply.status === 200 ? 'done' : 'refused';
    if (reply.status === 200 && mutating) {
      const [kind = '', verb = ''] = op.split('.');
      const what = `${verb} ${kind === 'crates' ? `crate ${name}` : `parcel ${uid}`}`;
      state.counts.set(what, (state.counts.get(what) ?? 0) + 1);
    }
    response.setHeader('content-type', 'application/json').end(JSON.stringify(reply));
  };
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  const port = await listen(server);
  const depot: Depot = {
    url: `http://127.0.0.1:${port}`,
    crates: state.crates,
    parcels: state.parcels,
    calls,
    beforeCall: () => undefined,
    done: () => new Map(state.counts),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return depot;
}

function perform({ crates, parcels }: State, { op, uid, name, text = '', etag }: DepotRequest): DepotReply {
  const crate = crates.get(name);
  switch (op) {
    case 'crates.get':
      return crate === undefined ? { status: 200 } : { status: 200, crate };
    case 'crates.create':
      if (crate !== undefined) return { status: 409 };
      crates.set(name, { uid, text, etag: 1 });
      return { status: 200 };
    case 'crates.update':
      if (crate === undefined) return { status: 404 };
      if (crate.etag !== etag) return { status: 412 };
      crates.set(name, { ...crate, text, etag: crate.etag + 1 });
      return { status: 200 };
    case 'crates.delete':
      if (crate === undefined) return { status: 404 };
      if (crate.etag !== etag) return { status: 412 };
      crates.delete(name);
      return { status: 200 };
    case 'parcels.find':
      return { status: 200, found: parcels.some((parcel) => parcel.nonce === name) };
    case 'parcels.send':
      parcels.push({ uid, nonce: name });
      return { status: 200 };
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
