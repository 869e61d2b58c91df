import { createServer } from 'node:net';

/**
 * Ports for processes that keep theirs over restarts: below the range from which the system takes ports for outgoing connections, which
 * could take one of ours between two starts.
 */
const first = 10_000;
const last = 30_000;
const providerOffsets = [11, 13];

/** A port that is free now. */
export async function freePort(): Promise<number> {
  return await freeBlock([]);
}

/** A control port for the local cloud: those of its providers, just above it, are free too. */
export async function freeCloudPort(): Promise<number> {
  return await freeBlock(providerOffsets);
}

async function freeBlock(offsets: readonly number[]): Promise<number> {
  for (;;) {
    const port = first + Math.floor(Math.random() * (last - first));
    const free = await Promise.all([port, ...offsets.map((offset) => port + offset)].map(isFree));
    if (free.every(Boolean)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
