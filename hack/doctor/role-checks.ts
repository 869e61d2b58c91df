import { randomBytes } from 'node:crypto';
import type { Env } from '#controller/process/env.ts';
import { fail, ok, textOf, warn } from './check.ts';
import type { Check, Finding } from './check.ts';
import type { Subject } from './environment.ts';

/** What an HTTP server answered, or why it did not: a code such as ECONNREFUSED. */
export type HttpAnswer =
  | { readonly status: number; readonly body: string }
  | { readonly status: null; readonly code: string };

const bodyCharsMax = 2_000;

/** The roles themselves, where an address is configured: the API's VIBN_URL, the reader's VIBN_READER_URL. */
export function roleChecks({ env, roles }: Subject): readonly Check[] {
  const api = roles.includes('api') ? [{ what: 'api', run: (signal: AbortSignal) => lookAtApi(env, signal) }] : [];
  const reader = roles.includes('api') || roles.includes('reader');
  return [...api, ...(reader ? [{ what: 'reader', run: (signal: AbortSignal) => lookAtReader(env, signal) }] : [])];
}

async function lookAtApi(env: Env, signal: AbortSignal): Promise<readonly Finding[]> {
  const url = env['VIBN_URL'] ?? '';
  if (url === '') return [ok('api', 'not asked: VIBN_URL, its public address, is not set')];
  return [readyFinding('api', url, await ask(`${base(url)}/readyz`, { signal }))];
}

async function lookAtReader(env: Env, signal: AbortSignal): Promise<readonly Finding[]> {
  const url = env['VIBN_READER_URL'] ?? '';
  if (url === '') {
    const remedy =
      'Set VIBN_READER_URL for the API, or live without plans with a fresh look, listings and signed URLs.';
    return [warn('reader', 'VIBN_READER_URL is not set', remedy)];
  }
  const ready = readyFinding('reader', url, await ask(`${base(url)}/readyz`, { signal }));
  if (ready.verdict !== 'ok') return [ready];
  // A question without an op: refused before anything is read, if the token is right.
  const question = (token: string): Promise<HttpAnswer> =>
    ask(`${base(url)}/read`, {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      signal,
    });
  const [ours, stranger] = [
    await question(env['VIBN_INTERNAL_TOKEN'] ?? ''),
    await question(randomBytes(32).toString('hex')),
  ];
  return [ready, tokenFinding(ours, stranger)];
}

const base = (url: string): string => url.replace(/\/+$/, '');

async function ask(url: string, init: RequestInit): Promise<HttpAnswer> {
  try {
    const response = await fetch(url, { ...init, redirect: 'manual' });
    return { status: response.status, body: (await response.text()).slice(0, bodyCharsMax) };
  } catch (error) {
    return { status: null, code: codeOf(error) };
  }
}

function codeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error && 'code' in cause) return String(cause.code);
  return textOf(cause ?? error);
}

/**
 * Whether a role is ready. Nobody listening is only a warning: the doctor is asked before the first start as well. A name without an
 * address, silence and a wrong answer are not mended by starting anything. Pure.
 */
export function readyFinding(role: 'api' | 'reader', url: string, answer: HttpAnswer): Finding {
  if (answer.status === null) {
    if (answer.code === 'ECONNREFUSED')
      return warn(role, `nothing listens at ${url}`, `Start the ${role}, unless this is before the first start.`);
    return fail(role, `no answer from ${url}: ${answer.code}`, 'Check the address, name resolution and firewall.');
  }
  if (answer.status === 200) return ok(role, `ready at ${url}`);
  if (answer.status === 503)
    return fail(
      role,
      `${url} is up and not ready`,
      `It cannot use its database: see the lines about it here and the ${role}’s log.`,
    );
  return fail(
    role,
    `${url}/readyz answers ${answer.status}`,
    `Something else listens there, or a proxy stands between: check the address.`,
  );
}

/** Whether the reader knows our token and nobody else's. Pure. */
export function tokenFinding(ours: HttpAnswer, stranger: HttpAnswer): Finding {
  const what = 'reader: token';
  const restart = 'Give the API and the reader the same VIBN_INTERNAL_TOKEN, and restart both.';
  if (ours.status === 401) return fail(what, 'the reader refuses our VIBN_INTERNAL_TOKEN', restart);
  if (stranger.status !== 401) {
    return fail(
      what,
      `a wrong token is answered ${stranger.status ?? stranger.code}, not 401`,
      'This is no reader of ours: check VIBN_READER_URL.',
    );
  }
  const refused = ours.status === 400 && ours.body.includes('"VALIDATION"');
  return refused
    ? ok(what, 'accepted, and another is refused')
    : fail(what, `the reader answers ${ours.status ?? ours.code} to a question`, 'See the reader’s log.');
}
