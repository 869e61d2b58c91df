import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { StoreUnavailable } from '#controller/store/sql-errors.ts';
import { bucketManifest, bucketRef, startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';
import { pooled } from '#test/support/pooler/pooled.ts';
import { beginRecorded } from '#test/simulation/memory-store/recording.ts';

// A wish whose effect was lost is asked again with the same request id: it must not be told that it was done.

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const at = { provider: 'gcs', account: 'project-1' };
const lost = (): Promise<never> => Promise.reject(new StoreUnavailable('effect', null));

describe('a repeat of what failed', () => {
  it('freezes the account that the first one did not', async () => {
    await api.providers.registerCredential({ ...at, digest: 'd', wakePerSecond: 50 });
    const freeze = { ...at, why: 'an incident', requestId: 'freeze' };
    const effect = vi.spyOn(api.stores.providers, 'freeze').mockImplementationOnce(lost);
    expect((await api.call('providers.freeze', freeze)).status).toBe(503);
    expect((await api.call('providers.freeze', freeze)).data).toMatchObject({
      frozen: { why: 'an incident' },
      replayed: false,
    });
    expect((await api.call('providers.freeze', freeze)).data).toMatchObject({ replayed: true });
    expect(effect).toHaveBeenCalledTimes(3);
    const other = await api.call('providers.freeze', { ...freeze, why: 'another' });
    expect(other.error.data.code).toBe('IDEMPOTENCY_MISMATCH');
  });

  it.skipIf(pooled)('stores the decision that the first one did not', async () => {
    await api.call('resources.apply', { manifest: bucketManifest('photos') });
    const wish = { ...bucketRef('photos'), effect: 'create:1', outcome: 'did_not', evidence: 'seen', requestId: 'say' };
    const effect = vi.spyOn(api.stores.resources, 'decide');
    // Nothing is open yet, and that is not remembered either.
    expect((await api.call('decisions.resolve', wish)).status).toBe(404);
    effect.mockImplementationOnce(lost);
    expect((await api.call('decisions.resolve', wish)).status).toBe(503);
    effect.mockImplementationOnce(async (_scope, { recording }) => {
      beginRecorded(api.tables(), recording)();
      return true;
    });
    expect((await api.call('decisions.resolve', wish)).data).toMatchObject({ outcome: 'did_not', replayed: false });
    expect((await api.call('decisions.resolve', wish)).data).toMatchObject({ replayed: true });
    expect(effect).toHaveBeenCalledTimes(4);
  });

  it('suspends the replay that the first one did not', async () => {
    const { id } = (await api.call('replays.create', {})).data as { id: string };
    const effect = vi.spyOn(api.stores.replays, 'setState').mockImplementationOnce(lost);
    const wish = { id, requestId: 'hold' };
    expect((await api.call('replays.suspend', wish)).status).toBe(503);
    expect((await api.call('replays.suspend', wish)).data).toMatchObject({ state: 'suspended', replayed: false });
    await api.call('replays.resume', { id });
    const again = (await api.call('replays.suspend', wish)).data;
    expect(again).toMatchObject({ state: 'filling', replayed: true });
    expect(effect).toHaveBeenCalledTimes(4);
  });
});
