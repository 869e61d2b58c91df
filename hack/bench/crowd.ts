import { connect } from 'node:net';
import type { Socket } from 'node:net';

/**
 * Many connections to one server, each with at most one request under way: bytes written as they are and answers counted by their
 * length. A client that costs next to nothing, so that the server is what is measured.
 */
export interface Crowd {
  readonly size: number;
  /** Sends a request over connection `n`; resolves with the ms (of `performance.now`) at which its answer was there, and its body. */
  ask(n: number, request: Request): Promise<Answer>;
  leave(): void;
}

export interface Request {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Answer {
  readonly at: number;
  readonly status: number;
  readonly body: string;
}

/** Connections made at once: the server's backlog is finite. */
const wave = 200;

export async function gather(port: number, size: number): Promise<Crowd> {
  const members: Member[] = [];
  while (members.length < size) {
    const some = Math.min(wave, size - members.length);
    members.push(...(await Promise.all(Array.from({ length: some }, () => join(port)))));
  }
  return {
    size,
    ask(n, request) {
      const member = members[n];
      if (member === undefined) throw new Error(`there is no connection ${n}`);
      return member.ask(request);
    },
    leave: () => {
      for (const member of members) member.socket.destroy();
    },
  };
}

interface Member {
  readonly socket: Socket;
  ask(request: Request): Promise<Answer>;
}

function join(port: number): Promise<Member> {
  let pending: PromiseWithResolvers<Answer> | null = null;
  let text = '';
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.setEncoding('latin1');
    socket.on('error', (error) => {
      reject(error);
      pending?.reject(error);
    });
    socket.on('close', () => pending?.reject(new Error('the server closed a connection with a request under way')));
    socket.on('data', (chunk: string) => {
      text += chunk;
      const answer = answerOf(text);
      if (answer === null) return;
      text = '';
      pending?.resolve(answer);
      pending = null;
    });
    socket.on('connect', () =>
      resolve({
        socket,
        ask(request) {
          pending = Promise.withResolvers<Answer>();
          socket.write(textOf(request));
          return pending.promise;
        },
      }),
    );
  });
}

function textOf({ method, path, headers = {}, body = '' }: Request): string {
  const lines = Object.entries({ host: '127.0.0.1', ...headers, 'content-length': String(Buffer.byteLength(body)) });
  return `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`;
}

/** A whole answer, or null: by its length, or by the last chunk. */
function answerOf(text: string): Answer | null {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const body = text.slice(end + 4);
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1];
  if (length === undefined ? !body.endsWith('0\r\n\r\n') : body.length < Number(length)) return null;
  return { at: performance.now(), status: Number(text.slice(9, 12)), body };
}
