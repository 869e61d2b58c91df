import { connect, createServer, type Socket } from 'node:net';

/**
 * What happens to the n-th chunk that clients send, counted over all connections.
 * `unsent`: it is dropped and both ends are cut. `unanswered`: it is carried out, and its answer is lost with the connection.
 * `fatal`: the server's place is taken by this SQLSTATE, FATAL, and then the connection ends.
 */
export interface Cut {
  readonly chunk: number;
  readonly how: 'unsent' | 'unanswered' | { readonly fatal: string };
}

export interface CutProxy extends AsyncDisposable {
  readonly url: string;
  /** Arms a cut, counting from now on. */
  arm(cut: Cut | null): void;
  /** Chunks sent by clients since the last arming. */
  chunks(): number;
  /** Swallows all that passes on the connections open now, in both directions or only what the server says, without closing them. */
  blackHole(which?: 'all' | 'answers'): void;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  holed: 'all' | 'answers' | null;
  lost: boolean;
}

/** A TCP proxy before Postgres that breaks what passes through it. */
export async function cutProxy(target: string): Promise<CutProxy> {
  const url = new URL(target);
  const [host, port] = [url.hostname, Number(url.port)];
  const pairs = new Set<Pair>();
  let armed: Cut | null = null;
  let count = 0;

  const proxy = createServer((client) => {
    const server = connect(port, host);
    const pair: Pair = { client, server, holed: null, lost: false };
    pairs.add(pair);
    const cut = (): void => {
      client.destroy();
      server.destroy();
      pairs.delete(pair);
    };
    for (const socket of [client, server]) socket.on('error', cut).on('close', cut);
    server.on('data', (bytes) => {
      if (pair.lost) cut();
      else if (pair.holed === null) client.write(bytes);
    });
    client.on('data', (bytes) => {
      if (pair.holed === 'all') return;
      count += 1;
      if (armed === null || armed.chunk !== count) return void server.write(bytes);
      if (armed.how === 'unsent') return cut();
      if (armed.how === 'unanswered') {
        pair.lost = true;
        return void server.write(bytes);
      }
      server.destroy();
      client.end(fatalResponse(armed.how.fatal));
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = proxy.address();
  if (typeof address !== 'object' || address === null) throw new Error('the proxy has no port');
  url.port = String(address.port);
  return {
    url: url.toString(),
    arm: (cut) => {
      armed = cut;
      count = 0;
    },
    chunks: () => count,
    blackHole: (which = 'all') => {
      for (const pair of pairs) pair.holed = which;
    },
    [Symbol.asyncDispose]: async () => {
      for (const { client, server } of pairs) {
        client.destroy();
        server.destroy();
      }
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}

/** ErrorResponse of Postgres's protocol 3, severity FATAL. */
function fatalResponse(code: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0Mcut by the test\0\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}
