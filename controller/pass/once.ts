import { storedReady } from '#resources/conditions.ts';
import type { Kind } from '#resources/kind.ts';
import type { Ms, ResourceRow } from '#resources/resource.ts';
import { parseTime } from '#controller/clock.ts';

/**
 * ms until a finished `once` row is removed (≤ 0: now), or null if the row is not one. Once Ready=True was settled nothing of it is
 * observed or repaired again (architecture §5). Pure.
 */
export function finishedRemoveInMs(kind: Kind, row: ResourceRow, now: Ms): number | null {
  const seconds = kind.ttlAfterFinishedSeconds;
  const finished = seconds !== null && row.deletedAt === null && row.observedGeneration > 0 && storedReady(row);
  if (!finished) return null;
  const ready = row.conditions.find((condition) => condition.type === 'Ready');
  const since = ready === undefined ? row.updatedAt : parseTime(ready.lastTransitionTime);
  return since + seconds * 1_000 - now;
}
