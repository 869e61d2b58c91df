import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { cutMessages, int32, messageOf, pairsOf, stringAt } from './messages.ts';

export interface Login {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly applicationName: string;
}

export interface LoggedIn {
  readonly socket: Socket;
  /** What the server told of itself: its ParameterStatus messages. */
  readonly parameters: readonly Buffer[];
}

/** What the server said instead of letting in: its ErrorResponse, as it came. */
export class LoginRefused extends Error {
  override readonly name = 'LoginRefused';
  readonly response: Buffer;
  constructor(response: Buffer) {
    super('the server refused the login');
    this.response = response;
  }
}

/** Opens a session at the server: without a password, with one in the clear, or by SCRAM-SHA-256. */
export async function logIn(login: Login): Promise<LoggedIn> {
  const socket = connect(login.port, login.host).setNoDelay();
  const parameters: Buffer[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<LoggedIn>();
  const answer = authentication(login, (message) => void socket.write(message));
  const read = cutMessages((type, message) => {
    if (type === 'E') reject(new LoginRefused(Buffer.from(message)));
    else if (type === 'S') parameters.push(Buffer.from(message));
    else if (type === 'R') answer(message.readInt32BE(5), message.subarray(9));
    else if (type === 'Z') resolve({ socket, parameters });
  });
  const failed = (): void => reject(new Error('the connection to the server ended during the login'));
  socket.on('data', read).on('error', failed).on('close', failed);
  const words = ['user', login.user, 'database', login.database, 'application_name', login.applicationName, ''];
  const body = Buffer.concat([int32(protocolVersion), Buffer.from(words.map((word) => `${word}\0`).join(''))]);
  socket.write(Buffer.concat([int32(body.length + 4), body]));
  try {
    return await promise;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    socket.off('data', read).off('close', failed);
  }
}

export const protocolVersion = 196_608;

/** Answers the server's authentication requests (RFC 5802 for SCRAM). The server's own proof is not checked: it is the tests' own. */
function authentication(login: Login, send: (message: Buffer) => void): (request: number, data: Buffer) => void {
  const first = `n=,r=${randomBytes(18).toString('base64')}`;
  return (request, data) => {
    if (request === 3) send(messageOf('p', `${login.password}\0`));
    if (request === 10) {
      const body = Buffer.from(`n,,${first}`);
      send(messageOf('p', 'SCRAM-SHA-256\0', int32(body.length), body));
    }
    if (request === 11) send(messageOf('p', scramFinal(login.password, first, data.toString())));
  };
}

function scramFinal(password: string, clientFirst: string, serverFirst: string): string {
  const field = (name: string): string => new RegExp(`(?:^|,)${name}=([^,]*)`).exec(serverFirst)?.[1] ?? '';
  const salted = saltedPassword(password, field('s'), Number(field('i')));
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const stored = createHash('sha256').update(clientKey).digest();
  const withoutProof = `c=biws,r=${field('r')}`;
  const signature = createHmac('sha256', stored).update(`${clientFirst},${serverFirst},${withoutProof}`).digest();
  const proof = clientKey.map((byte, index) => byte ^ (signature[index] ?? 0));
  return `${withoutProof},p=${Buffer.from(proof).toString('base64')}`;
}

/** The costly part, kept: the server gives the same salt for the same role each time. */
const salted = new Map<string, Buffer>();

function saltedPassword(password: string, salt: string, iterations: number): Buffer {
  const key = JSON.stringify([password, salt, iterations]);
  const known = salted.get(key) ?? pbkdf2Sync(password, Buffer.from(salt, 'base64'), iterations, 32, 'sha256');
  salted.set(key, known);
  return known;
}

/** User, database and the other parameters of a StartupMessage, given without its length. */
export function startupOf(message: Buffer): { user: string; database: string; others: ReadonlyMap<string, string> } {
  const others = new Map(pairsOf(message, 4));
  const user = others.get('user') ?? '';
  const database = others.get('database') ?? user;
  others.delete('user');
  others.delete('database');
  return { user, database, others };
}

/** The password of a PasswordMessage. */
export const passwordOf = (message: Buffer): string => stringAt(message, 5).text;
