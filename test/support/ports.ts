import { PORT_OFFSETS } from '#hack/cloud/server.ts';
import { freePort } from '#hack/up/settings.ts';

/** A control port for the local cloud: those of its providers, just above it, are free too. */
export async function freeCloudPort(): Promise<number> {
  return await freePort(Object.values(PORT_OFFSETS));
}
