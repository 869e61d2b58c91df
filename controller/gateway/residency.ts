import type { CallOptions } from '#controller/contract.ts';
import { ResidencyViolation } from './errors.ts';

/**
 * Canada only (law 9): a call that names a location off the allow-list is refused, whatever it would do. That calls which store bytes
 * do name one is the kind's duty. Locations are compared without regard to case (GCS answers in upper case).
 */
export function checkResidency(call: Pick<CallOptions<unknown>, 'location'>, allowed: readonly string[]): void {
  if (call.location === undefined) return;
  const location = call.location.toLowerCase();
  if (!allowed.some((name) => name.toLowerCase() === location)) throw new ResidencyViolation(call.location);
}
