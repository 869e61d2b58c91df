import { toPassRow } from './engine/pass-row.ts';
import { claimRows } from './engine/claim-rows.ts';
import { dueShards } from './engine/due-shards.ts';
import { extendLease } from './engine/extend-lease.ts';
import { listOthers } from './engine/list-others.ts';
import { listRows } from './engine/list-rows.ts';
import { leaseMarginMs, type SqlEngineStoreOptions } from './engine/options.ts';
import { readJournal } from './engine/read-journal.ts';
import { readKey } from './engine/read-key.ts';
import { readOperation } from './engine/read-operation.ts';
import { readRows } from './engine/read-rows.ts';
import { releaseClaims } from './engine/release-claims.ts';
import { renewLeases } from './engine/renew-leases.ts';
import type { EngineStore } from './engine-store.ts';
import { toPass } from './queries/read-passes.ts';
import { toResourceRow } from './resource-columns.ts';
import type { Fence } from './rows.ts';
import { createSqlIntents } from './sql-intents.ts';
import { createSqlRemoval } from './sql-removal.ts';
import { createSqlSettles } from './sql-settles.ts';
import { createSqlUpkeep } from './sql-upkeep.ts';
import { shardOf } from '#resources/shard.ts';

/** EngineStore on Postgres. Invariants E1 to E6 stand in engine-store.ts; what each statement guarantees, in its own file. */
export function createSqlEngineStore(options: SqlEngineStoreOptions): EngineStore {
  return {
    ...createClaims(options),
    ...createReads(options),
    ...createSqlSettles(options),
    ...createSqlIntents(options),
    ...createSqlRemoval(options),
    ...createSqlUpkeep(options),
  };
}

type Claims = Pick<EngineStore, 'dueShards' | 'claim' | 'renew' | 'extend' | 'release'>;

function createClaims({ sql, signals }: SqlEngineStoreOptions): Claims {
  return {
    async dueShards() {
      return (await dueShards(sql)).map((row) => row.shard);
    },
    async claim({ shard, holder, limit, perWorkspaceMax, leaseMs, kinds, from }) {
      if (limit < 1) return [];
      const rows = await claimRows(sql, shard, holder, limit, perWorkspaceMax, leaseMs, kinds ?? null, from ?? null);
      return rows.map(({ uid, workspace, kind, epoch, wake_seq: wakeSeq, claimed_at: claimedAt }) => {
        return { shard, uid, workspace, kind, epoch, wakeSeq, claimedAt };
      });
    },
    async renew({ shard, holder, uids, leaseMs }) {
      if (uids.length === 0) return [];
      return (await renewLeases(sql, shard, holder, uids, leaseMs)).map((row) => row.uid);
    },
    async extend({ shard, uid, epoch, holder }, callTimeoutMs) {
      const rows = await extendLease(sql, shard, uid, epoch, holder, callTimeoutMs + leaseMarginMs);
      return rows[0] === undefined ? null : { wakeSeq: rows[0].wake_seq };
    },
    async release(fences) {
      const byShard = Map.groupBy(fences, (fence) => fence.shard);
      for (const [shard, some] of byShard) await releaseClaims(sql, shard, ...fenceColumns(some));
      signals.signal([...byShard.keys()]);
    },
  };
}

function fenceColumns(fences: readonly Fence[]): [uids: string[], epochs: number[], holders: string[]] {
  return [fences.map((one) => one.uid), fences.map((one) => one.epoch), fences.map((one) => one.holder)];
}

type Reads = Pick<EngineStore, 'readRows' | 'readKey' | 'listRows' | 'listOthers' | 'readOperation' | 'passes'>;

function createReads({ sql }: SqlEngineStoreOptions): Reads {
  return {
    async readRows(shard, uids) {
      const rows = await readRows(sql, shard, uids);
      const [head] = rows;
      if (head === undefined) throw new Error(`shard ${shard} is missing: run the migrations`);
      const found = rows.filter((row) => row.uid !== null).map(toPassRow);
      return { version: head.shard_version, now: head.now, rows: found };
    },
    async readKey({ workspace, kind, name }) {
      const [row] = await readKey(sql, shardOf(workspace), workspace, kind, name);
      return {
        version: row?.shard_version ?? 0,
        row: row === undefined || row.uid === null ? null : toResourceRow(row),
      };
    },
    async listRows({ shard, workspace, ownerUid, kinds, after, limit }) {
      const rows = await listRows(sql, shard, workspace, ownerUid ?? null, kinds ?? null, after ?? '', limit);
      const found = rows.flatMap((row) => (row.uid === null ? [] : [toResourceRow(row)]));
      return { version: rows[0]?.shard_version ?? 0, rows: found };
    },
    async listOthers({ shard, workspace, otherThan, after, limit }) {
      return (await listOthers(sql, shard, workspace, otherThan, after ?? '', limit)).map(toResourceRow);
    },
    async readOperation({ shard, uid, key }) {
      return (await readOperation(sql, shard, uid, key))[0] ?? null;
    },
    async passes({ shard, uid, limit, epoch }) {
      return (await readJournal(sql, shard, uid, epoch ?? null, limit)).map(toPass);
    },
  };
}
