import { messageOf, stringAt } from './messages.ts';

/** A statement by its text and parameter types, the same for all clients that prepare it: as PgBouncer 1.21 and newer keep them. */
export interface Prepared {
  /** Its name at the servers. */
  readonly name: string;
  /** Parse, under that name. */
  readonly parse: Buffer;
}

/** The statements of all clients of a pooler, each known once. */
export function createPreparedRegistry(): (text: Buffer) => Prepared {
  const known = new Map<string, Prepared>();
  return (text) => {
    const key = text.toString('latin1');
    const found = known.get(key);
    if (found !== undefined) return found;
    const name = `pooler_${known.size + 1}`;
    const prepared = { name, parse: messageOf('P', `${name}\0`, Buffer.from(text)) };
    known.set(key, prepared);
    return prepared;
  };
}

/** Of a Parse: the client's name of the statement, and its text with the types of its parameters. */
export function parsedOf(message: Buffer): { readonly name: string; readonly text: Buffer } {
  const { text: name, end } = stringAt(message, 5);
  return { name, text: message.subarray(end) };
}

/** The statement that a Bind, Describe or Close names; null where it names a portal. */
export function namedIn(type: string, message: Buffer): string | null {
  if (type === 'B') return stringAt(message, stringAt(message, 5).end).text;
  return message[5] === 'S'.charCodeAt(0) ? stringAt(message, 6).text : null;
}

/** The same Bind or Describe for a statement of another name. */
export function renamed(type: string, message: Buffer, name: string): Buffer {
  const at = type === 'B' ? stringAt(message, 5).end : 6;
  const { end } = stringAt(message, at);
  return messageOf(type, message.subarray(5, at), `${name}\0`, message.subarray(end));
}
