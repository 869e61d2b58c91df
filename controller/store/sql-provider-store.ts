import { topic } from '#resources/topic.ts';
import { addBudget } from './engine/add-budget.ts';
import { addProvider } from './engine/add-provider.ts';
import { addSlots } from './engine/add-slots.ts';
import { blockProvider } from './engine/block-provider.ts';
import { claimProbe } from './engine/claim-probe.ts';
import { countMaterialized } from './engine/count-materialized.ts';
import { freezeProvider } from './engine/freeze-provider.ts';
import { giveSlot } from './engine/give-slot.ts';
import { listeningShards } from './engine/listening-shards.ts';
import { toProviderRow } from './engine/provider-columns.ts';
import { readProviders } from './engine/read-providers.ts';
import { registerCredential } from './engine/register-credential.ts';
import { reportCall } from './engine/report-call.ts';
import { takeSlot } from './engine/take-slot.ts';
import { takeTokens } from './engine/take-tokens.ts';
import { takeWindow } from './engine/take-window.ts';
import { thawProvider } from './engine/thaw-provider.ts';
import type { ProviderStore } from './provider-store.ts';
import { beginRecorded } from './sql-recording.ts';
import type { Tx } from './sql-transaction.ts';
import type { Sql } from './sql.ts';

export interface SqlProviderStoreOptions {
  /** A pool logged in as vibn_controller; as vibn_platform only `providers`, `freeze` (of a known account) and `thaw` are allowed. */
  readonly sql: Sql;
}

/** ProviderStore on Postgres. Invariants P1 and P2 stand in provider-store.ts. */
export function createSqlProviderStore({ sql }: SqlProviderStoreOptions): ProviderStore {
  return { ...createBreakers(sql), ...createBudgets(sql), ...createProbes(sql) };
}

type Breakers = Pick<ProviderStore, 'providers' | 'report' | 'block' | 'freeze' | 'thaw' | 'registerCredential'>;

function createBreakers(sql: Sql): Breakers {
  return {
    async providers() {
      return (await readProviders(sql)).map(toProviderRow);
    },
    async report(input) {
      const { provider, account } = input;
      const name = topic.provider(provider, account);
      const row = await untilThere(
        () => reportCall(sql, provider, account, input.outcome, input.opensAt, name, input.wakePerSecond),
        () => addProvider(sql, provider, account),
      );
      const opened = row.was === 'closed' && row.breaker === 'open';
      return { row: toProviderRow(row), opened, closed: row.was === 'open' && row.breaker === 'closed' };
    },
    async block({ provider, account, forMs }) {
      await blockProvider(sql, provider, account, Math.ceil(forMs));
    },
    async freeze({ provider, account, by, why, forMs }, recording) {
      const body = async (tx: Tx): Promise<void> => {
        const record = await beginRecorded(tx, recording);
        await untilThere(
          () => freezeProvider(tx, provider, account, by, why, forMs),
          () => addProvider(tx, provider, account),
        );
        record();
      };
      await sql.transaction('freeze_provider', body, { resolveCommit: true });
    },
    /** Recorded even if it was not frozen: a late repeat must not thaw what is frozen since. */
    async thaw({ provider, account }, recording) {
      const body = async (tx: Tx): Promise<boolean> => {
        const record = await beginRecorded(tx, recording);
        const thawed = await thawProvider(tx, provider, account);
        record();
        return thawed.length > 0;
      };
      return await sql.transaction('thaw_provider', body, { resolveCommit: true });
    },
    async registerCredential({ provider, account, digest, wakePerSecond }) {
      const name = topic.credential(provider, account);
      return (await registerCredential(sql, provider, account, digest, name, wakePerSecond)).length > 0;
    },
  };
}

type Budgets = Pick<ProviderStore, 'takeTokens' | 'takeSlot' | 'giveSlot' | 'takeWindow'>;

function createBudgets(sql: Sql): Budgets {
  return {
    async takeTokens({ provider, account, budget, want, ratePerSecond, burst }) {
      const lease = await untilThere(
        () => takeTokens(sql, provider, account, budget, want, ratePerSecond, burst),
        () => addBudget(sql, provider, account, budget, burst),
      );
      return lease.granted;
    },
    async takeSlot({ provider, account, count, holder, leaseMs }) {
      const take = async (): Promise<number | null> =>
        (await takeSlot(sql, provider, account, count, holder, leaseMs))[0]?.slot ?? null;
      const slot = await take();
      if (slot !== null) return slot;
      // All taken, or not all made yet: the insert is one probe a slot.
      await addSlots(sql, provider, account, count);
      return await take();
    },
    async giveSlot({ provider, account, slot, holder }) {
      await giveSlot(sql, provider, account, slot, holder);
    },
    async takeWindow({ scope, key, limit, windowMs }) {
      const [row] = await takeWindow(sql, scope, key, limit, windowMs);
      return row?.taken === true ? { taken: true } : { taken: false, freeAt: row?.free_at ?? null };
    },
  };
}

function createProbes(sql: Sql): Pick<ProviderStore, 'claimProbe' | 'countMaterialized'> {
  return {
    async claimProbe({ provider, account, holder, leaseMs, kinds }) {
      const name = topic.provider(provider, account);
      for (const { shard } of await listeningShards(sql, name)) {
        const [row] = await claimProbe(sql, shard, name, holder, leaseMs, kinds ?? null);
        if (row === undefined) continue;
        const { uid, workspace, kind, epoch, wake_seq: wakeSeq, claimed_at: claimedAt } = row;
        return { shard, uid, workspace, kind, epoch, wakeSeq, claimedAt };
      }
      return null;
    },
    async countMaterialized() {
      return (await countMaterialized(sql))[0]?.count ?? 0;
    },
  };
}

/** Runs an update of a row that may not exist yet: if it finds none, the row is made and the update runs again. */
async function untilThere<Row>(update: () => Promise<readonly Row[]>, make: () => Promise<unknown>): Promise<Row> {
  const [row] = await update();
  if (row !== undefined) return row;
  await make();
  const [made] = await update();
  if (made === undefined) throw new Error('a row that was just made is gone');
  return made;
}
