// Process entry of the local cloud under `npm start`. VIBN_CLOUD_PORT (4500): control port; VIBN_DATA_DIR (.vibn): where it keeps its state.

import { startCloud, type Cloud } from './server.ts';

function portFromEnvironment(): number {
  const text = process.env['VIBN_CLOUD_PORT'] ?? '4500';
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_000) return port;
  throw new Error(`VIBN_CLOUD_PORT is "${text}"; use a whole number from 0 (any free port) to 65000`);
}

async function main(): Promise<void> {
  let cloud: Cloud;
  try {
    cloud = await startCloud({ controlPort: portFromEnvironment(), dataDir: process.env['VIBN_DATA_DIR'] ?? '.vibn' });
  } catch (error) {
    console.error(`local cloud: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
    return;
  }
  const stop = (): void => {
    cloud.close().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  console.log(JSON.stringify({ event: 'listening', control: cloud.controlUrl, ...cloud.index }));
}

await main();
