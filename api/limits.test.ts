import { describe, expect, it } from 'vitest';
import { ApiError } from '#resources/errors.ts';
import { callOf, checkInput } from './http-call.ts';
import { parseBody } from './limits.ts';
import { createApiOptions } from './options.ts';

const limits = { depthMax: 4, keysMax: 3, valuesMax: 10 };

function refusal(body: () => unknown): string | null {
  try {
    body();
  } catch (error) {
    return error instanceof ApiError ? `${error.data.code} ${error.data.path}: ${error.message}` : String(error);
  }
  return null;
}

describe('parseBody', () => {
  it.each([
    ['{"a":{"b":{"c":{}}}}', null],
    ['{"a":{"b":{"c":{"d":{}}}}}', 'VALIDATION : The body is nested more than 4 levels. Split it into smaller calls.'],
    ['{"a":1,"b":2,"c":3}', null],
    ['{"a":1,"b":2,"c":3,"d":4}', 'VALIDATION : The body is made of more than 3 keys. Split it into smaller calls.'],
    ['[1,2,3,4,5,6,7,8,9,10,11]', null],
    [
      '[1,2,3,4,5,6,7,8,9,10,11,12]',
      'VALIDATION : The body is made of more than 10 values. Split it into smaller calls.',
    ],
    ['{', 'VALIDATION : The body is not valid JSON.'],
    ['}}}}', 'VALIDATION : The body is not valid JSON.'],
  ])('%s → %s', (text, expected) => {
    expect(refusal(() => parseBody(text, limits, false))).toBe(expected);
  });

  it('does not count braces, colons and commas inside strings, however they are escaped', () => {
    const value = '{{{{[[[[::::,,,,,,,,,,,,"\\';
    expect(parseBody(JSON.stringify({ a: value }), limits, false)).toEqual({ a: value });
  });

  it('counts the keys of each item of a list by itself, in a batch one level deeper', () => {
    const items = [
      { a: 1, b: 2, c: 3 },
      { a: 1, b: 2, c: 3 },
    ];
    expect(refusal(() => parseBody(JSON.stringify({ items }), limits, false))).toBeNull();
    const deeper = { ...limits, depthMax: 5 };
    expect(refusal(() => parseBody(JSON.stringify({ 0: { items } }), deeper, true))).toBeNull();
    expect(refusal(() => parseBody(JSON.stringify({ items: [{ ...items[0], d: 4 }] }), limits, false))).toContain(
      '3 keys',
    );
  });

  it.each([
    ['{"a":1,"a":2}', 'VALIDATION : A key stands twice in one object of the body.'],
    ['{"a":[{"b":1},{"b":{},"\\u0062":2}]}', 'VALIDATION : A key stands twice in one object of the body.'],
    ['{"a":[{"b":1},{"b":2}],"b":"a:1,a:2"}', null],
    ['{"a":[1e308,-1e400]}', 'VALIDATION a[1]: The number is larger than a number can be here.'],
  ])('%s → %s: what is read is what was sent', (text, expected) => {
    expect(refusal(() => parseBody(text, { ...limits, keysMax: 9 }, false))).toBe(expected);
  });

  it('does not let many small objects outside a list begin the count anew', () => {
    const many = Object.fromEntries(Array.from({ length: 4 }, (_, index) => [`k${index}`, {}]));
    expect(refusal(() => parseBody(JSON.stringify({ a: many }), limits, false))).toContain('3 keys');
  });

  it.each(['__proto__', 'constructor', 'prototype'])('refuses the key %s anywhere, and says where', (key) => {
    const escaped = `\\u${key.charCodeAt(0).toString(16).padStart(4, '0')}${key.slice(1)}`;
    expect(refusal(() => parseBody(`{"a":[{"${escaped}":1}]}`, limits, false))).toContain(`VALIDATION a[0].${key}`);
  });
});

describe('text that Postgres cannot store', () => {
  it.each(['{"a":["\\u0000"]}', '{"a":["x\\ud800"]}'])('%s is refused, and the place is named', (text) => {
    expect(refusal(() => parseBody(text, limits, false))).toContain('VALIDATION a[0]: Text must be well-formed');
  });

  it('is refused as a key too', () => {
    expect(refusal(() => parseBody('{"a":{"\\u0000":1}}', limits, false))).toContain('VALIDATION a: Text');
  });
});

describe('callOf and checkInput', () => {
  const options = createApiOptions({ batchMax: 2 });
  const call = (path: string, query: string) => callOf(path, new URLSearchParams(query), options);

  it('reads one call, or the calls of a batch', () => {
    expect(call('a.b', '')).toEqual({ batch: false, procedures: ['a.b'] });
    expect(call('a.b,c', 'batch=1')).toEqual({ batch: true, procedures: ['a.b', 'c'] });
    expect(call('a.b,c', '')).toEqual({ batch: false, procedures: ['a.b,c'] });
  });

  it.each([
    ['a,b,c', 'batch=1', 'at most 2 calls; this one has 3'],
    ['a,', 'batch=1', 'none of them empty'],
    ['a', 'batch=true', 'is 1, or left out'],
  ])('refuses %s?%s', (path, query, why) => {
    expect(refusal(() => call(path, query))).toContain(why);
  });

  it.each(['[1]', '"x"', 'null', '{"2":{}}', '{"-1":{}}', '{"01":{}}', '{"x":{}}'])(
    'refuses %s as the body of a batch of 2',
    (text) => {
      expect(refusal(() => checkInput(text, call('a,b', 'batch=1'), options))).toContain('VALIDATION');
    },
  );

  it('takes a batch in which some calls have no input, and no input at all', () => {
    for (const text of ['{"1":{}}', '{}', '']) {
      expect(refusal(() => checkInput(text, call('a,b', 'batch=1'), options))).toBeNull();
    }
  });
});
