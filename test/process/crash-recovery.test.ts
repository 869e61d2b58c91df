import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import postgres from 'postgres';
import { systemClock, systemRng } from '#controller/clock.ts';
import { CommitUnknown } from '#controller/store/sql-errors.ts';
import { connect } from '#controller/store/sql.ts';
import { statement } from '#controller/store/statement.ts';
import { startOwnPostgres } from '#test/support/process/own-postgres.ts';
import type { OwnPostgres } from '#test/support/process/own-postgres.ts';
import { openSwitchboard } from '#test/support/process/switchboard.ts';
import type { Switchboard } from '#test/support/process/switchboard.ts';

/**
 * A transaction's number says what became of it only on the server that gave it, and only until that crashes: what was not on disk by then
 * is given again, to another transaction, by the recovered server or by a standby that takes over.
 */
let own: OwnPostgres;
let board: Switchboard;
beforeAll(async () => {
  // The log reaches the disk with a commit, not by itself in between.
  own = await startOwnPostgres({ wal_writer_delay: '10s' });
  board = await openSwitchboard(own.port);
});
afterAll(async () => {
  await board[Symbol.asyncDispose]();
  await own[Symbol.asyncDispose]();
});

const mark = statement<[], never>({ name: 'mark', text: `insert into marks values (1)` });
const whoAmI = statement<[], { pid: number; xid: number }>({
  name: 'who_am_i',
  text: `select pg_backend_pid() as pid, pg_current_xact_id()::text::bigint as xid`,
});

/** Gives numbers to transactions until this one has been given. */
async function useUp(xid: number): Promise<void> {
  const admin = postgres(own.ownerUrl, { max: 1 });
  for (let given = 0; given <= xid;) {
    const [row] = await admin<{ xid: number }[]>`select pg_current_xact_id()::text::int as xid`;
    given = row?.xid ?? 0;
  }
  await admin.end();
}

describe('a commit whose answer was lost with the server', () => {
  test.for([
    { what: 'the whole server', crash: () => own.kill('SIGKILL') },
    { what: 'one session, and with it all others', crash: async () => undefined },
  ])('is not taken for done because its number was given to another since: the crash of $what', async ({ crash }) => {
    const admin = postgres(own.ownerUrl, { max: 1, onnotice: () => undefined });
    await admin`create table if not exists marks (n int)`;
    await admin.end();
    const url = board.through(own.ownerUrl);
    const sql = connect({ url, role: 'test', max: 2, clock: systemClock, rng: systemRng, deadlineMs: 20_000 });
    const held = Promise.withResolvers<{ pid: number; xid: number }>();
    const written = sql
      .transaction(
        'mark',
        async (tx) => {
          const [me] = await whoAmI(tx);
          await mark(tx);
          if (me === undefined) throw new Error('no session');
          // COMMIT will be sent, and nobody will read it.
          process.kill(me.pid, 'SIGSTOP');
          held.resolve(me);
        },
        { resolveCommit: true },
      )
      .then(
        () => 'committed',
        (error: unknown) => error,
      );
    const { pid, xid } = await held.promise;
    await new Promise((resolve) => setImmediate(resolve));
    board.pointTo(null);
    await crash();
    process.kill(pid, 'SIGKILL');
    await own.start();
    await useUp(xid);
    board.pointTo(own.port);

    expect(await written).toBeInstanceOf(CommitUnknown);
    const after = postgres(own.ownerUrl, { max: 1 });
    expect(await after`select n from marks`).toEqual([]);
    await after.end();
    await sql.end();
  });
});
