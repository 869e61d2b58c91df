import { tracked } from '@trpc/server';
import { z } from 'zod';
import type { FeedChange, ListQuery } from '#controller/store/resource-store.ts';
import { projectResource } from '#resources/conditions.ts';
import { ApiError } from '#resources/errors.ts';
import type { Resource, ResourceKey, ResourceRow, ResourceView } from '#resources/resource.ts';
import type { ApiDeps, Call } from './context.ts';
import { cursorInput, labelsInput, workspaceInput } from './procedures/inputs.ts';
import { readableKinds } from './procedures/read.ts';
import { requireWorkspace } from './scopes.ts';
import { tenantOf } from './tenant.ts';
import { watchCursor, watchPlace } from './watch-cursor.ts';
import type { WatchPlace } from './watch-cursor.ts';

/**
 * Changes of one workspace as server-sent events (architecture §6, Watch). Each event's id is the cursor.
 *
 * W1  Without a cursor it begins with the present selection; what changes meanwhile follows, none missed.
 * W2  A changed row that fails the label selector is LEFT, whether or not it was sent before; one that is gone is REMOVED.
 * W3  A cursor that has lost tombstones, or comes from a later state of the database than there is, is CURSOR_EXPIRED.
 * W4  The key is asked for again at least every `keyRecheckMs`, between two events and while it reads too: revocation closes the watch.
 * W5  A watch whose reader takes nothing keeps one event: its page may be let go, and is read again from there.
 */
export const watchInput = z.strictObject({
  workspace: workspaceInput,
  kind: z.string().min(1).max(64).optional(),
  labels: labelsInput.optional(),
  cursor: cursorInput.optional(),
  /** Set by tRPC from the header Last-Event-ID when a client reconnects; it is the newer cursor. */
  lastEventId: cursorInput.optional(),
});

export type WatchInput = z.output<typeof watchInput>;

export type WatchEvent =
  | { readonly type: 'CHANGED'; readonly resource: Resource }
  | { readonly type: 'REMOVED' | 'LEFT'; readonly ref: ResourceKey; readonly uid: string }
  | { readonly type: 'BOOKMARK' };

/** Which rows a watch is about. */
interface Selection {
  readonly kind: string | undefined;
  /** Kinds that the key may read; null: all. */
  readonly kinds: ReadonlySet<string> | null;
  readonly labels: Readonly<Record<string, string>>;
}

interface Watching {
  readonly deps: ApiDeps;
  readonly call: Call;
  readonly selection: Selection;
  readonly signal: AbortSignal | undefined;
  /** Asks again whether the key holds, if it is time to. Before each event: a slow reader may take minutes for a page. */
  readonly stillHolds: () => Promise<void>;
}

/** The events of one watch, until the caller leaves or the key no longer holds. */
export async function* watch(
  deps: ApiDeps,
  call: Call,
  { input, signal }: { readonly input: WatchInput; readonly signal: AbortSignal | undefined },
) {
  const { workspace, kind, labels = {} } = input;
  requireWorkspace(call.principal, workspace);
  const selection = { kind, kinds: readableKinds(deps, call, kind), labels };
  const cursor = input.lastEventId ?? input.cursor;
  const watching: Watching = { deps, call, selection, signal, stillHolds: keyCheck(deps, call) };
  const standing = deps.feed.place([workspace]);
  let place = cursor === undefined ? null : watchPlace(cursor, workspace);
  if (place === null || place.listing !== undefined) {
    place = yield* present(watching, { workspace, place });
  }
  yield* follow(watching, { place, moved: (ms) => standing.moved(ms, signal) });
}

/** Rows of one page of the present selection. */
const pageMax = 50;
const bookmark: WatchEvent = { type: 'BOOKMARK' };
const changed = (view: ResourceView): WatchEvent => ({ type: 'CHANGED', resource: projectResource(view) });
const gone = (signal: AbortSignal | undefined): boolean => signal?.aborted === true;

/** The present selection. Its ids carry how far the listing came, so that a client that reconnects misses none of it. */
async function* present(
  watching: Watching,
  { workspace, place }: { readonly workspace: string; readonly place: WatchPlace | null },
) {
  const { deps, call, selection, signal, stillHolds } = watching;
  let version = place?.version ?? null;
  let after: ResourceKey | undefined = place?.listing === undefined ? undefined : { workspace, ...place.listing };
  for (let more = true; more && !gone(signal);) {
    const page = await readPresent(watching, workspace, after);
    version ??= page.version ?? 0;
    for (const view of page.held) {
      const { kind, name } = view.row;
      after = { workspace, kind, name };
      if (!mayRead(selection, kind)) continue;
      const id = watchCursor({ workspace, version, listing: { kind, name } });
      await stillHolds();
      yield tracked(id, changed(view));
    }
    more = page.more || page.held.isCut();
    await deps.auth.recheck(call.caller);
  }
  return { workspace, version: version ?? 0 };
}

