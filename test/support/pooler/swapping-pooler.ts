/**
 * A transaction pooler that is as unkind as PgBouncer (1.21 or newer, `server_reset_query_always = 0`) may be: after each transaction a
 * client gets another session of the server, the one where somebody else has just left his settings, listens and locks. Named prepared
 * statements are kept for the client, LISTEN and SET are not; other startup parameters than PgBouncer's are refused.
 */
import { createServer, type Socket } from 'node:net';
import { listen } from '#test/support/listen.ts';
import { batchingWriter, cutMessages, fatalMessage, int32, messageOf, readyMessage } from './messages.ts';
import { createPool, type Pool } from './pool.ts';
import { createPreparedRegistry } from './prepared.ts';
import { LoginRefused, passwordOf, protocolVersion, startupOf } from './server-login.ts';
import type { Borrower, ServerSession } from './server-session.ts';

export interface SwappingPoolerOptions {
  /** Its host and port are used; who connects says user, password and database. */
  readonly serverUrl: string;
  /** Of each login in each database; PgBouncer's own default is 20. */
  readonly sessionsMax?: number;
  /** False: named prepared statements are lost with the session, as before PgBouncer 1.21. */
  readonly keepsPrepared?: boolean;
}

export interface SwappingPooler extends AsyncDisposable {
  readonly port: number;
}

/** What PgBouncer lets a client ask for when it connects. */
const startupParameters: ReadonlySet<string> = new Set(
  'client_encoding datestyle timezone standard_conforming_strings application_name'.split(' '),
);
/** Asks for TLS and for GSSAPI encryption: "N" is no. */
const encryptionRequests: ReadonlySet<number> = new Set([80_877_103, 80_877_104]);

export function addressOf(serverUrl: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(serverUrl);
  return { host: hostname, port: port === '' ? 5432 : Number(port) };
}

export async function openSwappingPooler(options: SwappingPoolerOptions): Promise<SwappingPooler> {
  const { serverUrl, sessionsMax = 20, keepsPrepared = true } = options;
  const { host, port } = addressOf(serverUrl);
  const intern = keepsPrepared ? createPreparedRegistry() : null;
  const pools = new Map<string, Pool>();
  const clients = new Set<Socket>();
  const poolOf = (login: { user: string; password: string; database: string; applicationName: string }): Pool => {
    const key = JSON.stringify([login.user, login.password, login.database]);
    const pool = pools.get(key) ?? createPool({ login: { host, port, ...login }, sessionsMax, intern });
    pools.set(key, pool);
    return pool;
  };
  const listener = createServer((socket) => {
    clients.add(socket);
    socket.setNoDelay().on('error', () => socket.destroy());
    socket.on('close', () => clients.delete(socket));
    greet(socket, poolOf);
  });
  const ownPort = await listen(listener);
  return {
    port: ownPort,
    [Symbol.asyncDispose]: async () => {
      for (const socket of clients) socket.destroy();
      for (const pool of pools.values()) pool.end();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

type PoolOf = (login: { user: string; password: string; database: string; applicationName: string }) => Pool;

/** The startup of a client: parameters, then a password in the clear, which the server is asked to check. */
function greet(socket: Socket, poolOf: PoolOf): void {
  let rest: Buffer = Buffer.alloc(0);
  const read = (bytes: Buffer): void => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= 8 && rest.length >= rest.readUInt32BE(0)) {
      const message = rest.subarray(4, rest.readUInt32BE(0));
      rest = rest.subarray(4 + message.length);
      const code = message.readInt32BE(0);
      if (encryptionRequests.has(code)) socket.write('N');
      else if (code === protocolVersion) {
        socket.off('data', read);
        return authenticate(socket, message, poolOf);
      } else return void socket.destroy();
    }
  };
  socket.on('data', read);
}

function authenticate(socket: Socket, startup: Buffer, poolOf: PoolOf): void {
  const { user, database, others } = startupOf(startup);
  const refused = [...others.keys()].find((name) => !startupParameters.has(name));
  if (refused !== undefined) {
    return void socket.end(fatalMessage('08P01', `unsupported startup parameter: ${refused}`));
  }
  const applicationName = others.get('application_name') ?? '';
  const welcome = async (password: string): Promise<void> => {
    const pool = poolOf({ user, database, password, applicationName });
    const parameters = await pool.welcome();
    const key = messageOf('K', int32(0), int32(0));
    hear = serveClient(socket, pool);
    socket.write(Buffer.concat([messageOf('R', int32(0)), ...parameters, key, readyMessage]));
  };
  let hear = (type: string, message: Buffer): void => {
    if (type !== 'p') return void socket.destroy();
    welcome(passwordOf(message)).catch((error: unknown) => socket.end(refusalOf(error)));
  };
  socket.on(
    'data',
    cutMessages((type, message) => hear(type, message)),
  );
  socket.write(messageOf('R', int32(3)));
}

const refusalOf = (error: unknown): Buffer =>
  error instanceof LoginRefused ? error.response : fatalMessage('08006', String(error));

/** A client that has logged in: each transaction goes to a session of its own. */
function serveClient(socket: Socket, pool: Pool): (type: string, message: Buffer) => void {
  let session: ServerSession | null = null;
  const unsent: [type: string, message: Buffer][] = [];
  const borrower: Borrower = {
    statements: new Map(),
    write: batchingWriter(socket),
    released: () => {
      const own = session;
      session = null;
      if (own !== null) pool.takeBack(own);
    },
    lost: () => void socket.end(),
  };
  const lend = async (): Promise<void> => {
    const lent = await pool.lend(borrower, () => socket.destroyed);
    if (lent === null) return;
    session = lent;
    lent.lend(borrower);
    for (const [type, message] of unsent.splice(0)) lent.send(type, message);
  };
  socket.on('close', () => session?.destroy());
  return (type, message) => {
    if (type === 'X') return void socket.destroy();
    if (session !== null) return session.send(type, message);
    unsent.push([type, Buffer.from(message)]);
    if (unsent.length === 1) lend().catch((error: unknown) => socket.end(refusalOf(error)));
  };
}
