import type { Socket } from 'node:net';

/** Messages of Postgres's protocol 3: a type, a length that counts itself but not the type, the rest. */

/** Cuts a stream into messages. */
export function cutMessages(hear: (type: string, message: Buffer) => void): (bytes: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (bytes) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    while (rest.length >= 5) {
      const end = 1 + rest.readUInt32BE(1);
      if (rest.length < end) return;
      const message = rest.subarray(0, end);
      rest = rest.subarray(end);
      hear(String.fromCharCode(message[0] ?? 0), message);
    }
  };
}

/** Writes on a socket, all of one turn of the event loop at once: the server must not wake for each message. */
export function batchingWriter(socket: Socket): (message: Buffer) => void {
  let corked = false;
  return (message) => {
    if (!corked) {
      corked = true;
      socket.cork();
      process.nextTick(() => {
        corked = false;
        socket.uncork();
      });
    }
    socket.write(message);
  };
}

/** A message of a type. Strings end with a NUL of the caller's. */
export function messageOf(type: string, ...parts: readonly (string | Buffer)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** The NUL-terminated string at an offset, and the offset behind it. */
export function stringAt(message: Buffer, offset: number): { readonly text: string; readonly end: number } {
  const end = message.indexOf(0, offset);
  return { text: message.toString('utf8', offset, end), end: end + 1 };
}

/** The pairs of strings of a StartupMessage or of parameters told one after the other. */
export function pairsOf(message: Buffer, offset: number): ReadonlyMap<string, string> {
  const pairs = new Map<string, string>();
  for (let at = offset; at < message.length && message[at] !== 0;) {
    const name = stringAt(message, at);
    const value = stringAt(message, name.end);
    pairs.set(name.text, value.text);
    at = value.end;
  }
  return pairs;
}

/** ErrorResponse, FATAL: the sender ends the connection after it. */
export function fatalMessage(code: string, text: string): Buffer {
  return messageOf('E', `SFATAL\0VFATAL\0C${code}\0M${text}\0\0`);
}

/** "I" in ReadyForQuery: in no transaction. */
export const idleStatus = 'I'.charCodeAt(0);
export const readyMessage = messageOf('Z', 'I');