/** A page of the selection, held apart from all that a watch keeps while its reader takes its time. */
async function readPresent(watching: Watching, workspace: string, after: ResourceKey | undefined) {
  const { deps, call, selection } = watching;
  const query: ListQuery = {
    workspace,
    ...(selection.kind === undefined ? {} : { kind: selection.kind }),
    labels: selection.labels,
    limit: pageMax,
    ...(after === undefined ? {} : { after }),
  };
  const reading = deps.lane.run(workspace, () => deps.reads.list(call.scope, query));
  const { items, more, version } = await whileKeyHolds(watching, reading);
  return { held: deps.held.hold(tenantOf(call.principal), items), more, version };
}

/** Changes after a place, with bookmarks, until the caller leaves. */
async function* follow(
  watching: Watching,
  input: { readonly place: WatchPlace; readonly moved: (timeoutMs: number) => Promise<void> },
) {
  const { deps, call, selection, signal, stillHolds } = watching;
  const { clock, options } = deps;
  const { workspace } = input.place;
  let { version } = input.place;
  let bookmarkAt = clock.monotonic() + options.bookmarkEveryMs;
  while (!gone(signal)) {
    const page = await readChanged(watching, workspace, version);
    for (const change of page.held) {
      ({ version } = change);
      const event = eventOf(change, selection);
      await stillHolds();
      if (event !== null) yield tracked(watchCursor({ workspace, version }), event);
    }
    const more = page.full || page.held.isCut();
    if (!more) ({ version } = page);
    if (clock.monotonic() >= bookmarkAt) {
      yield tracked(watchCursor({ workspace, version }), bookmark);
      bookmarkAt = clock.monotonic() + options.bookmarkEveryMs;
    }
    await deps.auth.recheck(call.caller);
    if (!more) await input.moved(Math.min(options.keyRecheckMs, Math.max(1, bookmarkAt - clock.monotonic())));
  }
}

/** A page of what changed, held likewise. Throws CURSOR_EXPIRED. */
async function readChanged(watching: Watching, workspace: string, after: number) {
  const { deps, call } = watching;
  const reading = deps.feed.read(call.scope, workspace, after);
  const { changes, full, version, trimmedThrough } = await whileKeyHolds(watching, reading);
  if (after < trimmedThrough || after > version) throw expired(after, trimmedThrough);
  return { held: deps.held.hold(tenantOf(call.principal), changes), full, version };
}

/** What is read, unless the key is lost meanwhile: in the tenant's own line that may take long. */
async function whileKeyHolds<T>({ deps, call }: Watching, reading: Promise<T>): Promise<T> {
  const { auth, clock, options } = deps;
  const read = reading.then((value) => ({ value }));
  // Where the key is lost, nobody hears of its failure.
  read.catch(() => undefined);
  for (;;) {
    const pause = new AbortController();
    const first = await Promise.race([read, clock.sleep(options.keyRecheckMs, pause.signal).then(() => null)]).finally(
      () => pause.abort(),
    );
    if (first !== null) return first.value;
    await auth.recheck(call.caller);
  }
}

function keyCheck({ auth, clock, options }: ApiDeps, call: Call): () => Promise<void> {
  let askedAt = clock.monotonic();
  return async () => {
    if (clock.monotonic() - askedAt < options.keyRecheckMs) return;
    await auth.recheck(call.caller);
    askedAt = clock.monotonic();
  };
}

function eventOf(change: FeedChange, selection: Selection): WatchEvent | null {
  const row = change.type === 'row' ? change.view.row : change.key;
  if (!mayRead(selection, row.kind)) return null;
  if (selection.kind !== undefined && row.kind !== selection.kind) return null;
  const ref = { workspace: row.workspace, kind: row.kind, name: row.name };
  if (change.type === 'tombstone') return { type: 'REMOVED', ref, uid: change.uid };
  if (hasLabels(change.view.row, selection.labels)) return changed(change.view);
  return { type: 'LEFT', ref, uid: change.view.row.uid };
}

function mayRead(selection: Selection, kind: string): boolean {
  return selection.kinds === null || selection.kinds.has(kind);
}

function hasLabels(row: ResourceRow, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(labels).every(([key, value]) => row.labels[key] === value);
}

function expired(version: number, trimmedThrough: number): ApiError {
  return new ApiError(
    'CURSOR_EXPIRED',
    'The cursor is too old: what was removed since is no longer known. Watch again without it.',
    {
      path: 'cursor',
      current: version,
      allowed: { minimum: trimmedThrough },
    },
  );
}
