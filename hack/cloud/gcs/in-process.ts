// The in-process door of Cloud Storage: the whole HTTP behaviour without a socket. The wire server is a shell around the same function.

import type { CallLog } from '#hack/cloud/call-log.ts';
import { perform, type CloudRequest, type Delivery, type DoorContext } from '#hack/cloud/door.ts';
import type { Faults } from '#hack/cloud/faults.ts';
import { isBatch, performBatch } from './batch.ts';
import type { GcsModel } from './model.ts';
import { GCS_OPS, GcsRouter } from './router.ts';

export interface GcsDoor {
  /** Synchronous: the effect, if any, has happened (and is journalled) when it returns. */
  handle(request: CloudRequest): Delivery;
}

/** The provider's door. `later` carries out late effects: timers on the wire, the virtual clock in a simulation. */
export function openGcs(
  model: GcsModel,
  surroundings: { faults: Faults; calls: CallLog; later: (delayMs: number, run: () => void) => void },
): GcsDoor {
  const router = new GcsRouter(model);
  const door: DoorContext = { provider: 'gcs', clock: model.clock, state: model.state, ...surroundings };
  surroundings.faults.registerProvider('gcs', GCS_OPS);
  const handle = (request: CloudRequest): Delivery => perform(door, router.route(request));
  return { handle: (request) => (isBatch(request) ? performBatch(request, handle) : handle(request)) };
}
