import { validationError } from '#resources/errors.ts';
import { badCursor, decodeCursor, encodeCursor } from './cursors.ts';

/** A place in the changes of one workspace. */
export interface WatchPlace {
  readonly workspace: string;
  /** All changes up to this version of the shard have been seen, once `listing` is done. */
  readonly version: number;
  /** While the present selection is still being sent: the last row sent of it. */
  readonly listing?: { readonly kind: string; readonly name: string };
}

/** The place as text: the id of a watch's event, and the watchCursor of a list. */
export function watchCursor(place: WatchPlace): string {
  const { workspace, version, listing } = place;
  return encodeCursor('watch', [workspace, version, ...(listing === undefined ? [] : [listing.kind, listing.name])]);
}

/** The place that a cursor stands for. Throws VALIDATION if it is not one, or of another workspace. */
export function watchPlace(cursor: string, workspace: string): WatchPlace {
  const [of, version, kind, name] = decodeCursor('watch', cursor);
  if (typeof of !== 'string' || !Number.isSafeInteger(version) || Number(version) < 0) throw badCursor();
  if (of !== workspace) {
    throw validationError([
      { path: 'cursor', message: `The cursor belongs to workspace "${of.slice(0, 22)}".`, allowed: null },
    ]);
  }
  const place = { workspace, version: Number(version) };
  if (kind === undefined) return place;
  if (typeof kind !== 'string' || typeof name !== 'string') throw badCursor();
  return { ...place, listing: { kind, name } };
}
