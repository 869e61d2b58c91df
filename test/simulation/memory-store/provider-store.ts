import type { ProviderReport, ProviderStore } from '#controller/store/provider-store.ts';
import type { ProviderRow } from '#controller/store/rows.ts';
import { topic } from '#resources/topic.ts';
import type { MemoryDatabase } from './database.ts';
import { askFiring, claimOne } from './engine-store.ts';
import { beginRecorded } from './recording.ts';

interface Account {
  readonly provider: string;
  readonly account: string;
}

/** ProviderStore over a MemoryDatabase. */
export function createMemoryProviderStore(db: MemoryDatabase): ProviderStore {
  return { ...createBreakerMethods(db), ...createBudgetMethods(db), ...createProbeMethods(db) };
}

function providerRow(db: MemoryDatabase, { provider, account }: Account): ProviderRow {
  const healthy = { breaker: 'closed', cause: null, failures: 0, openedAt: null } as const;
  const free = { blockedUntil: null, frozen: null, credentialDigest: null };
  return db.providers.get(`${provider}/${account}`) ?? { provider, account, ...healthy, ...free };
}

function store(db: MemoryDatabase, row: ProviderRow): ProviderRow {
  db.providers.set(`${row.provider}/${row.account}`, row);
  return row;
}

type BreakerMethods = Pick<ProviderStore, 'providers' | 'report' | 'block' | 'freeze' | 'thaw' | 'registerCredential'>;

function createBreakerMethods(db: MemoryDatabase): BreakerMethods {
  return {
    async providers() {
      return [...db.providers.values()];
    },
    async report(input) {
      const before = providerRow(db, input);
      const row = store(db, reported(before, input, db.now()));
      const opened = before.breaker === 'closed' && row.breaker === 'open';
      const closed = before.breaker === 'open' && row.breaker === 'closed';
      if (closed) askFiring(db, topic.provider(input.provider, input.account), input.wakePerSecond);
      return { row, opened, closed };
    },
    async block(input) {
      const row = providerRow(db, input);
      store(db, { ...row, blockedUntil: Math.max(row.blockedUntil ?? 0, db.now() + input.forMs) });
    },
    async freeze(input, recording) {
      const record = beginRecorded(db, recording);
      const until = input.forMs === null ? null : db.now() + input.forMs;
      store(db, { ...providerRow(db, input), frozen: { by: input.by, why: input.why, until } });
      record();
    },
    async thaw(input, recording) {
      beginRecorded(db, recording)();
      const row = providerRow(db, input);
      if (row.frozen === null) return false;
      store(db, { ...row, frozen: null });
      return true;
    },
    async registerCredential(input) {
      const row = providerRow(db, input);
      store(db, { ...row, credentialDigest: input.digest });
      const isNew = row.credentialDigest !== input.digest;
      if (isNew) askFiring(db, topic.credential(input.provider, input.account), input.wakePerSecond);
      return isNew;
    },
  };
}

/** Failures in a row of one cause open the breaker; any success closes it. */
function reported(row: ProviderRow, { outcome, opensAt }: ProviderReport, now: number): ProviderRow {
  if (outcome === 'ok') return { ...row, breaker: 'closed', cause: null, failures: 0, openedAt: null };
  const failures = row.cause === null || row.cause === outcome ? row.failures + 1 : 1;
  if (row.breaker === 'open') return { ...row, failures };
  const opens = failures >= opensAt;
  return { ...row, cause: outcome, failures, breaker: opens ? 'open' : 'closed', openedAt: opens ? now : null };
}

type BudgetMethods = Pick<ProviderStore, 'takeTokens' | 'takeSlot' | 'giveSlot' | 'takeWindow'>;

function createBudgetMethods(db: MemoryDatabase): BudgetMethods {
  const slotKey = ({ provider, account }: Account, slot: number): string => `${provider}/${account}/${slot}`;
  return {
    async takeTokens({ provider, account, budget, want, ratePerSecond, burst }) {
      const key = `${provider}/${account}/${budget}`;
      const now = db.now();
      const before = db.budgets.get(key) ?? { tokens: burst, at: now };
      const refilled = Math.min(burst, before.tokens + (ratePerSecond * (now - before.at)) / 1_000);
      const taken = Math.min(want, Math.floor(refilled));
      db.budgets.set(key, { tokens: refilled - taken, at: now });
      return taken;
    },
    async takeSlot(input) {
      const now = db.now();
      for (let slot = 0; slot < input.count; slot += 1) {
        const held = db.slots.get(slotKey(input, slot));
        if (held !== undefined && held.until > now) continue;
        db.slots.set(slotKey(input, slot), { holder: input.holder, until: now + input.leaseMs });
        return slot;
      }
      return null;
    },
    async giveSlot(input) {
      const key = slotKey(input, input.slot);
      if (db.slots.get(key)?.holder === input.holder) db.slots.delete(key);
    },
    async takeWindow({ scope, key, limit, windowMs }) {
      const now = db.now();
      const name = `${scope}\u0000${key}`;
      const events = (db.windows.get(name) ?? []).filter((at) => at > now - windowMs);
      const [oldest] = events;
      if (events.length >= limit) return { taken: false, freeAt: oldest === undefined ? null : oldest + windowMs };
      db.windows.set(name, [...events, now]);
      return { taken: true };
    },
  };
}

function createProbeMethods(db: MemoryDatabase): Pick<ProviderStore, 'claimProbe' | 'countMaterialized'> {
  return {
    async claimProbe({ provider, account, holder, leaseMs, kinds }) {
      const name = topic.provider(provider, account);
      for (const tables of db.shards.values()) {
        const waiting = [...(tables.listeners.get(name) ?? [])]
          .map((uid) => ({ uid, work: tables.work.get(uid) }))
          .filter(({ work }) => work !== undefined && (work.leaseUntil === null || work.leaseUntil <= db.now()))
          .filter(({ work }) => work !== undefined && (kinds?.includes(work.kind) ?? true))
          .sort((a, b) => (a.work?.passedAt ?? 0) - (b.work?.passedAt ?? 0) || (a.uid < b.uid ? -1 : 1));
        const [first] = waiting;
        if (first?.work === undefined) continue;
        return claimOne(db, tables, { uid: first.uid, work: first.work, holder, leaseMs });
      }
      return null;
    },
    async countMaterialized() {
      let count = 0;
      for (const tables of db.shards.values()) {
        for (const work of tables.work.values()) if (work.materializedAt !== null) count += 1;
      }
      return count;
    },
  };
}
