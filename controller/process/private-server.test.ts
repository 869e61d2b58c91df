import { expect, it } from 'vitest';
import { silentLogger } from '#controller/log.ts';
import { createMetrics } from '#controller/metrics.ts';
import { createPrivateServer } from './private-server.ts';
import { createVirtualClock, settled } from '#controller/testing.ts';

/** A listener on a free loopback port. */
async function open(ready: () => Promise<void>) {
  const clock = createVirtualClock();
  const server = createPrivateServer({
    host: '127.0.0.1',
    port: 0,
    clock,
    log: silentLogger,
    metrics: createMetrics(),
    ready,
  });
  await server.start();
  return { clock, server, get: (path: string) => fetch(`${server.url()}${path}`) };
}

it('says that the process lives, can work, and what it counted', async () => {
  const { server, get } = await open(async () => undefined);
  expect((await get('/healthz')).status).toBe(200);
  expect((await get('/readyz')).status).toBe(200);
  expect(await (await get('/metrics')).text()).toContain('vibn_claims_total 0');
  await server.stop();
});

it('is not ready while the database fails, or does not answer in time', async () => {
  let fails = true;
  const { clock, server, get } = await open(() =>
    fails ? Promise.reject(new Error('password=hunter2')) : new Promise(() => undefined),
  );
  const failing = await get('/readyz');
  expect([failing.status, await failing.text()]).toEqual([503, expect.not.stringContaining('hunter2')]);
  fails = false;
  const hanging = get('/readyz');
  // Moves time until the answer is there: the request needs real time to arrive.
  const arrived = new AbortController();
  const status = hanging.then((response) => {
    arrived.abort();
    return response.status;
  });
  while (!arrived.signal.aborted) {
    await clock.advance(2_000);
    await settled();
  }
  expect(await status).toBe(503);
  expect((await get('/healthz')).status).toBe(200);
  await server.stop();
});

it('closes open connections when it stops', async () => {
  const { server, get } = await open(() => new Promise(() => undefined));
  const hanging = get('/readyz').then(
    () => 'answered',
    () => 'cut off',
  );
  await get('/healthz');
  await server.stop();
  expect(await hanging).toBe('cut off');
});
