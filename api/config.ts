import { loginUrl } from '#controller/store/sql.ts';
import { logLevels } from '#controller/log.ts';
import type { LogLevel } from '#controller/log.ts';

/** What the role `api` is told by its environment. It holds no provider credential and no decryption key (law 1). */
export interface ApiConfig {
  readonly host: string;
  readonly port: number;
  /** Logins of vibn_api and vibn_platform. */
  readonly apiUrl: string;
  readonly platformUrl: string;
  /** For LISTEN and NOTIFY, past any transaction pooler. */
  readonly directUrl: string;
  /** Connections of each of the two pools. */
  readonly poolMax: number;
  readonly keyHmacSecret: string;
  readonly keyEnv: string;
  /** Null: verbs and plans that ask a provider are UNAVAILABLE. */
  readonly readerUrl: string | null;
  readonly internalToken: string;
  readonly logLevel: LogLevel;
}

type Env = Readonly<Record<string, string | undefined>>;

const secretCharsMin = 32;

/** Reads the settings, or answers every problem at once, each with its remedy. */
export function readConfig(env: Env): ApiConfig | { readonly problems: readonly string[] } {
  const problems: string[] = [];
  const say = (problem: string): void => void problems.push(problem);
  const apiUrl = databaseUrl(env, 'DATABASE_URL_API', say);
  const config: ApiConfig = {
    host: env['VIBN_API_HOST'] ?? '127.0.0.1',
    port: whole(env, { name: 'VIBN_API_PORT', standard: 4_400, min: 0, max: 65_535 }, say),
    apiUrl,
    platformUrl: databaseUrl(env, 'DATABASE_URL_PLATFORM', say),
    directUrl: env['DATABASE_URL_DIRECT'] === undefined ? apiUrl : directUrl(env['DATABASE_URL_DIRECT'], apiUrl, say),
    poolMax: whole(env, { name: 'VIBN_API_POOL_MAX', standard: 10, min: 1, max: 200 }, say),
    keyHmacSecret: secret(env, say),
    keyEnv: keyEnv(env, say),
    ...reader(env, say),
    logLevel: logLevel(env, say),
  };
  return problems.length > 0 ? { problems } : config;
}

type Say = (problem: string) => void;

/** The login's own URL, or DATABASE_URL with the login's name and VIBN_DB_ROLE_PASSWORD. */
function databaseUrl(env: Env, name: 'DATABASE_URL_API' | 'DATABASE_URL_PLATFORM', say: Say): string {
  const own = env[name];
  if (own !== undefined && own !== '') return isPostgres(own) ? own : (say(`${name} is no postgres:// URL.`), '');
  const [owner, password] = [env['DATABASE_URL'], env['VIBN_DB_ROLE_PASSWORD']];
  const login = name === 'DATABASE_URL_API' ? 'vibn_api' : 'vibn_platform';
  if (owner !== undefined && isPostgres(owner) && password !== undefined && password !== '') {
    return loginUrl(owner, login, password);
  }
  say(
    `${name} is not set: use postgres://${login}:<password>@<host>:5432/<database>, or set DATABASE_URL and VIBN_DB_ROLE_PASSWORD.`,
  );
  return '';
}

function directUrl(text: string, apiUrl: string, say: Say): string {
  if (isPostgres(text)) return text;
  say('DATABASE_URL_DIRECT is no postgres:// URL: leave it unset unless DATABASE_URL_API goes through a pooler.');
  return apiUrl;
}

function isPostgres(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'postgres:' || url.protocol === 'postgresql:');
}

function whole(env: Env, want: { name: string; standard: number; min: number; max: number }, say: Say): number {
  const text = env[want.name];
  if (text === undefined || text === '') return want.standard;
  const value = Number(text);
  if (Number.isInteger(value) && value >= want.min && value <= want.max) return value;
  say(`${want.name} is "${text}": use a whole number from ${want.min} to ${want.max}; unset it is ${want.standard}.`);
  return want.standard;
}

function secret(env: Env, say: Say): string {
  const text = env['VIBN_KEY_HMAC_SECRET'] ?? '';
  if (text.length >= secretCharsMin) return text;
  say(
    `VIBN_KEY_HMAC_SECRET is ${text === '' ? 'not set' : 'too short'}: use at least ${secretCharsMin} random characters, the same in every replica and for ever.`,
  );
  return text;
}

function keyEnv(env: Env, say: Say): string {
  const text = env['VIBN_KEY_ENV'] ?? 'prod';
  if (/^[a-z0-9]{1,16}$/.test(text)) return text;
  say(`VIBN_KEY_ENV is "${text}": use 1 to 16 lower-case letters or digits, e.g. prod.`);
  return text;
}

function reader(env: Env, say: Say): Pick<ApiConfig, 'readerUrl' | 'internalToken'> {
  const [text, internalToken] = [env['VIBN_READER_URL'] ?? '', env['VIBN_INTERNAL_TOKEN'] ?? ''];
  if (text === '') return { readerUrl: null, internalToken };
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) say('VIBN_READER_URL is no http:// URL.');
  if (internalToken === '') say('VIBN_INTERNAL_TOKEN is not set: the reader asks for it. Use the same in both.');
  return { readerUrl: text.replace(/\/+$/, ''), internalToken };
}

function logLevel(env: Env, say: Say): LogLevel {
  const text = env['VIBN_LOG_LEVEL'] ?? 'info';
  const level = logLevels.find((one) => one === text);
  if (level === undefined) say(`VIBN_LOG_LEVEL is "${text}": use one of ${logLevels.join(', ')}.`);
  return level ?? 'info';
}
