import type { Scope } from './resource-store.ts';
import type { Sql } from './sql.ts';
import type { Tx } from './sql-transaction.ts';
import type { Runner } from './statement.ts';
import type { Lane } from './turns.ts';

/** The two logins of the API: a workspace's keys go through row-level security, platform keys do not. */
export interface ScopedPools {
  readonly api: Sql;
  readonly platform: Sql;
}

/**
 * Of one workspace, at once, of a pool of 10: its reads (a call reads a row in about a millisecond, so these are more than its rate allows),
 * the reads of its calls that stay open, its writes (one of rows, one of what is no row), and the looks for its keys.
 */
const atOnceMax = { reads: 3, open: 1, writes: 2, keys: 2 } as const;
/** Reads of one workspace that wait: a second's worth. What comes beyond is told to come again. */
const readsWaitingMax = 1_000;
/** The same for keys that nobody has used lately, whosever they are: their owner is not known yet. */
const newKeysWaitingMax = 1_000;

/** Where the calls of a workspace stand: whatever it asks for, others wait for at most one turn of each of its lanes. */
function laneOf(workspace: string, what: keyof typeof atOnceMax, waitingMax = Infinity): Lane {
  return { name: `${what} of ${workspace}`, atOnceMax: atOnceMax[what], waitingMax };
}

/** Where looks for keys stand, by whose they are; those of nobody that is known have one lane. */
export function laneOfKeys(whose: string | undefined): Lane {
  return whose === undefined ? laneOf('-', 'keys', newKeysWaitingMax) : laneOf(whose, 'keys');
}

/** Slug of a workspace (kinds.md). What is not one matches no row, and must not get into a SET. */
const slug = /^[a-z][a-z0-9]{2,21}$/;

/**
 * Reads as a scope: one round trip. Behind row-level security the setting and the read travel together. Throws LaneFull if too many reads of
 * the workspace wait already.
 */
export async function readAs<Row>(
  pools: ScopedPools,
  scope: Scope,
  read: { readonly name: string; readonly query: (runner: Runner) => Promise<readonly Row[]> },
): Promise<readonly Row[]> {
  if (scope === 'platform') return await read.query(pools.platform);
  let rows: readonly Row[] = [];
  await pools.api.transaction(
    read.name,
    async (tx) => {
      enter(tx, scope);
      tx.closeWith(async () => {
        rows = await read.query(tx);
      });
    },
    { repeatable: true, lane: readLaneOf(scope) },
  );
  return rows;
}

/** Runs a transaction as a scope. */
export async function writeAs<T>(
  pools: ScopedPools,
  scope: Scope,
  write: { readonly name: string; readonly body: (tx: Tx) => Promise<T> },
): Promise<T> {
  const pool = scope === 'platform' ? pools.platform : pools.api;
  const body = async (tx: Tx): Promise<T> => {
    enter(tx, scope);
    return await write.body(tx);
  };
  const lane = scope === 'platform' ? {} : { lane: laneOf(scope.workspace, 'writes') };
  return await pool.transaction(write.name, body, { resolveCommit: true, ...lane });
}

function readLaneOf({ workspace, staysOpen }: Exclude<Scope, 'platform'>): Lane {
  return staysOpen === true ? laneOf(workspace, 'open') : laneOf(workspace, 'reads', readsWaitingMax);
}

/** Tells row-level security whose rows this transaction may touch. */
function enter(tx: Tx, scope: Scope): void {
  if (scope === 'platform') return;
  if (!slug.test(scope.workspace)) throw new RangeError(`not a workspace: ${JSON.stringify(scope.workspace)}`);
  tx.setLocal('vibn.workspace', scope.workspace);
}
