import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { fireTopics } from '#controller/store/engine/fire-topics.ts';
import { takeVersions } from '#controller/store/engine/take-versions.ts';
import { trimPlans } from '#controller/store/engine/trim-plans.ts';
import { trimTopics } from '#controller/store/engine/trim-topics.ts';
import { shard, workspace } from '#test/conformance/store-contract/fixture.ts';
import { createSqlStores, gate, sessionsWaiting, type SqlStores } from '#test/support/stores.ts';

// A trim decides by its snapshot and may then wait for a lock: what was written meanwhile is not what it decided about.

let stores: SqlStores;
beforeAll(async () => {
  stores = await createSqlStores();
});
afterAll(() => stores[Symbol.asyncDispose]());
beforeEach(() => stores.clear());

const hourMs = 3_600_000;

describe('trimming', () => {
  test('leaves a topic that fires while it waits: a pass that read before has yet to find that firing', async () => {
    const { db, engine, sql } = stores;
    await engine.fire(shard, ['ref:Bucket/acme/a'], 0);
    await db.owner`
      update shards set topics_mark = version, topics_marked_at = statement_timestamp() - interval '2 hours'
      where shard = ${shard}`;
    const [fired, go] = [gate(), gate()];
    const firing = sql.transaction('fire', async (tx) => {
      const version = (await takeVersions(tx, shard, 1))[0]?.version ?? 0;
      await fireTopics(tx, shard, version, ['ref:Bucket/acme/a'], 0);
      fired.open();
      await go.opened;
    });
    await fired.opened;
    const trimming = trimTopics(sql, shard, hourMs, 500);
    await sessionsWaiting(db, 1);
    go.open();
    await Promise.all([firing, trimming]);
    const left = await db.owner`select topic, fired_version from topics`;
    expect(left).toMatchObject([{ topic: 'ref:Bucket/acme/a', fired_version: '2' }]);
  });

  test('leaves a plan that is asked for again while it waits', async () => {
    const { db, sql } = stores;
    await db.owner`
      insert into plans (shard, hash, kind, name, workspace, base_generation, desired_digest, actions, expires_at)
      values (${shard}, 'h', 'Bucket', 'a', ${workspace}, 0, 'd', '[]', statement_timestamp() - interval '1 minute')`;
    const [moved, go] = [gate(), gate()];
    const asking = db.owner.begin(async (tx) => {
      await tx`update plans set expires_at = statement_timestamp() + interval '1 hour'`;
      moved.open();
      await go.opened;
    });
    await moved.opened;
    const trimming = trimPlans(sql, shard, 500);
    await sessionsWaiting(db, 1);
    go.open();
    await Promise.all([asking, trimming]);
    expect(await db.owner`select hash from plans`).toMatchObject([{ hash: 'h' }]);
  });
});
