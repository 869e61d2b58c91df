import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '#controller/clock.ts';
import type { Clock } from '#controller/clock.ts';
import type { ResourceStore } from '#controller/store/resource-store.ts';
import { createSqlAdminStore } from '#controller/store/sql-admin-store.ts';
import { StoreUnavailable } from '#controller/store/sql-errors.ts';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import type { Sql, SqlOptions } from '#controller/store/sql.ts';
import { statement } from '#controller/store/statement.ts';
import { asApiError } from '#api/errors.ts';
import { pooled } from '#test/support/pooler/pooled.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';
import { bucketKey, insertOf, mutationOf } from '#test/support/rows.ts';

/** Who waits for the connections of a pool: a crowd of one tenant's calls, and somebody else. Order is told, never time. */
let db: TestDatabase;
beforeAll(async () => {
  db = await createDatabase();
});
afterAll(() => db[Symbol.asyncDispose]());

const acme = { workspace: 'acme' } as const;
const beta = { workspace: 'beta1' } as const;

/** Stores over a pool of their own, and the order in which what is followed has ended. */
function open(options: Partial<SqlOptions>) {
  const [api, platform] = [db.sql('vibn_api', options), db.sql('vibn_platform')];
  const pools = { api, platform, controller: platform };
  const ended: string[] = [];
  const follow = async (name: string, call: Promise<unknown>): Promise<void> => {
    await call.catch(() => undefined);
    ended.push(name);
  };
  return {
    api,
    resources: createSqlResourceStore({ ...pools, signals: { signal: () => undefined } }),
    admin: createSqlAdminStore(pools),
    ended,
    follow,
  };
}

const crowd = (resources: ResourceStore, count: number): Promise<unknown>[] =>
  Array.from({ length: count }, () => resources.get(acme, bucketKey('absent')));

describe('a crowd of reads of one workspace', () => {
  test.each([1, 4])('delays what others ask for by a few turns of its own, on %i connections', async (max) => {
    const theirs = bucketKey(`absent-${max}`, 'beta1');
    const { resources, admin, ended, follow } = open({ max });
    const reads = crowd(resources, 300).map((read) => follow('crowd', read));
    const others = [
      follow('get', resources.get(beta, theirs)),
      follow('list', resources.list(beta, { workspace: 'beta1', limit: 10 })),
      follow('history', resources.revisions(beta, { workspace: 'beta1', uid: 'absent', limit: 1 })),
      follow('keys', admin.listKeys(beta, { workspace: 'beta1', limit: 10 })),
      follow('write', resources.mutate(mutationOf(beta, () => [insertOf(theirs)], { workspace: 'beta1' }))),
      follow('key', admin.findKey('absent', 'beta1')),
      follow('new key', admin.findKey('absent')),
      follow('open', resources.changes({ ...acme, staysOpen: true }, { workspace: 'acme', afterVersion: 0, limit: 1 })),
    ];
    await Promise.all(others);
    // In the order of their coming all would have waited for all of the crowd.
    expect(ended.filter((one) => one === 'crowd').length).toBeLessThan(100);
    await Promise.all(reads);
    expect(ended).toHaveLength(308);
  });

  test('is told to come again where it is too large, and nobody else is', async () => {
    const { resources } = open({ max: 4 });
    const theirs = bucketKey('absent', 'beta1');
    const results = await Promise.allSettled([...crowd(resources, 1_010), resources.get(beta, theirs)]);
    const refused = results.flatMap((one) => (one.status === 'rejected' ? [asApiError(one.reason).data] : []));
    // Three have a connection, a thousand wait.
    expect(refused).toHaveLength(7);
    expect(refused[0]).toMatchObject({
      code: 'RATE_LIMITED',
      allowed: { waitingMax: 1_000 },
      retryable: true,
      retryAfterMs: 1_000,
    });
    expect(results.at(-1)).toEqual({ status: 'fulfilled', value: null });
    expect(await resources.get(acme, bucketKey('absent'))).toBeNull();
  });
});

const pid = statement<[], { pid: number }>({ name: 'pid', text: 'select pg_backend_pid() as pid' });
const lane = { name: 'one', atOnceMax: 1, waitingMax: 10 };

// Behind a pooler a connection of ours has no server process of its own.
test.skipIf(pooled)('who waits until the deadline leaves the line, and throws away no connection', async () => {
  const due: (() => void)[] = [];
  const clock: Clock = {
    ...systemClock,
    after: (ms, body) => {
      if (ms === 777) due.push(body);
      return ms === 777 ? () => undefined : systemClock.after(ms, body);
    },
  };
  const { api } = open({ max: 2, clock, deadlineMs: 777 });
  const idle = (await pid(api))[0]?.pid;
  const gate = Promise.withResolvers<void>();
  const first = inLane(api, () => gate.promise);
  const second = inLane(api, async () => undefined);
  due.at(-1)?.();
  await expect(second).rejects.toThrow(StoreUnavailable);
  gate.resolve();
  await first;
  const [one, other] = await Promise.all([pid(api), pid(api)]);
  expect([one[0]?.pid, other[0]?.pid]).toContain(idle);
});

function inLane(sql: Sql, body: () => Promise<void>): Promise<void> {
  return sql.transaction('in_lane', body, { lane });
}
