import type { z } from 'zod';
import { createEnvReader, ConfigError } from './env.ts';
import type { Env, EnvReader } from './env.ts';
import { budgetNames, providerNames } from '#controller/gateway/budgets.ts';
import { logLevels } from '#controller/log.ts';
import type { LogLevel } from '#controller/log.ts';
import { budgetSchema, createOptions } from '#controller/options.ts';
import { loginUrl } from '#controller/store/sql.ts';
import type { Budget, Options, optionsSchema } from '#controller/options.ts';

/**
 * Environment variables → options of the roles controller and reader. All problems are found before anything is started: the process
 * then ends with code 1 and one line for each.
 */
export interface RoleConfig {
  readonly logLevel: LogLevel;
  readonly database: {
    /** Login vibn_controller. */
    readonly url: string;
    /** For LISTEN and NOTIFY: not through a pooler in transaction mode. */
    readonly directUrl: string;
    readonly connections: number;
  };
  /** Address of the private listener. */
  readonly host: string;
  /** 0: none (controller only). */
  readonly port: number;
  /** Null: derived from the source. */
  readonly buildId: string | null;
  readonly options: Options;
}

export interface ReaderConfig extends RoleConfig {
  readonly internalToken: string;
}

/** Throws ConfigError with all problems. `registry` may add its own: what builds clients from the environment and throws. */
export function readControllerConfig<Registry>(
  env: Env,
  registry: (env: Env) => Registry,
): WithRegistry<RoleConfig, Registry> {
  const reader = createEnvReader(env);
  const config = roleConfig(reader, env, {
    port: reader.int('VIBN_CONTROLLER_PORT', { min: 0, max: 65_535, standard: 4411 }),
    connections: 10,
  });
  return complete(reader, config, () => registry(env));
}

/** Throws ConfigError with all problems. */
export function readReaderConfig<Registry>(
  env: Env,
  registry: (env: Env) => Registry,
): WithRegistry<ReaderConfig, Registry> {
  const reader = createEnvReader(env);
  const config = roleConfig(reader, env, {
    port: reader.int('VIBN_READER_PORT', { min: 1, max: 65_535, standard: 4410 }),
    connections: 4,
  });
  const internalToken = reader.text('VIBN_INTERNAL_TOKEN', {
    pattern: /^[\x21-\x7e]{32,256}$/,
    allowed: '32 to 256 visible ASCII characters, the same for the API and the reader',
    example: '$(openssl rand -hex 32)',
    secret: true,
  });
  return complete(reader, { ...config, internalToken }, () => registry(env));
}

export type WithRegistry<Config, Registry> = Config & { readonly registry: Registry };

function complete<Config, Registry>(
  reader: EnvReader,
  config: Config,
  build: () => Registry,
): WithRegistry<Config, Registry> {
  try {
    const registry = build();
    if (reader.problems.length === 0) return { ...config, registry };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const variable = /\bVIBN_[A-Z_]+\b/.exec(message)?.[0] ?? 'The provider settings';
    reader.problem({ variable, value: null, allowed: null, remedy: message });
  }
  throw new ConfigError(reader.problems);
}

function roleConfig(
  reader: EnvReader,
  env: Env,
  standard: { readonly port: number; readonly connections: number },
): RoleConfig {
  const url = databaseUrl(reader);
  const options = gatewayOptions(reader, env);
  return {
    logLevel: reader.choice<LogLevel>('VIBN_LOG_LEVEL', logLevels, 'info'),
    database: {
      url,
      directUrl: reader.raw('DATABASE_URL_DIRECT') === undefined ? url : postgresUrl(reader, 'DATABASE_URL_DIRECT'),
      connections: reader.int('VIBN_DB_CONNECTIONS', { min: 2, max: 200, standard: standard.connections }),
    },
    host: reader.text('VIBN_PRIVATE_HOST', {
      pattern: /^[\w.:-]{1,253}$/,
      allowed: 'the address that private listeners bind to',
      example: '127.0.0.1',
      standard: '127.0.0.1',
    }),
    port: standard.port,
    buildId: reader.raw('VIBN_BUILD_ID')?.slice(0, 128) ?? null,
    options: createOptions({
      engine: { slots: reader.int('VIBN_SLOTS', { min: 1, max: 1_000, standard: 128 }) },
      gateway: options,
    }),
  };
}

