import { pino } from 'pino';
import type { DestinationStream } from 'pino';

/**
 * Logging. A message is constant text; what varies stands in the fields, so that one search finds all of a kind.
 *
 * Invariants
 * L1  A field with a secret's name is redacted at every depth that is written; what lies deeper is not written at all. Done in the
 *     walk that bounds the line: pino's own redaction paths, five deep, took 300 µs a line, this takes 10.
 * L2  An error is reduced to name, message and code: SDK errors carry whole requests, with their headers.
 * L3  Text is scrubbed of what is a secret by its shape: bearer tokens, API keys, passwords and signatures in URLs, private keys.
 * L4  Nothing else in controller/ writes to stdout or stderr.
 */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** The same logger with fields that every line carries. */
  child(fields: LogFields): Logger;
}
export type LogFields = Readonly<Record<string, unknown>>;

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Fields whose values are, or may hold, secrets of ours, of tenants or of providers; compared without case, `_` and `-`. */
const secretNames = `
  password passphrase secret token authorization cookie setCookie apiKey accessToken idToken refreshToken sessionToken internalToken
  privateKey clientSecret secretKey accessKey secretAccessKey signature credential credentials authCode hmac key keyFile plaintext
  databaseUrl connectionString
`;
/** Whole values that may hold any of the above. */
const wholeNames = 'spec status manifest env environment headers body args reply observed input';

const redactedNames = new Set(`${secretNames} ${wholeNames}`.trim().split(/\s+/).map(plainName));

function plainName(name: string): string {
  return name.replaceAll(/[_-]/g, '').toLowerCase();
}

const depthMax = 5;
const textCharsMax = 2_000;
const itemsMax = 50;
const censor = '[redacted]';

/** Shapes of secrets inside text. The group that is kept comes back as $1. */
const secretShapes: readonly RegExp[] = [
  /\b((?:bearer|basic)\s+)[\w+./~=-]+/gi,
  /\b(vibn_[a-z0-9]+_[a-z0-9]+_)[a-z0-9]+(?:_[a-z0-9]+)?/gi,
  /(\b[a-z][a-z0-9+.-]{0,31}:\/\/[^\s:/@]*:)[^\s@/]+(?=@)/gi,
  /([?&](?:x-goog-signature|x-amz-signature|x-amz-security-token|signature|token|password|secret|key|access_token)=)[^&\s"']+/gi,
  /(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
];

/** Text without what is a secret by its shape, cut to 2,000 characters. */
export function scrubText(text: string): string {
  const scrubbed = secretShapes.reduce((rest, shape) => rest.replace(shape, `$1${censor}`), text);
  return scrubbed.length > textCharsMax ? `${scrubbed.slice(0, textCharsMax)}…` : scrubbed;
}

function tidyError(error: Error): LogFields {
  const code: unknown = 'code' in error ? error.code : undefined;
  const named = { name: error.name, message: scrubText(error.message) };
  return typeof code === 'string' || typeof code === 'number' ? { ...named, code } : named;
}

/** A value as it may be written: errors reduced, text scrubbed, depth and length bounded. */
function tidy(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return scrubText(value);
  if (typeof value === 'bigint') return value.toString();
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof Error) return tidyError(value);
  if (depth >= depthMax) return '[deep]';
  if (Array.isArray(value)) return value.slice(0, itemsMax).map((item) => tidy(item, depth + 1));
  return tidyFields(value, depth);
}

function tidyFields(fields: object, depth: number): Record<string, unknown> {
  const entries = Object.entries(fields).slice(0, itemsMax);
  return Object.fromEntries(
    entries.map(([name, value]) => {
      const shown = redactedNames.has(plainName(name)) ? censor : tidy(value, depth + 1);
      return [scrubText(name), shown];
    }),
  );
}

/** What is used of pino; each child is one of its own. */
interface Sink {
  isLevelEnabled(level: string): boolean;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: Record<string, unknown>): Sink;
}

/** Pino writes the fields of a child when it is made: they are tidied here, not in a formatter that would miss them. */
function wrap(sink: Sink): Logger {
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (fields: LogFields, message: string): void => {
      if (sink.isLevelEnabled(level)) sink[level](tidyFields(fields, 0), message);
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => wrap(sink.child(tidyFields(fields, 0))),
  };
}

export interface LoggerInput {
  readonly level: LogLevel;
  /** Role of the process: "controller", "reader", "api". */
  readonly role: string;
  /** Where lines go; stdout if absent. */
  readonly destination?: DestinationStream;
}

/** JSON lines with ISO-8601 times. */
export function createLogger({ level, role, destination }: LoggerInput): Logger {
  const settings = {
    level,
    base: { role },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return wrap(destination === undefined ? pino(settings) : pino(settings, destination));
}

const silence = (): void => undefined;

/** Says nothing; for tests and simulations. */
export const silentLogger: Logger = {
  debug: silence,
  info: silence,
  warn: silence,
  error: silence,
  child: () => silentLogger,
};
