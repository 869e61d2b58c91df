import type postgres from 'postgres';
import type { Env } from '#controller/process/env.ts';
import { fail, ok, warn } from './check.ts';
import type { Check, Finding } from './check.ts';
import type { DatabaseUrls, Subject } from './environment.ts';
import { sessionCheck } from './session.ts';

/** What the server is, whoever asks. */
export interface ServerFacts {
  /** 150018 */
  readonly version: number;
  readonly recovering: boolean;
  readonly fsync: string;
  readonly fullPageWrites: string;
  readonly encoding: string;
  /** What the server and the database let in, superusers aside. */
  readonly connectionsMax: number;
  readonly connectionsUsed: number;
}

/** How far a clock is from this machine's. */
export interface ClockFacts {
  /** The server's time minus ours, ms. */
  readonly aheadMs: number;
  /** It may be wrong by this much: half of the round trip. */
  readonly errorMs: number;
}

/** The server itself: version, durability, clock, room for our pools. */
export function serverChecks({ env, roles }: Subject, urls: DatabaseUrls): readonly Check[] {
  const url = urls.logins.vibn_controller ?? urls.logins.vibn_api;
  if (url === null) return [];
  const what = 'database: server';
  const look = async (sql: postgres.Sql): Promise<readonly Finding[]> => {
    const facts = await readServer(sql);
    const clock = await readClock(sql);
    const sizes = poolSizes(env).filter(({ role }) => roles.some((one) => one === role));
    return [...serverFindings(facts), clockFinding(clock), ...connectionFindings(facts, sizes)];
  };
  return [sessionCheck({ what, url }, look)];
}

async function readServer(sql: postgres.Sql): Promise<ServerFacts> {
  const [facts] = await sql.unsafe<ServerFacts[]>(`
    select current_setting('server_version_num')::int as version, pg_is_in_recovery() as recovering,
      current_setting('fsync') as fsync, current_setting('full_page_writes') as "fullPageWrites",
      current_setting('server_encoding') as encoding,
      least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
          - coalesce(current_setting('reserved_connections', true)::int, 0),
        (select nullif(datconnlimit, -1) from pg_database where datname = current_database())) as "connectionsMax",
      (select sum(numbackends)::int from pg_stat_database) as "connectionsUsed"`);
  if (facts === undefined) throw new Error('The server answered nothing.');
  return facts;
}

const clockTries = 3;

/** Asks a few times and believes the fastest answer. */
async function readClock(sql: postgres.Sql): Promise<ClockFacts> {
  const tries: ClockFacts[] = [];
  for (let index = 0; index < clockTries; index += 1) {
    const sentAt = Date.now();
    const [row] = await sql.unsafe<{ at: number }[]>(
      `select (extract(epoch from clock_timestamp()) * 1000)::float8 as at`,
    );
    const gotAt = Date.now();
    tries.push({ aheadMs: (row?.at ?? 0) - (sentAt + gotAt) / 2, errorMs: (gotAt - sentAt) / 2 + 1 });
  }
  return tries.reduce((best, one) => (one.errorMs < best.errorMs ? one : best));
}

/** Version, primary, durability, encoding. Pure. */
export function serverFindings(facts: ServerFacts): readonly Finding[] {
  const major = Math.floor(facts.version / 10_000);
  const findings: Finding[] = [];
  if (major < 15) findings.push(fail('database: version', `Postgres ${major}`, 'Use Postgres 15 to 18.'));
  else if (major > 18)
    findings.push(warn('database: version', `Postgres ${major} is not what is tested`, 'Use Postgres 15 to 18.'));
  else findings.push(ok('database: version', `Postgres ${major}.${facts.version % 10_000}`));
  if (facts.recovering) {
    findings.push(fail('database: primary', 'this server is a standby', 'Use the address of the primary.'));
  }
  const unsafe = [
    ...(facts.fsync === 'on' ? [] : ['fsync']),
    ...(facts.fullPageWrites === 'on' ? [] : ['full_page_writes']),
  ];
  findings.push(
    unsafe.length === 0
      ? ok('database: durability', 'fsync and full_page_writes are on')
      : fail(
          'database: durability',
          `${unsafe.join(', ')} off: a crash loses the database`,
          `In postgresql.conf: ${unsafe.map((name) => `${name} = on`).join(', ')}.`,
        ),
  );
  if (facts.encoding !== 'UTF8') {
    findings.push(fail('database: encoding', facts.encoding, 'Create the database with encoding UTF8.'));
  }
  return findings;
}

const clockMsMax = 2_000;

/** Expiry of keys and freezes is written by one clock and read by the other. Pure. */
export function clockFinding({ aheadMs, errorMs }: ClockFacts): Finding {
  const what = 'database: clock';
  const seconds = (Math.abs(aheadMs) / 1000).toFixed(3);
  const fact = `${seconds} s ${aheadMs < 0 ? 'behind' : 'ahead of'} this machine (±${(errorMs / 1000).toFixed(3)} s)`;
  if (Math.abs(aheadMs) - errorMs <= clockMsMax) return ok(what, fact);
  return warn(what, fact, 'Run NTP on both; leases do not compare clocks, times shown to people do.');
}

export interface PoolSize {
  readonly role: 'api' | 'controller' | 'reader';
  readonly connections: number;
}

/** Connections of one replica of each role: its pools and one for LISTEN. What is no number counts as its default. */
export function poolSizes(env: Env): readonly PoolSize[] {
  const whole = (name: string, standard: number): number => {
    const text = env[name] ?? '';
    return /^\d{1,3}$/.test(text) ? Number(text) : standard;
  };
  return [
    { role: 'api', connections: 2 * whole('VIBN_API_POOL_MAX', 10) + 1 },
    { role: 'controller', connections: whole('VIBN_DB_CONNECTIONS', 10) + 1 },
    { role: 'reader', connections: whole('VIBN_DB_CONNECTIONS', 4) + 1 },
  ];
}

/** Two replicas of each role must fit, with one of each starting beside them. */
const replicas = 3;
const fullShare = 0.9;

/** Whether the pools fit. Behind a pooler the server holds fewer than this. Pure. */
export function connectionFindings(facts: ServerFacts, sizes: readonly PoolSize[]): readonly Finding[] {
  const what = 'database: connections';
  const one = sizes.reduce((sum, { connections }) => sum + connections, 0);
  const { connectionsMax: max, connectionsUsed: used } = facts;
  const fact = `${used} of ${max} in use; one replica of each role takes up to ${one}`;
  const remedy = `Raise max_connections to ${one * replicas} or more, lower VIBN_API_POOL_MAX and VIBN_DB_CONNECTIONS, or put PgBouncer between.`;
  if (one > max) return [fail(what, fact, remedy)];
  if (used > max * fullShare || one * replicas > max) return [warn(what, fact, remedy)];
  return [ok(what, fact)];
}
