import { connect, createServer, type Socket } from 'node:net';
import { fatalMessage } from '#test/support/pooler/messages.ts';
import { listen } from './listen.ts';

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
      client.end(fatalMessage(armed.how.fatal, 'cut by the test'));
    });
  });
  url.port = String(await listen(proxy));
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
