import { describe, expect, it } from 'vitest';
import { CallLog } from './call-log.ts';
import { manualClock } from './clock.ts';
import { ControlInputError, Faults } from './faults.ts';

function faults(): Faults {
  const made = new Faults();
  made.registerProvider('gcs', ['buckets.get', 'buckets.list', 'buckets.patch', 'objects.get']);
  return made;
}

function problemOf(input: unknown): ControlInputError {
  try {
    faults().add(input);
  } catch (error) {
    if (error instanceof ControlInputError) return error;
    throw error;
  }
  throw new Error('accepted');
}

describe('fault rules', () => {
  it('strike the named operation only, as often as asked, and count it', () => {
    const rules = faults();
    const { id } = rules.add({ provider: 'gcs', op: 'buckets.patch', fault: 'lose-reply', times: 2 });
    expect(rules.decide('gcs', 'buckets.get', 'get')).toBeUndefined();
    expect(rules.decide('dns', 'buckets.patch', 'write')).toBeUndefined();
    expect([1, 2, 3].map(() => rules.decide('gcs', 'buckets.patch', 'write')?.fault)).toEqual([
      'lose-reply',
      'lose-reply',
      undefined,
    ]);
    expect(rules.fired(id)).toBe(2);
    expect(rules.list()).toEqual([
      { id, provider: 'gcs', op: 'buckets.patch', fault: 'lose-reply', times: 2, fired: 2 },
    ]);
  });

  it('accept a prefix with a star and leave writes alone where only reads can lie', () => {
    const rules = faults();
    rules.add({ provider: 'gcs', op: 'buckets.*', fault: 'false-empty' });
    expect(rules.decide('gcs', 'buckets.list', 'list')?.fault).toBe('false-empty');
    expect(rules.decide('gcs', 'buckets.patch', 'write')).toBeUndefined();
    expect(rules.decide('gcs', 'objects.get', 'get')).toBeUndefined();
  });

  it('strike the same calls again with the same seed', () => {
    const pattern = (seed: number): string => {
      const rules = faults();
      rules.add({ provider: 'gcs', fault: 'refuse', probability: 0.3, seed });
      return Array.from({ length: 60 }, () => (rules.decide('gcs', 'buckets.get', 'get') ? 'x' : '.')).join('');
    };
    expect(pattern(5)).toBe(pattern(5));
    expect(pattern(5)).not.toBe(pattern(6));
    expect(pattern(5)).toMatch(/x/);
    expect(pattern(5)).toMatch(/\./);
  });

  it('end when removed, one or all', () => {
    const rules = faults();
    const { id } = rules.add({ provider: 'gcs', fault: 'refuse' });
    expect([rules.remove(id), rules.remove(id)]).toEqual([true, false]);
    rules.add({ provider: 'gcs', fault: 'refuse' });
    rules.clear();
    expect(rules.decide('gcs', 'buckets.get', 'get')).toBeUndefined();
  });

  it.each([
    [{ provider: 's3', fault: 'refuse' }, 'provider', 'gcs'],
    [{ provider: 'gcs', fault: 'explode' }, 'fault', 'lose-reply'],
    [{ provider: 'gcs', op: 'buckets.nope', fault: 'refuse' }, 'op', 'buckets.patch'],
  ])('refuse %j naming the field and what is allowed', (input, field, allowed) => {
    const problem = problemOf(input);
    expect(problem.field).toBe(field);
    expect(problem.allowed).toContain(allowed);
  });

  it.each([
    [{ provider: 'gcs', fault: 'slow', delayMs: -1 }, 'delayMs'],
    [{ provider: 'gcs', fault: 'slow', times: 0 }, 'times'],
    [{ provider: 'gcs', fault: 'slow', probability: 1.5 }, 'probability'],
    [{ provider: 'gcs', fault: 'slow', colour: 'red' }, 'colour'],
    ['text', ''],
  ])('refuse %j naming the field', (input, field) => {
    expect(problemOf(input).field).toBe(field);
  });
});

describe('the call log', () => {
  it('continues from a cursor, filters by provider and keeps the newest', () => {
    const log = new CallLog(manualClock(), 3);
    for (const [index, provider] of ['gcs', 'iam', 'gcs', 'gcs'].entries())
      log.add({ provider, op: 'x', name: String(index), outcome: 'ok' });
    expect(log.since().calls.map((call) => call.n)).toEqual([2, 3, 4]);
    expect(log.since(3)).toMatchObject({ calls: [{ n: 4, name: '3', at: '2026-11-20T08:00:00.000Z' }], next: 4 });
    expect(log.since(0, 'gcs').calls.map((call) => call.n)).toEqual([3, 4]);
  });
});
