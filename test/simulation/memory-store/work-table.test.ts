import fc from 'fast-check';
import { expect, test } from 'vitest';
import { freshWork } from '#controller/store/rows.ts';
import { WorkTable } from './work-table.ts';

const times = fc.integer({ min: 0, max: 30 });
const change = fc.record({
  uid: fc.constantFrom('a', 'b', 'c', 'd'),
  dueAt: times,
  leaseUntil: fc.option(times),
  /** When somebody claims afterwards: a database's clock may step back. */
  now: times,
  gone: fc.boolean(),
});

test('a table of work finds what a look at every row finds, whatever was changed since, also when the clock steps back', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const table = new WorkTable();
      for (const { uid, dueAt, leaseUntil, now, gone } of changes) {
        if (gone) table.delete(uid);
        else table.set(uid, { ...freshWork(dueAt), leaseUntil, workspace: 'acme', kind: 'Link' });
        const looked = [...table].filter(([, work]) => work.dueAt <= now && (work.leaseUntil ?? now) <= now);
        const found = table.claimable(now).map(([one]) => one);
        expect(found.toSorted()).toEqual(looked.map(([one]) => one).toSorted());
      }
    }),
  );
});
