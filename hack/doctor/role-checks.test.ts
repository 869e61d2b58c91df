import { describe, expect, it } from 'vitest';
import { readyFinding, tokenFinding } from './role-checks.ts';
import type { HttpAnswer } from './role-checks.ts';

describe('a role', () => {
  it.each<[string, HttpAnswer, string]>([
    ['is ready', { status: 200, body: '' }, 'ok'],
    ['is up without its database', { status: 503, body: '' }, 'FAIL'],
    ['is something else', { status: 404, body: '' }, 'FAIL'],
    ['is not started yet', { status: null, code: 'ECONNREFUSED' }, 'warn'],
    ['has no address', { status: null, code: 'ENOTFOUND' }, 'FAIL'],
    ['has a certificate that is not trusted', { status: null, code: 'SELF_SIGNED_CERT_IN_CHAIN' }, 'FAIL'],
  ])('%s', (_what, answer, verdict) => {
    expect(readyFinding('api', 'http://api', answer).verdict).toBe(verdict);
  });
});

describe('the internal token', () => {
  const refused: HttpAnswer = { status: 401, body: '' };
  const understood: HttpAnswer = { status: 400, body: '{"error":{"code":"VALIDATION"}}' };
  it.each<[string, readonly [ours: HttpAnswer, stranger: HttpAnswer], string]>([
    ['is known, and no other is', [understood, refused], 'ok'],
    ['differs', [refused, refused], 'FAIL'],
    ['does not matter there', [understood, understood], 'FAIL'],
    ['meets a reader that fails', [{ status: 500, body: '' }, refused], 'FAIL'],
    ['meets another server', [{ status: 400, body: 'Bad Request' }, refused], 'FAIL'],
    ['meets nobody', [{ status: null, code: 'ECONNRESET' }, refused], 'FAIL'],
  ])('%s', (_what, [ours, stranger], verdict) => {
    expect(tokenFinding(ours, stranger).verdict).toBe(verdict);
  });
});
