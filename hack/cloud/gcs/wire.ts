// Cloud Storage on a socket. All behaviour is in in-process.ts; all of HTTP in http-door.ts.

import { openHttpDoor, type HttpDoor } from '#hack/cloud/http-door.ts';
import type { GcsDoor } from './in-process.ts';

/** Serves the JSON and XML APIs on 127.0.0.1. `url` is what the Storage SDK takes as `apiEndpoint`. */
export async function serveGcs(door: GcsDoor, port = 0): Promise<HttpDoor> {
  return openHttpDoor({ port, handle: (request) => door.handle(request) });
}
