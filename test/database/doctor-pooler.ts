import { connect, createServer, type Socket } from 'node:net';

/** A pooler in transaction mode that keeps no prepared statements, as PgBouncer before 1.21 is. */
export interface TransactionPooler extends AsyncDisposable {
  readonly url: string;
}

interface Client {
  readonly socket: Socket;
  /** Lent for one transaction. */
  server: Socket | null;
  /** Answers that are still to come: one for each Sync or Query. */
  owed: number;
}

/**
 * Each client logs in at a server session of its own, which then serves whoever asks next, last in first out; at most `serversMax`
 * are kept.
 */
export async function openTransactionPooler(target: string, { serversMax = 8 } = {}): Promise<TransactionPooler> {
  const url = new URL(target);
  const [host, port] = [url.hostname, Number(url.port)];
  const idle: Socket[] = [];
  const waiting: ((server: Socket) => void)[] = [];
  const sockets = new Set<Socket>();
  const owners = new Map<Socket, Client>();
  let kept = 0;

  const free = (server: Socket): void => {
    const next = waiting.shift();
    if (next === undefined) idle.push(server);
    else next(server);
  };
  const fromServer = (server: Socket): void => {
    const read = frames((type, frame) => {
      const client = owners.get(server);
      // A notification for nobody, as a pooler has it.
      if (client === undefined) return;
      client.socket.write(frame);
      if (type !== 'Z') return;
      client.owed -= 1;
      if (client.owed > 0 || frame[5] !== idleStatus) return;
      client.server = null;
      owners.delete(server);
      free(server);
    });
    server.removeAllListeners('data').on('data', read);
  };
  const fromClient = (client: Client): void => {
    const unsent: Buffer[] = [];
    const lend = (server: Socket): void => {
      client.server = server;
      owners.set(server, client);
      for (const frame of unsent.splice(0)) server.write(frame);
    };
    const read = frames((type, frame) => {
      if (type === 'X') return void client.socket.destroy();
      if (type === 'S' || type === 'Q') client.owed += 1;
      if (client.server !== null) return void client.server.write(frame);
      unsent.push(frame);
      if (unsent.length > 1) return;
      const server = idle.pop();
      if (server === undefined) waiting.push(lend);
      else lend(server);
    });
    client.socket.removeAllListeners('data').on('data', read);
    client.socket.on('close', () => client.server?.destroy());
  };

  const listener = createServer((socket) => {
    const server = connect(port, host);
    for (const one of [socket, server]) {
      sockets.add(one);
      one.on('error', () => one.destroy()).on('close', () => sockets.delete(one));
    }
    const client: Client = { socket, server: null, owed: 0 };
    socket.on('data', (bytes) => server.write(bytes));
    const read = frames((type, frame) => {
      socket.write(frame);
      if (type !== 'Z') return;
      fromServer(server);
      fromClient(client);
      kept += 1;
      if (kept <= serversMax) free(server);
      else server.destroy();
    });
    server.on('data', read);
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  if (typeof address !== 'object' || address === null) throw new Error('the pooler has no port');
  url.port = String(address.port);
  return {
    url: url.toString(),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

/** "I": in no transaction. */
const idleStatus = 0x49;

/** Cuts a stream of the protocol into its messages: a type, a length that counts itself, the rest. */
function frames(hear: (type: string, frame: Buffer) => void): (bytes: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= 5) {
      const end = 1 + rest.readUInt32BE(1);
      if (rest.length < end) return;
      const frame = rest.subarray(0, end);
      rest = rest.subarray(end);
      hear(String.fromCharCode(frame[0] ?? 0), frame);
    }
  };
}