/** DATABASE_URL_CONTROLLER, or DATABASE_URL with user and password replaced (architecture §8, Database logins). */
function databaseUrl(reader: EnvReader): string {
  if (reader.raw('DATABASE_URL_CONTROLLER') !== undefined) return postgresUrl(reader, 'DATABASE_URL_CONTROLLER');
  const password = reader.raw('VIBN_DB_ROLE_PASSWORD');
  if (reader.raw('DATABASE_URL') === undefined || password === undefined) {
    reader.problem({
      variable: 'DATABASE_URL_CONTROLLER',
      value: null,
      allowed: 'set, or DATABASE_URL and VIBN_DB_ROLE_PASSWORD together',
      remedy: 'Example: DATABASE_URL_CONTROLLER=postgres://vibn_controller:<password>@127.0.0.1:5432/vibn',
    });
    return '';
  }
  const url = postgresUrl(reader, 'DATABASE_URL');
  return URL.canParse(url) ? loginUrl(url, 'vibn_controller', password) : '';
}

function postgresUrl(reader: EnvReader, name: string): string {
  return reader.text(name, {
    pattern: /^postgres(ql)?:\/\/[^\s/]+\/\S+$/,
    allowed: 'a URL postgres://user:password@host:port/database',
    example: 'postgres://vibn_controller:<password>@127.0.0.1:5432/vibn',
    secret: true,
  });
}

type GatewayInput = NonNullable<z.input<typeof optionsSchema>['gateway']>;

/** VIBN_RATE_<PROVIDER>[_<FAMILY>], VIBN_CONCURRENCY[_<PROVIDER>], VIBN_CONNECTIONS_<PROVIDER>. */
function gatewayOptions(reader: EnvReader, env: Env): GatewayInput {
  const budgets: Record<string, Budget> = {};
  const concurrencyOf: Record<string, number> = {};
  const slotsOf: Record<string, number> = {};
  const sets = [
    {
      prefix: 'VIBN_RATE_',
      names: budgetNames,
      read: (name: string, key: string) => readBudget(reader, name, (budget) => (budgets[key] = budget)),
    },
    {
      prefix: 'VIBN_CONCURRENCY_',
      names: providerNames,
      read: (name: string, key: string) =>
        (concurrencyOf[key] = reader.int(name, { min: 1, max: 1_000, standard: 32 })),
    },
    {
      prefix: 'VIBN_CONNECTIONS_',
      names: providerNames,
      read: (name: string, key: string) => (slotsOf[key] = reader.int(name, { min: 1, max: 10, standard: 1 })),
    },
  ] as const;
  for (const { prefix, names, read } of sets) {
    for (const name of Object.keys(env).filter((one) => one.startsWith(prefix) && reader.raw(one) !== undefined)) {
      const key = names.find((one) => `${prefix}${one.replace(':', '_').toUpperCase()}` === name);
      if (key !== undefined) read(name, key);
      else reader.problem(unknownName(name, prefix, names));
    }
  }
  const concurrency = reader.int('VIBN_CONCURRENCY', { min: 1, max: 1_000, standard: 64 });
  return { budgets, concurrencyOf, slotsOf, concurrency };
}

function unknownName(variable: string, prefix: string, names: readonly string[]) {
  const allowed = names.map((one) => `${prefix}${one.replace(':', '_').toUpperCase()}`).join(', ');
  return { variable, value: null, allowed: `named one of ${allowed}`, remedy: 'Rename or unset it.' };
}

/** "5" or "0.4/4": calls a second, and how many at once after a rest (twice the rate, at least 1, if not given). */
function readBudget(reader: EnvReader, name: string, keep: (budget: Budget) => void): void {
  const value = reader.raw(name) ?? '';
  const match = /^(\d{1,5}(?:\.\d{1,3})?)(?:\/(\d{1,5}))?$/.exec(value);
  const ratePerSecond = Number(match?.[1]);
  const burst = match?.[2] === undefined ? Math.max(1, Math.ceil(ratePerSecond * 2)) : Number(match[2]);
  const parsed = budgetSchema.safeParse({ ratePerSecond, burst });
  if (parsed.success) return keep(parsed.data);
  const allowed = '<calls a second>, or <calls a second>/<burst>: 0.01 to 10000, burst 1 to 20000';
  reader.problem({ variable: name, value, allowed, remedy: `Example: ${name}=0.4/4` });
}
