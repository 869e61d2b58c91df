import { createServer } from 'node:net';
import { resolve } from 'node:path';

/** What `npm start` is told by its environment (README, "npm start"). Ports are on 127.0.0.1. */
export interface UpSettings {
  readonly apiPort: number;
  readonly cloudPort: number;
  readonly pgPort: number;
  /** Absolute. */
  readonly dataDir: string;
  /** Whether the example is declared on first start. */
  readonly demo: boolean;
  /** The owner's database; null: the embedded one. */
  readonly databaseUrl: string | null;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Reads the settings, or answers every problem at once. */
export function readSettings(env: Env): UpSettings | { readonly problems: readonly string[] } {
  const problems: string[] = [];
  const port = (name: string, standard: number): number => {
    const text = env[name] ?? String(standard);
    const value = Number(text);
    if (Number.isInteger(value) && value >= 1 && value <= 65_000) return value;
    problems.push(`${name} is "${text}": use a port number from 1 to 65000, or leave it unset for ${standard}.`);
    return standard;
  };
  const settings = {
    apiPort: port('VIBN_API_PORT', 4400),
    cloudPort: port('VIBN_CLOUD_PORT', 4500),
    pgPort: port('VIBN_PG_PORT', 4600),
    dataDir: resolve(env['VIBN_DATA_DIR'] ?? '.vibn'),
    demo: choice(env['VIBN_DEMO'], problems),
    databaseUrl: databaseUrl(env['DATABASE_URL'], problems),
  };
  return problems.length > 0 ? { problems } : settings;
}

function choice(text: string | undefined, problems: string[]): boolean {
  if (text !== undefined && text !== 'on' && text !== 'off')
    problems.push(`VIBN_DEMO is "${text}": use "on" or "off".`);
  return text !== 'off';
}

function databaseUrl(text: string | undefined, problems: string[]): string | null {
  if (text === undefined || text === '') return null;
  const url = URL.parse(text);
  if (url !== null && (url.protocol === 'postgres:' || url.protocol === 'postgresql:')) return text;
  problems.push(
    'DATABASE_URL is no postgres:// URL: use postgres://<owner>:<password>@<host>:<port>/<database>, or leave it unset for the embedded Postgres.',
  );
  return null;
}

/** A port that the processes will listen on, and the variable that moves it. */
export interface NeededPort {
  readonly port: number;
  readonly variable: string;
  readonly what: string;
}

/** One sentence for each port that is taken, or wanted twice. */
export async function takenPorts(needed: readonly NeededPort[]): Promise<readonly string[]> {
  const problems: string[] = [];
  const owners = new Map<number, NeededPort>();
  for (const one of needed) {
    const other = owners.get(one.port);
    if (other !== undefined)
      problems.push(`Port ${one.port} is wanted by ${other.what} and by ${one.what}: set ${one.variable} to another.`);
    else if (!(await isFree(one.port)))
      problems.push(
        `Port ${one.port} (${one.what}) is taken: stop what listens there, or set ${one.variable} to another.`,
      );
    owners.set(one.port, one);
  }
  return problems;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => done(true)));
  });
}

/**
 * Below the range from which systems take ports for outgoing connections: one of those could take a port of ours between the death of a
 * child and its next start.
 */
const firstChosen = 10_000;
const lastChosen = 30_000;

/** A port that is free now together with those at `offsets` above it, for a process that keeps it over restarts. */
export async function freePort(offsets: readonly number[] = []): Promise<number> {
  for (;;) {
    const port = firstChosen + Math.floor(Math.random() * (lastChosen - firstChosen));
    const free = await Promise.all([port, ...offsets.map((offset) => port + offset)].map(isFree));
    if (free.every(Boolean)) return port;
  }
}
