import { expect, it } from 'vitest';
import type { ResourceView } from '#resources/resource.ts';
import { makeRow } from '#resources/testing.ts';
import { evaluate } from './evaluate.ts';

it('projects a row once for all waits for it: hundreds for the same 100 rows stopped the process at each change', () => {
  const row = makeRow({ uid: 'a', generation: 2, observedGeneration: 1 });
  const view: ResourceView = { row, work: null, owner: null };
  const conditions = [1, 2, 3].map((generation) => {
    const fixed = [{ key: row, uid: 'a', generation }];
    return evaluate(fixed, new Map([['a', view]]), 'Ready').results[0]?.condition;
  });
  expect(conditions[0]).toMatchObject({ type: 'Ready', status: 'Unknown' });
  expect(new Set(conditions).size).toBe(1);
});
