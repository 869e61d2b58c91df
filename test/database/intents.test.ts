import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { markSending } from '#controller/store/engine/mark-sending.ts';
import { CommitUnknown } from '#controller/store/sql-errors.ts';
import { createSqlEngineStore } from '#controller/store/sql-engine-store.ts';
import type { Fence } from '#controller/store/rows.ts';
import { cutProxy } from '#test/support/cut-proxy.ts';
import {
  claim,
  declare,
  fenceOf,
  isDue,
  leaseMs,
  pass,
  read,
  shard,
} from '#test/conformance/store-contract/fixture.ts';
import { createSqlStores, gate, sessionsWaiting, type SqlStores } from '#test/support/stores.ts';

// What only a real database can show of the write-ahead records; the rest is in the contract (intents.ts).

let stores: SqlStores;
let statements: string[] = [];
beforeAll(async () => {
  stores = await createSqlStores({ onStatement: (name) => void statements.push(name) });
});
afterAll(() => stores[Symbol.asyncDispose]());
beforeEach(async () => {
  await stores.clear();
  statements = [];
});

const callMs = 30_000;
const intentsOf = async (uid: string) => (await read(stores, uid)).intents;

/** A claimed row with an announced intent `n1`. */
async function announced(): Promise<Fence> {
  const fence = fenceOf(await claim(stores, await declare(stores, 'a')));
  await stores.engine.announce(fence, { effect: 'register:a.example', nonce: 'n1', args: { price: 1 } });
  return fence;
}

describe('the mark before a send', () => {
  test('is a commit of its own that waits for the disk, whatever the default of the role', async () => {
    const fence = await announced();
    await stores.db.owner`alter role vibn_controller set synchronous_commit = off`;
    try {
      const sql = stores.db.sql('vibn_controller', { max: 1 });
      const seen: string[] = [];
      const spied = {
        ...sql,
        transaction: ((name, body, options) =>
          sql.transaction(
            name,
            async (tx) => {
              const value = await body(tx);
              const [row] = await tx.run<{ now: string }>(
                { name: 'peek', text: `select current_setting('synchronous_commit') as now`, repeatable: true },
                [],
              );
              seen.push(row?.now ?? '');
              return value;
            },
            options,
          )) satisfies typeof sql.transaction,
      };
      const engine = createSqlEngineStore({ sql: spied, signals: { signal: () => undefined } });
      expect(await engine.markSending(fence, 'n1', callMs)).not.toBeNull();
      await engine.answer({ shard, uid: fence.uid, nonce: 'n1', state: 'done', result: null });
      expect(seen).toEqual(['on', 'on']);
    } finally {
      await stores.db.owner`alter role vibn_controller reset synchronous_commit`;
    }
  });

  test('and the lease that the send needs are one commit', async () => {
    const fence = await announced();
    await stores.engine.markSending(fence, 'n1', callMs);
    const [one] = await stores.db.owner`
      select i.xmin = w.xmin as together, w.lease_until - i.give_up_at as margin
      from intents i join work w using (shard, uid)`;
    expect(one).toEqual({ together: true, margin: '00:00:02' });
  });

  test('is refused once the lease is over, even if nobody has taken the row', async () => {
    const fence = await announced();
    await stores.elapse(leaseMs + 1);
    expect(await stores.engine.markSending(fence, 'n1', callMs)).toBeNull();
    expect((await intentsOf(fence.uid))[0]?.state).toBe('announced');
  });

  test('of two attempts at once lets only one be sent', async () => {
    const fence = await announced();
    await stores.engine.announce(fence, { effect: 'renew:a.example:2026', nonce: 'n2', args: {} });
    const marks = await Promise.all(['n1', 'n2'].map((nonce) => stores.engine.markSending(fence, nonce, callMs)));
    expect(marks.filter((mark) => mark !== null)).toHaveLength(1);
    expect((await intentsOf(fence.uid)).map((one) => one.state).sort()).toEqual(['announced', 'sending']);
  });

  test('cannot put two open sends into one row even past the statement: the index refuses', async () => {
    const fence = await announced();
    await stores.engine.markSending(fence, 'n1', callMs);
    await stores.engine.announce(fence, { effect: 'renew:a.example:2026', nonce: 'n2', args: {} });
    const past = stores.db.owner`
      update intents set state = 'sending', sent_at = now(), give_up_at = now() where nonce = 'n2'`;
    await expect(past).rejects.toThrow(/intents_one_open/);
  });
});

