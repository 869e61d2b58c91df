import { connect, createServer, type Socket } from 'node:net';
import { cutMessages, fatalMessage, messageOf, stringAt } from '#test/support/pooler/messages.ts';
import { listen } from './listen.ts';

/**
 * What befalls one execution of a statement. `error`: the server itself refuses it with this SQLSTATE, so that the transaction around it is
 * aborted as it would be. `fatal`: the session ends with this SQLSTATE and the statement was not carried out. `unanswered`: it was
 * carried out, and the session ends with this SQLSTATE in place of its answer.
 */
export interface Injection {
  readonly how: 'error' | 'fatal' | 'unanswered';
  readonly code: string;
}

/** A proxy before Postgres that knows which statement passes, by the name that stands before its text ("commit" has no other name). */
export interface StatementProxy extends AsyncDisposable {
  /** On 127.0.0.1. */
  readonly port: number;
  /** Asked at each execution of a statement. */
  decide: (name: string) => Injection | null;
}

/** Opens it before the server of a URL. */
export async function statementProxy(target: string): Promise<StatementProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const listener = createServer((client) => {
    const server = connect(Number(port), hostname);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      sockets.add(socket);
      socket.on('error', () => cut(client, server)).on('close', () => cut(client, server));
    }
    carry(client, server, (name) => proxy.decide(name));
  });
  const ownPort = await listen(listener);
  const proxy: StatementProxy = {
    port: ownPort,
    decide: () => null,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
  return proxy;
}

function cut(client: Socket, server: Socket): void {
  client.destroy();
  server.destroy();
}

/** One connection. Each Sync and each Query of the client is answered by one ReadyForQuery: so an answer is told by its number. */
function carry(client: Socket, server: Socket, decide: (name: string) => Injection | null): void {
  const named = new Map<string, string>();
  let [asked, answered] = [1, 0];
  let last: { readonly answer: number; readonly code: string } | null = null;
  let swallowing = false;

  /** True: the message goes no further. */
  const inject = (name: string): boolean => {
    const injection = decide(name);
    if (injection === null) return false;
    if (injection.how === 'unanswered') {
      last = { answer: asked + 1, code: injection.code };
      return false;
    }
    if (injection.how === 'error') {
      server.write(messageOf('Q', raising(name, injection.code)));
      asked += 1;
      return true;
    }
    server.destroy();
    client.end(fatalMessage(injection.code, 'cut by the test'));
    return true;
  };
  const hear = (type: string, message: Buffer): void => {
    if (swallowing) {
      if (type === 'S') swallowing = false;
      return;
    }
    if (type === 'P') {
      const name = stringAt(message, 5);
      named.set(name.text, nameOf(stringAt(message, name.end).text));
    }
    if (type === 'B' && inject(named.get(stringAt(message, stringAt(message, 5).end).text) ?? '')) {
      swallowing = true;
      return;
    }
    if (type === 'Q' && inject(nameOf(stringAt(message, 5).text))) return;
    if (type === 'S' || type === 'Q') asked += 1;
    if (!server.destroyed) server.write(message);
  };
  const started = (first: Buffer): void => {
    const end = first.readUInt32BE(0);
    server.write(first.subarray(0, end));
    const typed = cutMessages(hear);
    typed(first.subarray(end));
    client.on('data', typed);
  };
  client.once('data', started);
  server.on(
    'data',
    cutMessages((type, message) => {
      if (last?.answer === answered + 1) {
        if (type === 'Z') {
          server.destroy();
          client.end(fatalMessage(last.code, 'cut by the test'));
        }
        return;
      }
      if (type === 'Z') answered += 1;
      client.write(message);
    }),
  );
}

/** Its first comment, as statement.ts writes it; else its first word. */
function nameOf(text: string): string {
  return /^\/\* (\w+) \*\//.exec(text)?.[1] ?? /^\w*/.exec(text)?.[0] ?? '';
}

/** What fails like the statement of that name: a BEGIN that fails has begun all the same, and a COMMIT that fails has ended it. */
function raising(name: string, code: string): string {
  const before = name === 'begin' ? 'begin; ' : name === 'commit' ? 'rollback; ' : '';
  return `${before}do $$ begin raise exception 'injected by the test' using errcode = '${code}'; end $$\0`;
}
