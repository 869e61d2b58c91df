import type { Remedy } from '#resources/condition.ts';
import { topic } from '#resources/topic.ts';
import { isoTime, parseTime } from '#controller/clock.ts';
import type { Action } from '#controller/contract.ts';
import { frozenRefusal } from './gates.ts';
import type { Outcome } from './outcome.ts';
import { accountOf } from './progress.ts';
import type { Pass } from './progress.ts';
import { lastStood } from './recent-actions.ts';
import { onStore, stopPass } from './scope.ts';
import type { PassDeps } from './scope.ts';

/**
 * The brake before a re-create (architecture §5, Brakes): `create` for a row whose object was there before. False-empty answers are
 * the worst outage for a reconciler. A `create` while our object is seen makes a part of it and is none.
 */
export async function recreate(pass: Pass, deps: PassDeps, action: Action): Promise<Outcome | null> {
  const { scope, reconciler } = pass;
  const { row } = scope.passRow;
  const stoodAt = action.effect === 'create' && row.deletedAt === null ? lastKnown(pass, action) : null;
  if (stoodAt === null || pass.progress.look?.exists === true) return null;
  // Seen a moment ago: reads that lag are no reason to count a loss, let alone to make it again.
  const leftMs = lastStood(scope.passRow.work) + scope.timing.visibilityMs - scope.now;
  if (leftMs > 0) return { type: 'verifying', retryAfterMs: leftMs };
  if (reconciler.kind.holdsData && !isAskedFor(row.spec['recreate_requested_at'], stoodAt, scope.now)) {
    return deletedOutside(pass, deps, stoodAt);
  }
  const frozen = await brake(pass, deps);
  if (frozen !== null) return frozen;
  const incarnation = await onStore(scope, () => deps.store.beginRecreate(scope.fence));
  if (incarnation === null) return stopPass(scope, 'lost');
  return { type: 'acted', effect: 'create', steps: [] };
}

/** When our object was known to stand: seen, or its creation answered longer ago than reads may lag; null: never. */
function lastKnown({ scope, progress }: Pass, action: Action): number | null {
  const { materializedAt } = scope.passRow.work;
  if (materializedAt !== null) return materializedAt;
  const done = progress.review?.intents.find((one) => one.effect === action.intent && one.state === 'done');
  const answeredAt = done?.answeredAt ?? null;
  return answeredAt !== null && scope.now - answeredAt >= scope.timing.visibilityMs ? answeredAt : null;
}

/** How far ahead of the database the clock of who asked may be. */
const aheadMs = 300_000;

/** `recreate_requested_at` counts if it is newer than what it is about, and not from the future. */
function isAskedFor(wish: unknown, stoodAt: number, now: number): boolean {
  if (typeof wish !== 'string') return false;
  const at = parseTime(wish);
  return at > stoodAt && at <= now + aheadMs;
}

/** What a person or agent can do, as calls that work as they stand; the row is also looked at again by itself, slowly. */
function deletedOutside({ scope }: Pass, deps: PassDeps, stoodAt: number): Outcome {
  const { workspace, kind, name, uid } = scope.passRow.row;
  // Any time after it last stood says which loss is meant, and does not move from pass to pass.
  const patch = { recreate_requested_at: isoTime(Math.floor(stoodAt) + 1) };
  const recreate = remedy('recreate-empty', 'resources.patch', { workspace, kind, name, patch });
  const lookAgain = remedy('look-again', 'replays.create', { selector: { workspace, kind, names: [name] } });
  const manifest = {
    apiVersion: 'vibn.dev/v1',
    kind: 'Restore',
    metadata: { workspace, name: `restore-${name}`.slice(0, 32) },
  };
  const restore = deps.kinds.get('Restore') === undefined ? [] : [remedy('restore', 'resources.apply', { manifest })];
  return {
    type: 'stalled',
    reason: 'DeletedOutside',
    message: `What this ${kind} stood for is gone and was not deleted here. It held data and is not made again empty by itself.`,
    clearsOn: [topic.spec(uid)],
    remedy: [recreate, ...restore, lookAgain],
  };
}

function remedy(id: string, proc: string, input: Remedy['call']['input']): Remedy {
  return { id, call: { proc, input }, destructive: false, needs: id === 'look-again' ? 'sre' : 'declarer' };
}

/** More than max(3, 1 %) re-creates of an account in the window freeze it. */
async function brake(pass: Pass, deps: PassDeps): Promise<Outcome | null> {
  const { scope } = pass;
  const { providers, options } = deps;
  const account = accountOf(pass);
  if (account === null) return null;
  const standing = await onStore(scope, () => providers.countMaterialized());
  const limit = Math.max(options.recreatesMax, Math.floor(standing / 100));
  const key = `${account.provider}/${account.account}`;
  const window = { scope: 'recreate', key, limit, windowMs: options.recreateWindowMs };
  const { taken } = await onStore(scope, () => providers.takeWindow(window));
  if (taken) return null;
  const freeze = { by: 'engine', why: 'too many objects vanished at once; look whether its answers are true' };
  await onStore(scope, () => providers.freeze({ ...account, ...freeze, forMs: null }));
  deps.log.error({ ...account, limit }, 'Too many re-creates: the account is frozen');
  return frozenRefusal(account, freeze);
}
