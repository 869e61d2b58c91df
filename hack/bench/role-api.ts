import { createLogger } from '#controller/log.ts';
import { createKindRegistry } from '#resources/registry.ts';
import { composeApi } from '#api/compose.ts';
import { createApiOptions } from '#api/options.ts';
import type { ReaderClient } from '#api/reader-client.ts';
import { serveParent, tellParent } from './child.ts';
import type { RoleInput } from './child.ts';
import { benchKinds } from './noop-kind.ts';

/** Its reader answers nothing at once: `bench.noop` is a mutation that does nothing. */
const reader: ReaderClient = { read: () => Promise.resolve(null), plan: () => Promise.resolve([]) };
/** Of each of the two pools: the default of VIBN_API_POOL_MAX. */
const poolMax = 10;
/** As many waits as are measured; everything else has its default. */
const apiOptions = createApiOptions({ waitsMax: 100_000, waitsPerTenantMax: 100_000 });

/** The role api in a child process, composed as in production, over the no-op kind. */
export async function runApi({ url, platformUrl = url, keyHmacSecret = '' }: RoleInput): Promise<void> {
  const { server, close } = composeApi({
    config: { apiUrl: url, platformUrl, directUrl: url, poolMax, keyHmacSecret, keyEnv: 'bench' },
    kinds: createKindRegistry(benchKinds),
    options: apiOptions,
    reader,
    // Each request writes its line, as in production; stdout goes nowhere.
    log: createLogger({ level: 'info', role: 'api' }),
  });
  let open = 0;
  server.addHook('onRequest', async () => void (open += 1));
  server.addHook('onResponse', async () => void (open -= 1));
  serveParent({ open: () => open, stop: close });
  const address = await server.listen({ host: '127.0.0.1', port: 0 });
  tellParent({ event: 'ready', port: Number(new URL(address).port) });
}
