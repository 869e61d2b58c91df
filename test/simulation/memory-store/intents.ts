import type { Intent } from '#controller/contract.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';
import type { Fence } from '#controller/store/rows.ts';
import { sameJson } from '#resources/json.ts';
import { changeWork, shardTables, wake, type MemoryDatabase, type Shard } from './database.ts';
import type { MemoryWork } from './work-table.ts';

type IntentMethods = Pick<EngineStore, 'extend' | 'announce' | 'markSending' | 'answer' | 'retire'>;

/** The row of `work` if the fence holds: epoch and holder match (E1). */
export function fenced(tables: Shard, fence: Fence): MemoryWork | null {
  const work = tables.work.get(fence.uid);
  return work !== undefined && work.epoch === fence.epoch && work.holder === fence.holder ? work : null;
}

/** Replaces the intent of that nonce. */
export function changeIntent(
  tables: Shard,
  { uid, nonce }: { uid: string; nonce: string },
  change: Partial<Intent>,
): void {
  const intents = tables.intents.get(uid) ?? [];
  tables.intents.set(
    uid,
    intents.map((intent) => (intent.nonce === nonce ? { ...intent, ...change } : intent)),
  );
}

/** Sent, or perhaps sent: while one exists nothing else of the row is sent, and the row is not removed. */
export function isOpen(intent: Intent): boolean {
  return intent.state === 'sending' || intent.state === 'unknown';
}

/** Room between the lease's end and the call's deadline (architecture §5, Leases). */
const leaseMarginMs = 2_000;

/** The write-ahead records of sends, and the lease that each send needs. */
export function createIntentMethods(db: MemoryDatabase): IntentMethods {
  const extended = (tables: Shard, fence: Fence, callTimeoutMs: number): MemoryWork | null => {
    const work = fenced(tables, fence);
    if (work === null || work.leaseUntil === null || work.leaseUntil <= db.now()) return null;
    const leaseUntil = Math.max(work.leaseUntil, db.now() + callTimeoutMs + leaseMarginMs);
    changeWork(tables, fence.uid, { leaseUntil });
    return work;
  };
  return {
    async extend(fence, callTimeoutMs) {
      const work = extended(shardTables(db, fence.shard), fence, callTimeoutMs);
      return work === null ? null : { wakeSeq: work.wakeSeq };
    },
    async announce(fence, { effect, nonce, args }) {
      const tables = shardTables(db, fence.shard);
      if (fenced(tables, fence) === null) return null;
      const all = tables.intents.get(fence.uid) ?? [];
      const ofEffect = all.filter((intent) => intent.effect === effect);
      const done = ofEffect.findLast((intent) => intent.state === 'done');
      if (done !== undefined) return done;
      const announced = ofEffect.find((intent) => intent.state === 'announced');
      if (announced !== undefined && sameJson(announced.args, args)) return announced;
      const attempt = Math.max(0, ...ofEffect.map((intent) => intent.attempt)) + 1;
      const made = announcedIntent({ effect, nonce, args, attempt, announcedAt: db.now() });
      tables.intents.set(fence.uid, [...all.filter((intent) => intent !== announced), made]);
      return made;
    },
    async markSending(fence, nonce, callTimeoutMs) {
      const tables = shardTables(db, fence.shard);
      const intents = tables.intents.get(fence.uid) ?? [];
      const intent = intents.find((one) => one.nonce === nonce);
      if (intent?.state !== 'announced' || intents.some(isOpen)) return null;
      const work = extended(tables, fence, callTimeoutMs);
      if (work === null) return null;
      const sentAt = db.now();
      changeIntent(tables, { uid: fence.uid, nonce }, { state: 'sending', sentAt, giveUpAt: sentAt + callTimeoutMs });
      return { wakeSeq: work.wakeSeq };
    },
    async answer({ shard, uid, nonce, state, result }) {
      const tables = shardTables(db, shard);
      const intent = tables.intents.get(uid)?.find((one) => one.nonce === nonce);
      if (intent === undefined) return;
      const change = answered(intent, { state, result, now: db.now() });
      if (change.contradicts === true) showDone(tables, uid, intent);
      changeIntent(tables, { uid, nonce }, change);
      wake(db, tables, { uid, priority: 'dependency' });
      db.committed(shard);
    },
    async retire({ shard, uid, nonce }) {
      changeIntent(shardTables(db, shard), { uid, nonce }, { state: 'retired', answeredAt: db.now() });
    },
  };
}

/** A contradiction comes back with all that was done of its effect. */
function showDone(tables: Shard, uid: string, contradicting: Intent): void {
  tables.archived.delete(contradicting.nonce);
  for (const one of tables.intents.get(uid) ?? []) {
    if (one.effect === contradicting.effect && one.state === 'done') tables.archived.delete(one.nonce);
  }
}

function announcedIntent(input: Pick<Intent, 'effect' | 'nonce' | 'args' | 'attempt' | 'announcedAt'>): Intent {
  const unanswered = { result: null, sentAt: null, giveUpAt: null, answeredAt: null, contradicts: false };
  return { ...input, ...unanswered, state: 'announced' };
}

/** What an answer changes: an open attempt takes it; a retired one that was done after all contradicts; a done one keeps the result. */
function answered(
  intent: Intent,
  answer: { state: 'done' | 'refused' | 'unknown'; result: Intent['result']; now: number },
): Partial<Intent> {
  if (isOpen(intent)) {
    return { state: answer.state, result: answer.result ?? intent.result, answeredAt: answer.now };
  }
  if (answer.state !== 'done') return {};
  if (intent.state === 'retired')
    return { state: 'done', contradicts: true, result: answer.result, answeredAt: answer.now };
  return { result: intent.result ?? answer.result };
}
