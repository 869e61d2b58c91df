import { TRPCError } from '@trpc/server';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CommitUnknown, StoreUnavailable } from '#controller/store/sql-errors.ts';
import { ApiError, httpStatusOf, notFound } from '#resources/errors.ts';
import type { ErrorCode } from '#resources/errors.ts';
import { asApiError, toWireError, withPaths } from './errors.ts';

const codeOf = (cause: unknown): string => asApiError(cause).data.code;
const withCode = (code: string): Error => Object.assign(new Error('detail'), { code });

describe('any error', () => {
  it.each([
    [new ApiError('CYCLE', 'x'), 'CYCLE'],
    [new TRPCError({ code: 'INTERNAL_SERVER_ERROR', cause: new ApiError('IN_USE', 'x') }), 'IN_USE'],
    [new TRPCError({ code: 'NOT_FOUND' }), 'NOT_FOUND'],
    [new TRPCError({ code: 'BAD_REQUEST', message: 'Cannot mix' }), 'VALIDATION'],
    [new TRPCError({ code: 'METHOD_NOT_SUPPORTED' }), 'VALIDATION'],
    [new TRPCError({ code: 'PAYLOAD_TOO_LARGE' }), 'PAYLOAD_TOO_LARGE'],
    [new TRPCError({ code: 'UNAUTHORIZED' }), 'UNAUTHENTICATED'],
    [new TRPCError({ code: 'INTERNAL_SERVER_ERROR' }), 'INTERNAL'],
    [new CommitUnknown('mutate', null), 'UNAVAILABLE'],
    [new StoreUnavailable('mutate', null), 'UNAVAILABLE'],
    [withCode('40001'), 'UNAVAILABLE'],
    [withCode('40P01'), 'UNAVAILABLE'],
    [withCode('57P01'), 'UNAVAILABLE'],
    [withCode('08006'), 'UNAVAILABLE'],
    [withCode('53300'), 'UNAVAILABLE'],
    [withCode('23505'), 'INTERNAL'],
    [new Error('secret'), 'INTERNAL'],
    ['text', 'INTERNAL'],
    [null, 'INTERNAL'],
  ])('%s is %s', (cause, code) => {
    expect(codeOf(cause)).toBe(code);
  });

  it('has the HTTP status and the JSON-RPC number of its code', () => {
    const numbers = new Map([
      [400, -32_600],
      [401, -32_001],
      [403, -32_003],
      [404, -32_004],
      [409, -32_009],
      [412, -32_012],
      [413, -32_013],
      [428, -32_028],
      [429, -32_029],
      [500, -32_603],
      [503, -32_603],
    ]);
    for (const code of Object.keys(httpStatusOf) as ErrorCode[]) {
      const wire = toWireError(new ApiError(code, 'x'), { procedure: 'p', traceId: 't' });
      expect(wire.data).toMatchObject({ code, httpStatus: httpStatusOf[code], procedure: 'p', requestId: 't' });
      expect(wire.code).toBe(numbers.get(wire.data.httpStatus));
    }
  });

  it('shows nothing of an unexpected one', () => {
    const wire = JSON.stringify(toWireError(new Error('password=1'), { procedure: null, traceId: 't' }));
    expect(wire).not.toContain('password');
    expect(wire).not.toContain('stack');
  });

  it('names every problem of an input by its path', () => {
    const schema = z.strictObject({ a: z.array(z.strictObject({ b: z.int() })) });
    const { error } = schema.safeParse({ a: [{ b: 'x' }], c: 1 });
    expect(asApiError(new TRPCError({ code: 'BAD_REQUEST', cause: error })).data.issues.map((one) => one.path)).toEqual(
      ['a[0].b', 'c'],
    );
  });

  it('can name the place in the outer input', async () => {
    const inner = new ApiError('VALIDATION', 'x', {
      path: 'manifest.spec.a',
      issues: [{ path: 'manifest.spec.a', message: 'x', allowed: null }],
    });
    const moved = await withPaths([['manifest.spec.', '']], () => Promise.reject(inner)).catch(
      (error: unknown) => error,
    );
    expect(moved).toMatchObject({ data: { path: 'a', issues: [{ path: 'a' }] } });
    await expect(withPaths([], () => Promise.reject(notFound()))).rejects.toMatchObject({ data: { path: null } });
  });
});
