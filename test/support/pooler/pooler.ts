/**
 * Which pooler the tests' logins go through: `VIBN_TEST_POOLER=swap` (our own, always there) or `pgbouncer`; unset: none. The owner, who
 * arranges and looks, and LISTEN go to the server itself.
 */
import { pgbouncerMissing, startPgbouncer } from './pgbouncer.ts';
import { openSwappingPooler } from './swapping-pooler.ts';

export const poolerNames = ['swap', 'pgbouncer'] as const;
export type PoolerName = (typeof poolerNames)[number];

/** Throws a RangeError for another name. Empty and undefined: none. */
export function poolerNamed(text: string | undefined): PoolerName | null {
  if (text === undefined || text === '') return null;
  const name = poolerNames.find((one) => one === text);
  if (name === undefined)
    throw new RangeError(`VIBN_TEST_POOLER is ${text}; use ${poolerNames.join(' or ')}, or unset it`);
  return name;
}

/** Why this pooler can not be had here; null: it can. */
export async function poolerMissing(name: PoolerName | null): Promise<string | null> {
  return name === 'pgbouncer' ? await pgbouncerMissing() : null;
}

/** Starts a pooler before the server of a URL. */
export async function startPooler(
  name: PoolerName,
  server: { readonly serverUrl: string; readonly rolePassword: string },
): Promise<{ readonly port: number } & AsyncDisposable> {
  return name === 'swap' ? await openSwappingPooler(server) : await startPgbouncer(server);
}
