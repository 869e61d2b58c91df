/** What came of looking at one thing. `FAIL`: it will not work; `warn`: it works, and will bite later; `ok`: nothing to do. */
export interface Finding {
  readonly what: string;
  readonly verdict: 'ok' | 'warn' | 'FAIL';
  /** What was seen, in one line, without secrets. */
  readonly fact: string;
  /** What a person should do; null where there is nothing to do. */
  readonly remedy: string | null;
}

/** One look: it changes nothing, and stops what it began when the signal aborts. May throw: that is a FAIL. */
export interface Check {
  readonly what: string;
  readonly run: (signal: AbortSignal) => readonly Finding[] | Promise<readonly Finding[]>;
}

/** Of each check: a doctor that hangs is of no use. */
export const checkMs = 5_000;

export const ok = (what: string, fact: string): Finding => ({ what, verdict: 'ok', fact, remedy: null });

export const warn = (what: string, fact: string, remedy: string): Finding => ({ what, verdict: 'warn', fact, remedy });

export const fail = (what: string, fact: string, remedy: string): Finding => ({ what, verdict: 'FAIL', fact, remedy });

/** Runs all checks at once; their findings come in the order of the checks, whatever fails, each within `deadlineMs`. */
export async function runChecks(checks: readonly Check[], deadlineMs = checkMs): Promise<readonly Finding[]> {
  return (await Promise.all(checks.map((check) => runOne(check, deadlineMs)))).flat();
}

async function runOne(check: Check, deadlineMs: number): Promise<readonly Finding[]> {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), deadlineMs);
  const late = new Promise<readonly Finding[]>((resolve) => {
    over.signal.addEventListener('abort', () => resolve([tooLate(check.what, deadlineMs)]), { once: true });
  });
  try {
    return await Promise.race([Promise.resolve(over.signal).then(check.run), late]);
  } catch (error) {
    return [fail(check.what, textOf(error), 'Mend what the message says, and run the doctor again.')];
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}

function tooLate(what: string, deadlineMs: number): Finding {
  return fail(
    what,
    `no answer within ${deadlineMs / 1000} s`,
    'Look for a firewall that drops packets, a wrong host, or a server at its limit.',
  );
}

/** An error's message in one line. */
export function textOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replaceAll(/\s+/g, ' ').slice(0, 500);
}
