import { expect } from 'vitest';
import type { WireError } from '#api/errors.ts';

const members = [
  'allowed',
  'code',
  'current',
  'httpStatus',
  'issues',
  'message',
  'path',
  'procedure',
  'remedy',
  'requestId',
  'retryAfterMs',
  'retryable',
];

/** The one shape of all errors: all members, nothing else, no stack. */
export function expectShape(error: WireError): void {
  expect(Object.keys(error).toSorted()).toEqual(['code', 'data', 'message']);
  expect(Object.keys(error.data).toSorted()).toEqual(members);
  expect(error.data.requestId).toMatch(/^[0-9a-f]{32}$/);
  expect(JSON.stringify(error)).not.toMatch(/node_modules|\.ts:\d|at async/);
}
