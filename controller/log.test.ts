import { describe, expect, it } from 'vitest';
import { createLogger, scrubText, silentLogger } from './log.ts';

/** A logger whose lines are kept. */
function recorded() {
  const lines: string[] = [];
  const log = createLogger({
    level: 'debug',
    role: 'test',
    destination: { write: (line: string) => void lines.push(line) },
  });
  return { log, lines, text: () => lines.join('') };
}

const canary = 'canary-7f3b1c';
const secretFields = [
  'password',
  'token',
  'Authorization',
  'apiKey',
  'private_key',
  'SECRET_ACCESS_KEY',
  'set-cookie',
  'authCode',
];
const wholeValues = ['spec', 'headers', 'body', 'args', 'reply', 'env', 'observed'];

describe('redaction', () => {
  it.each([...secretFields, ...wholeValues])('never writes the field %s, at any depth', (name) => {
    const { log, text } = recorded();
    const planted: Record<string, unknown> = { [name]: canary };
    log.info(planted, 'flat');
    log.info({ a: planted, list: [planted, { inner: [planted] }] }, 'nested');
    log.info({ a: { b: { c: { d: { e: planted } } } } }, 'deep');
    log.child(planted).child({ more: planted }).warn({}, 'child');
    expect(text()).toContain('nested');
    expect(text()).not.toContain(canary);
  });

  it('reduces an SDK error to name, message and code', () => {
    const { log, lines, text } = recorded();
    const error = Object.assign(new Error(`GET failed, Authorization: Bearer ${canary}`), {
      code: 403,
      config: { headers: { authorization: `Bearer ${canary}` }, data: canary },
      response: { body: canary },
    });
    log.error({ error }, 'Call failed');
    log.child({ error }).error({ list: [{ error }] }, 'Call failed');
    expect(text()).not.toContain(canary);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ error: { name: 'Error', code: 403 }, msg: 'Call failed' });
  });

  it.each([
    `Bearer ${canary}`,
    `vibn_live_k1_${canary.replace('-', '')}_abcd`,
    `postgres://vibn_api:${canary}@db/vibn`,
    `https://storage.googleapis.com/b/o?X-Goog-Date=1&X-Goog-Signature=${canary}`,
    `-----BEGIN PRIVATE KEY-----\n${canary}\n-----END PRIVATE KEY-----`,
    `-----BEGIN RSA PRIVATE KEY-----\n${canary}`,
  ])('scrubs text that is a secret by its shape: %s', (text) => {
    expect(scrubText(`before ${text} after`)).not.toContain(canary);
    expect(scrubText(`before ${text} after`)).not.toContain(canary.replace('-', ''));
    expect(scrubText(`before ${text} after`)).toContain('before');
  });

  it.each(['a.', 'a-', 'bearer ', 'vibn_a_', '?key=', 'a://b:'])('is found in linear time in much of "%s"', (part) => {
    const scrubMs = (chars: number): number => {
      const began = performance.now();
      scrubText(part.repeat(chars / part.length));
      return performance.now() - began;
    };
    // The quickest of some: quadratic it would be seconds, and the machine may have other things to do.
    expect(Math.min(...Array.from({ length: 5 }, () => scrubMs(65_536)))).toBeLessThan(200);
  });
});

describe('lines', () => {
  it('carry role, level, message and the fields of the child', () => {
    const { log, lines } = recorded();
    log.child({ provider: 'gcs' }).info({ op: 'buckets.get', calls: 3n }, 'Provider call ended');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      role: 'test',
      level: 'info',
      provider: 'gcs',
      op: 'buckets.get',
      calls: '3',
      msg: 'Provider call ended',
    });
  });

  it('bound text, lists and depth', () => {
    const { log, lines } = recorded();
    log.debug({ text: 'x'.repeat(10_000), list: Array.from({ length: 500 }, () => 1) }, 'Long');
    expect((lines[0] ?? '').length).toBeLessThan(3_000);
  });

  it('are not written by the silent logger or below the level', () => {
    const lines: string[] = [];
    const quiet = createLogger({ level: 'error', role: 't', destination: { write: (line) => void lines.push(line) } });
    quiet.info({}, 'nothing');
    silentLogger.child({}).error({}, 'nothing');
    expect(lines).toEqual([]);
  });
});
