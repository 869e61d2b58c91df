import postgres from 'postgres';
import { describe, expect, test } from 'vitest';
import { fateOf, isDataError, sessionDied, SessionGone } from './sql-errors.ts';

/** An error of the server's or of a pooler's; `local` is its severity in the language of the server. */
function said(severity: string, code: string, more: { readonly local?: string; readonly routine?: string } = {}) {
  const fields = { severity, severity_local: more.local ?? severity, code, routine: more.routine ?? '' };
  return Object.assign(new postgres.PostgresError('said by the test'), fields);
}
const socket = (code: string): Error => Object.assign(new Error(code), { code });

describe('what an error says about the statement', () => {
  test.for([
    ['a conflict', said('ERROR', '40001'), 'aborted', 'lives'],
    ['a deadlock', said('ERROR', '40P01'), 'aborted', 'lives'],
    ['a lock not had in time', said('ERROR', '55P03'), 'aborted', 'lives'],
    ['a statement that took too long', said('ERROR', '57014'), 'aborted', 'lives'],
    ['a full disk', said('ERROR', '53100'), 'aborted', 'lives'],
    ['a server that only reads', said('ERROR', '25006'), 'aborted', 'died'],
    ['a prepared statement forgotten', said('ERROR', '26000'), 'aborted', 'lives'],
    ['a plan out of date', said('ERROR', '0A000', { routine: 'RevalidateCachedQuery' }), 'aborted', 'lives'],
    ['an ability that the server lacks', said('ERROR', '0A000', { routine: 'transformX' }), 'final', 'lives'],
    ['a message that the server does not understand', said('ERROR', '08P01'), 'final', 'lives'],
    ['a value refused', said('ERROR', '22001'), 'final', 'lives'],
    ['a permission missing', said('ERROR', '42501'), 'final', 'lives'],
    ['an internal error', said('ERROR', 'XX000'), 'final', 'lives'],
    ['no connection free', said('FATAL', '53300'), 'aborted', 'died'],
    ['a server that starts', said('FATAL', '57P03'), 'aborted', 'died'],
    ['an idle transaction ended', said('FATAL', '25P03'), 'aborted', 'died'],
    ['a server that stops', said('FATAL', '57P01'), 'lost', 'died'],
    ["a pooler's server gone (PgBouncer says all in 08P01)", said('FATAL', '08P01'), 'lost', 'died'],
    ["a pooler's own trouble", said('FATAL', '58000'), 'lost', 'died'],
    ['a session ended by an internal error', said('FATAL', 'XX000'), 'lost', 'died'],
    ['a server that panics', said('PANIC', '53100'), 'lost', 'died'],
    ['the same in another language', said('FATAL', '08P01', { local: 'ВАЖНО' }), 'lost', 'died'],
    ['a wrong password', said('FATAL', '28P01'), 'final', 'died'],
    ['a login that may not', said('FATAL', '28000'), 'final', 'died'],
    ['a database that is not there', said('FATAL', '3D000'), 'final', 'died'],
    ['a database that the login may not enter', said('FATAL', '42501'), 'final', 'died'],
    ['a port where nobody listens', socket('ECONNREFUSED'), 'aborted', 'lives'],
    ['a connection reset', socket('ECONNRESET'), 'lost', 'died'],
    ['a connection closed', socket('CONNECTION_CLOSED'), 'lost', 'died'],
    ['a session that was gone', new SessionGone(), 'lost', 'died'],
    ['a bug', new TypeError('undefined is not a function'), 'final', 'lives'],
    ['what is no error', 'thrown', 'final', 'lives'],
  ])('%s', ([, error, fate, session]) => {
    expect([fateOf(error), sessionDied(error) ? 'died' : 'lives']).toEqual([fate, session]);
  });

  test('a value or a constraint is told from the rest, so that a batch can be halved', () => {
    expect([said('ERROR', '22P05'), said('ERROR', '23514'), said('ERROR', '40001')].map(isDataError)).toEqual([
      true,
      true,
      false,
    ]);
  });
});
