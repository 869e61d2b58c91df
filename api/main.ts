/** Composition root of the role `api`. `VIBN_API_PORT` 0 takes a free port; the line "Listening" of the log names it. */
import { systemClock } from '#controller/clock.ts';
import { createLogger } from '#controller/log.ts';
import { kinds } from '#resources/kinds.ts';
import { createKindRegistry } from '#resources/registry.ts';
import { composeApi } from './compose.ts';
import { readConfig } from './config.ts';
import { createApiOptions } from './options.ts';
import { createReaderClient } from './reader-client.ts';

async function main(): Promise<void> {
  const config = readConfig(process.env);
  if ('problems' in config) {
    for (const problem of config.problems) process.stderr.write(`${problem}\n`);
    process.exit(1);
  }
  const log = createLogger({ level: config.logLevel, role: 'api' });
  const options = createApiOptions();
  const { readerUrl: url, internalToken: token } = config;
  const reader = createReaderClient({ url, token, timeoutMs: options.readerTimeoutMs });
  const { server, close } = composeApi({ config, kinds: createKindRegistry(kinds), options, reader, log });
  try {
    const address = await server.listen({ host: config.host, port: config.port });
    log.info({ address }, 'Listening');
  } catch (error) {
    log.error({ error }, 'The API did not start');
    process.exit(1);
  }
  const stop = async (): Promise<void> => {
    log.info({}, 'Stopping');
    const late = systemClock.sleep(options.stopMs).then(() => false);
    const inTime = await Promise.race([close().then(() => true), late]);
    if (!inTime) log.warn({}, 'Did not stop in time');
    process.exit(0);
  };
  process.once('SIGTERM', () => void stop());
  process.once('SIGINT', () => void stop());
}

await main();