describe('a COMMIT of the mark without an answer', () => {
  /** An engine store behind a proxy that loses the answer of the chunk which carries COMMIT, or the chunk itself. */
  async function markThrough(fence: Fence, how: 'unsent' | 'unanswered'): Promise<unknown> {
    await using proxy = await cutProxy(stores.db.urlOf('vibn_controller'));
    const sql = stores.db.sql('vibn_controller', { url: proxy.url, max: 1 });
    const engine = createSqlEngineStore({ sql, signals: { signal: () => undefined } });
    // Once to prepare the statements, once to count the chunks of a mark; both are fenced.
    await engine.markSending({ ...fence, epoch: 99 }, 'n1', callMs);
    proxy.arm(null);
    await engine.markSending({ ...fence, epoch: 99 }, 'n1', callMs);
    const commitChunk = proxy.chunks();
    proxy.arm({ chunk: commitChunk, how });
    const failure = await engine.markSending(fence, 'n1', callMs).catch((error: unknown) => error);
    await sql.end();
    return failure;
  }

  test.for(['unsent', 'unanswered'] as const)(
    'surfaces as CommitUnknown, and the attempt is retired by nonce (%s)',
    async (how) => {
      const fence = await announced();
      expect(await markThrough(fence, how)).toBeInstanceOf(CommitUnknown);
      const state = (await intentsOf(fence.uid))[0]?.state;
      expect(['announced', 'sending']).toContain(state);
      await stores.engine.retire({ shard, uid: fence.uid, nonce: 'n1' });
      expect((await intentsOf(fence.uid))[0]?.state).toBe('retired');
      // It was certainly not sent, so the next attempt may be.
      const next = await stores.engine.announce(fence, {
        effect: 'register:a.example',
        nonce: 'n2',
        args: { price: 1 },
      });
      expect(next?.attempt).toBe(2);
      expect(await stores.engine.markSending(fence, 'n2', callMs)).not.toBeNull();
    },
  );

  test('that did commit leaves the attempt sending, which is why nobody may guess', async () => {
    const fence = await announced();
    await markThrough(fence, 'unanswered');
    const looks: (string | undefined)[] = [];
    while (looks.at(-1) !== 'sending' && looks.length < 1_000) looks.push((await intentsOf(fence.uid))[0]?.state);
    expect(looks.at(-1)).toBe('sending');
  });
});

describe('the answer', () => {
  test('locks the row first, so a settle at the same time sees it or is woken by it', async () => {
    const fence = await announced();
    await stores.engine.markSending(fence, 'n1', callMs);
    const [held, free] = [gate(), gate()];
    const other = stores.db.owner.begin(async (tx) => {
      await tx`select from work where shard = ${fence.shard} and uid = ${fence.uid} for update`;
      held.open();
      await free.opened;
    });
    await held.opened;
    const answering = stores.engine.answer({ shard, uid: fence.uid, nonce: 'n1', state: 'done', result: { id: 7 } });
    await sessionsWaiting(stores.db, 1);
    expect((await intentsOf(fence.uid))[0]?.state).toBe('sending');
    free.open();
    await Promise.all([other, answering]);
    expect((await intentsOf(fence.uid))[0]).toMatchObject({ state: 'done', result: { id: 7 } });
  });

  test('that comes while a settle retires the attempt is never lost: done, or contradicted', async () => {
    for (const first of ['answer', 'settle'] as const) {
      await stores.clear();
      const fence = await announced();
      await stores.engine.markSending(fence, 'n1', callMs);
      await stores.elapse(callMs + 3_000);
      const answer = () =>
        stores.engine.answer({ shard, uid: fence.uid, nonce: 'n1', state: 'done', result: { id: 7 } });
      if (first === 'answer') await answer();
      await pass(stores, fence.uid, { intents: [{ nonce: 'n1', state: 'retired' }], dropAnnounced: [] });
      if (first === 'settle') await answer();
      const [intent] = await intentsOf(fence.uid);
      expect(intent).toMatchObject({ state: 'done', result: { id: 7 }, contradicts: first === 'settle' });
      expect(await isDue(stores, fence.uid)).toBe(first === 'settle');
    }
  });

  test('of a row that is gone is stored all the same', async () => {
    const fence = await announced();
    await stores.engine.markSending(fence, 'n1', callMs);
    await stores.engine.retire({ shard, uid: fence.uid, nonce: 'n1' });
    await stores.db.owner`delete from resources`;
    await stores.engine.answer({ shard, uid: fence.uid, nonce: 'n1', state: 'done', result: null });
    expect(await stores.db.owner`select state, contradicts from intents`).toEqual([
      { state: 'done', contradicts: true },
    ]);
  });
});

describe('states that make no sense', () => {
  test.for([
    `update intents set state = 'sending'`,
    `update intents set state = 'announced', sent_at = now(), give_up_at = now()`,
    `update intents set state = 'retired'`,
    `update intents set contradicts = true`,
    `update intents set sent_at = now()`,
    `insert into intents (shard, uid, effect, attempt, workspace, nonce, state, args, announced_at)
       select shard, uid, 'other', 1, workspace, nonce, 'announced', '{}', now() from intents`,
  ])('are refused by the table: %s', async (text) => {
    await announced();
    await expect(stores.db.owner.unsafe(text)).rejects.toThrow(/constraint/);
  });
});

describe('the statement of the mark', () => {
  test('takes its row in one transaction with the setting: nothing else can come between', async () => {
    const fence = await announced();
    statements = [];
    await stores.engine.markSending(fence, 'n1', callMs);
    expect(statements.toSorted()).toEqual(['commit_mark_sending', markSending.statement.name, 'sync_commit']);
  });
});
