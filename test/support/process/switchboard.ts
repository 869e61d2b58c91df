import { connect, createServer, type Socket } from 'node:net';
import { listen } from '#test/support/listen.ts';

/** A stable address before a server that moves, is away, or falls silent. */
export interface Switchboard extends AsyncDisposable {
  readonly port: number;
  /** The same URL with this address. */
  through(url: string): string;
  /** New connections go to this port of 127.0.0.1, null: are refused; those that are open are cut. */
  pointTo(port: number | null): void;
  /**
   * Swallows from now on all that passes on open connections, without closing them. `named`: only those whose first bytes hold this text
   * (a StartupMessage names its application). Answers how many.
   */
  blackHole(named?: string): number;
}

interface Line {
  readonly client: Socket;
  readonly server: Socket;
  first: string;
  holed: boolean;
}

/** Opens an address for a port of 127.0.0.1. */
export async function openSwitchboard(target: number): Promise<Switchboard> {
  let to: number | null = target;
  const lines = new Set<Line>();
  const cut = (line: Line): void => {
    lines.delete(line);
    line.client.destroy();
    line.server.destroy();
  };
  const listener = createServer((client) => {
    client.on('error', () => client.destroy());
    if (to === null) return void client.destroy();
    const line: Line = { client, server: connect(to, '127.0.0.1'), first: '', holed: false };
    lines.add(line);
    for (const socket of [client, line.server]) socket.setNoDelay(true).on('error', () => cut(line));
    // A holed line hears of no end either.
    for (const socket of [client, line.server]) socket.on('close', () => (line.holed ? undefined : cut(line)));
    client.on('data', (bytes) => {
      if (line.first === '') line.first = bytes.toString('latin1');
      if (!line.holed) line.server.write(bytes);
    });
    line.server.on('data', (bytes) => (line.holed ? undefined : line.client.write(bytes)));
  });
  const port = await listen(listener);
  return {
    port,
    through: (url) => Object.assign(new URL(url), { port: String(port) }).toString(),
    pointTo(next) {
      to = next;
      lines.forEach(cut);
    },
    blackHole(named = '') {
      const some = [...lines].filter((line) => line.first.includes(named) && !line.holed);
      for (const line of some) line.holed = true;
      return some.length;
    },
    async [Symbol.asyncDispose]() {
      lines.forEach(cut);
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
