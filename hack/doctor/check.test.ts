import { describe, expect, it } from 'vitest';
import { fail, ok, runChecks, warn } from './check.ts';
import { isHealthy, reportJson, reportText } from './report.ts';

describe('running checks', () => {
  it('runs them all whatever fails, and keeps their order', async () => {
    const findings = await runChecks([
      { what: 'a', run: () => Promise.reject(new Error('no\n luck')) },
      {
        what: 'b',
        run: () => {
          throw new TypeError('a bug');
        },
      },
      { what: 'c', run: () => [ok('c', '1'), warn('c', '2', 'mend')] },
    ]);
    expect(findings.map(({ what, verdict, fact }) => `${verdict} ${what} ${fact}`)).toEqual([
      'FAIL a no luck',
      'FAIL b a bug',
      'ok c 1',
      'warn c 2',
    ]);
  });

  it('gives up at the deadline, and tells the check to stop', async () => {
    const stopped = Promise.withResolvers<void>();
    const hangs = {
      what: 'slow',
      run: (signal: AbortSignal) => {
        signal.addEventListener('abort', () => stopped.resolve());
        return new Promise<never>(() => undefined);
      },
    };
    const findings = await runChecks([hangs, { what: 'fast', run: () => [ok('fast', 'done')] }], 20);
    expect(findings.map(({ what, verdict }) => `${verdict} ${what}`)).toEqual(['FAIL slow', 'ok fast']);
    await stopped.promise;
  });

  it('stops what a check left behind once it has answered', async () => {
    let left: AbortSignal | null = null;
    await runChecks([{ what: 'a', run: (signal) => ((left = signal), []) }]);
    expect(left).toMatchObject({ aborted: true });
  });
});

describe('the report', () => {
  const findings = [ok('node', '26.1.0'), warn('proxy', 'set', 'NO_PROXY'), fail('api', 'down', 'start it')];

  it('has one line for each finding and a count', () => {
    expect(reportText({ subject: 'Looking', findings }).split('\n')).toEqual([
      'Looking',
      'ok    node   26.1.0',
      'warn  proxy  set  → NO_PROXY',
      'FAIL  api    down  → start it',
      '1 ok, 1 warn, 1 FAIL',
      '',
    ]);
  });

  it('is healthy with warnings, and not with a failure', () => {
    expect(isHealthy({ subject: '', findings: findings.slice(0, 2) })).toBe(true);
    expect(isHealthy({ subject: '', findings })).toBe(false);
    expect(JSON.parse(reportJson({ subject: 's', findings }))).toMatchObject({ ok: false, subject: 's', findings });
  });
});
