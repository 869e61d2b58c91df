import fc from 'fast-check';
import '#test/support/seeds.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bend, bent, seeds } from './api-fuzz-inputs.ts';
import { bucketManifest, startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';

/** Inputs that are almost right: 500s 0, one shape, nothing half-written. `VIBN_FUZZ_RUNS` sets how many of each (default 150). */
const runs = Number(process.env['VIBN_FUZZ_RUNS'] ?? '150');

let api: TestApi;
const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
beforeAll(async () => {
  process.on('unhandledRejection', onUnhandled);
  api = await startApi({ options: { waitTimeoutMsDefault: 1, waitTimeoutMsMax: 5 } });
  await api.call('resources.apply', { manifest: bucketManifest('there') });
});
afterAll(async () => {
  process.off('unhandledRejection', onUnhandled);
  await api.close();
});

describe('inputs that are almost right', () => {
  it.each(seeds.map(([procedure, input], index) => ({ index, procedure, input })))(
    '$index $procedure: answered, or refused in the one shape, never a 500',
    async ({ procedure, input }) => {
      await fc.assert(
        fc.asyncProperty(fc.array(bend, { minLength: 1, maxLength: 3 }), async (bends) => {
          const body = bends.reduce((value, one) => bent(value, one), input);
          const { status, data, error } = await api.call(procedure, body);
          expect(status).toBeLessThan(500);
          if (status === 200) expect(data).toBeDefined();
          else expect(error.data).toMatchObject({ httpStatus: status, procedure });
        }),
        { numRuns: runs },
      );
    },
  );

  it('leaves no rejection unhandled', () => {
    expect(unhandled).toEqual([]);
  });
});
