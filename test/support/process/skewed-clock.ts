/**
 * A preload (`node --import`) that moves this process's wall clock. SKEW_MS is a list "<offset in ms>@<after so many ms>,…": the clock
 * steps from one offset to the next, backwards too. Monotonic time stays what it is.
 */
const steps = (process.env['SKEW_MS'] ?? '').split(',').filter(Boolean).map(stepOf);

function stepOf(text: string): { readonly offsetMs: number; readonly afterMs: number } {
  const [offset, after = '0'] = text.split('@');
  return { offsetMs: Number(offset), afterMs: Number(after) };
}

function offsetNow(): number {
  return steps.findLast((step) => step.afterMs <= performance.now())?.offsetMs ?? 0;
}

const RealDate = Date;

class SkewedDate extends RealDate {
  constructor(...args: readonly [] | [value: number | string]) {
    if (args.length === 0) super(SkewedDate.now());
    else super(args[0]);
  }

  static override now(): number {
    return RealDate.now() + offsetNow();
  }
}

if (steps.length > 0) globalThis.Date = SkewedDate as unknown as DateConstructor;

/** Flags and environment that give a child such a clock. */
export function skewedBy(list: string): { readonly flags: readonly string[]; readonly env: Record<string, string> } {
  return { flags: ['--import', import.meta.filename], env: { SKEW_MS: list } };
}
