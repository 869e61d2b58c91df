import fc from 'fast-check';
import '#test/support/seeds.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '#controller/log.ts';
import type { ApiDeps } from '#api/context.ts';
import { createApiOptions } from '#api/options.ts';
import { createRouter } from '#api/router.ts';
import { kinds } from '#resources/kinds.ts';
import { createKindRegistry } from '#resources/registry.ts';
import { hintsOf, schemaOf } from '#test/support/manifest-values.ts';
import { valuesOf } from '#test/support/schema-values.ts';
import { bend, bent, seeds } from './api-fuzz-inputs.ts';
import { bucketManifest, startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';

/**
 * Inputs that are right, or almost: 500s 0, one shape, nothing half-written. `VIBN_FUZZ_CASES` sets how many in all (default 6,000); that
 * what is accepted also settles is shown by test/simulation/fuzz-settles.test.ts. 10⁵ by command:
 *
 *   VIBN_FUZZ_CASES=100000 vitest run --project database --testTimeout 300000 test/e2e/api-fuzz.test.ts
 */
const cases = Number(process.env['VIBN_FUZZ_CASES'] ?? '6000');
const router = createRouter({
  kinds: createKindRegistry(kinds),
  options: createApiOptions(),
  log: silentLogger,
} as unknown as ApiDeps);

interface Walked {
  readonly _def: { readonly type: string; readonly inputs: readonly Parameters<typeof schemaOf>[0][] };
}

/** Each procedure but the endless one, with values of its schema; a new procedure is fuzzed by being there. */
const procedures = Object.entries(router._def.procedures as unknown as Readonly<Record<string, Walked>>)
  .filter(([, { _def }]) => _def.type !== 'subscription')
  .map(([procedure, { _def }]) => {
    const [input] = _def.inputs;
    const hints = hintsOf('acme', ['there', 'other', 'third', 'new']);
    return { procedure, inputs: input === undefined ? fc.constant({}) : valuesOf(schemaOf(input), hints) };
  });

/** Declaring is what can be half-done: it gets most of the cases. */
const declaring = new Set(['resources.apply', 'resources.apply_all', 'resources.patch', 'storage.buckets.create']);
const shares = procedures.reduce((sum, { procedure }) => sum + (declaring.has(procedure) ? 6 : 1), seeds.length);
const share = Math.ceil(cases / shares);

let api: TestApi;
let answered = 0;
let accepted = 0;
const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
beforeAll(async () => {
  process.on('unhandledRejection', onUnhandled);
  api = await startApi({ options: { waitTimeoutMsDefault: 1, waitTimeoutMsMax: 60_000 } });
  await api.call('resources.apply_all', { manifests: ['there', 'other'].map((name) => bucketManifest(name)) });
});
afterAll(async () => {
  process.off('unhandledRejection', onUnhandled);
  await api.close();
});

async function expectAnswer(procedure: string, input: unknown): Promise<void> {
  const { status, data, error } = await api.call(procedure, input);
  answered += 1;
  expect(status, JSON.stringify(error)).toBeLessThan(500);
  if (status === 200) {
    accepted += 1;
    expect(data).toBeDefined();
  } else {
    expect(error.data).toMatchObject({ httpStatus: status, procedure });
    expect(error.data.message).not.toBe('');
  }
}

describe('inputs made from the schemas', () => {
  it.each(procedures)('$procedure: answered, or refused in the one shape, never a 500', async (one) => {
    const { procedure, inputs } = one;
    const numRuns = share * (declaring.has(procedure) ? 6 : 1);
    const values = fc
      .tuple(inputs, fc.array(bend, { maxLength: 2 }), fc.integer({ min: 0, max: 2 }))
      .map(([input, bends, often]) => (often === 0 ? bends.reduce((value, next) => bent(value, next), input) : input));
    await fc.assert(
      fc.asyncProperty(values, async (input) => expectAnswer(procedure, input)),
      { numRuns },
    );
    expect(answered).toBeGreaterThanOrEqual(numRuns);
  });
});

describe('inputs that are almost right', () => {
  it.each(seeds.map(([procedure, input], index) => ({ index, procedure, input })))(
    '$index $procedure: answered, or refused in the one shape, never a 500',
    async ({ procedure, input }) => {
      const values = fc
        .array(bend, { minLength: 1, maxLength: 3 })
        .map((bends) => bends.reduce((value, next) => bent(value, next), input));
      await fc.assert(
        fc.asyncProperty(values, async (value) => expectAnswer(procedure, value)),
        { numRuns: share },
      );
      expect(answered).toBeGreaterThanOrEqual(share);
    },
  );

  it('leaves no rejection unhandled, and both answers were given often', () => {
    expect(unhandled).toEqual([]);
    expect(answered).toBeGreaterThanOrEqual(cases);
    expect(accepted / answered).toBeGreaterThan(0.1);
    expect(accepted / answered).toBeLessThan(0.9);
  });
});
