import { platformShard } from '#resources/shard.ts';
import { topic } from '#resources/topic.ts';
import { askFiring } from './engine/ask-firing.ts';
import { drainTopic } from './engine/drain-topic.ts';
import { drainingShards } from './engine/draining-shards.ts';
import { fireTopics } from './engine/fire-topics.ts';
import { moveFiring } from './engine/move-firing.ts';
import { registerEngine } from './engine/register-engine.ts';
import { takeFiring } from './engine/take-firing.ts';
import { takeVersions } from './engine/take-versions.ts';
import { trimGone } from './engine/trim-gone.ts';
import { trimIntents } from './engine/trim-intents.ts';
import { trimKeys } from './engine/trim-keys.ts';
import { trimPasses } from './engine/trim-passes.ts';
import { trimPlans } from './engine/trim-plans.ts';
import { trimReplayItems } from './engine/trim-replay-items.ts';
import { trimTombstones } from './engine/trim-tombstones.ts';
import { trimTopics } from './engine/trim-topics.ts';
import type { EngineStore } from './engine-store.ts';
import type { Tx } from './sql-transaction.ts';
import type { SqlEngineStoreOptions } from './engine/options.ts';

type Upkeep = Pick<
  EngineStore,
  'fire' | 'drain' | 'drainingShards' | 'askFiring' | 'takeFiring' | 'moveFiring' | 'sweep' | 'registerEngine'
>;

/** Topics fired by the engine itself, and trimming by age. */
export function createSqlUpkeep({ sql, signals }: SqlEngineStoreOptions): Upkeep {
  return {
    async fire(shard, topics, rowMs) {
      if (topics.length === 0) return 0;
      let woken = 0;
      const write = async (tx: Tx): Promise<void> => {
        const version = (await takeVersions(tx, shard, 1))[0]?.version ?? 0;
        tx.closeWith(async () => {
          woken = (await fireTopics(tx, shard, version, topics, rowMs))[0]?.woken ?? 0;
        });
      };
      await sql.transaction('fire', write, { repeatable: true });
      if (woken > 0) signals.signal([shard]);
      return woken;
    },
    async drain(shard, limit) {
      const [drained] = await drainTopic(sql, shard, limit);
      if (drained !== undefined && drained.woken > 0) signals.signal([shard]);
      return drained?.more ?? false;
    },
    async drainingShards() {
      return (await drainingShards(sql)).map((row) => row.shard);
    },
    async sweep(shard, { tombstoneMs, passMs, topicMs, deadKeyMs, doneIntentsKept, batchMax }) {
      const trims = [
        () => trimTombstones(sql, shard, tombstoneMs, batchMax),
        () => trimIntents(sql, shard, passMs, doneIntentsKept, batchMax),
        () => trimPasses(sql, shard, passMs, batchMax),
        () => trimTopics(sql, shard, topicMs, batchMax),
        () => trimPlans(sql, shard, batchMax),
        () => trimReplayItems(sql, shard, passMs, batchMax),
        () => trimGone(sql, shard, passMs, batchMax),
        ...(shard === platformShard && deadKeyMs !== undefined ? [() => trimKeys(sql, deadKeyMs, batchMax)] : []),
      ];
      let trimmed = 0;
      for (const trim of trims) trimmed += (await trim())[0]?.trimmed ?? 0;
      return trimmed;
    },
    async askFiring(name, ratePerSecond) {
      await askFiring(sql, name, ratePerSecond);
    },
    async takeFiring(leaseMs) {
      const [row] = await takeFiring(sql, leaseMs);
      if (row === undefined || row.topic === null) return { firing: null, inMs: row?.in_ms ?? null };
      const { topic: name, rate_per_second: ratePerSecond, round, next_shard: shard } = row;
      return { firing: { topic: name, ratePerSecond, round, shard }, inMs: null };
    },
    async moveFiring({ topic: name, round, shard }, waitMs) {
      await moveFiring(sql, name, round, shard, waitMs);
    },
    async registerEngine(buildId, ratePerSecond) {
      return (await registerEngine(sql, buildId, topic.engine, ratePerSecond)).length > 0;
    },
  };
}
