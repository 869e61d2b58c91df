/**
 * In the world nothing of the engine may reach real time, the network or the machine's randomness: these throw when they are called
 * from controller/, reconcilers/ or p-queue. Callers elsewhere (the test runner itself) are served as ever.
 */
const guarded = /\/(controller|reconcilers|p-queue)\//;
/** p-queue notes the time of each start, and uses it only with rates, which we leave off. */
const unused = /\/p-queue\//;

interface Target {
  readonly owner: object;
  readonly name: string;
  readonly allowed?: RegExp;
}

const targets: readonly Target[] = [
  { owner: globalThis, name: 'setTimeout' },
  { owner: globalThis, name: 'setInterval' },
  { owner: globalThis, name: 'setImmediate' },
  { owner: globalThis, name: 'fetch' },
  { owner: globalThis.crypto, name: 'randomUUID' },
  { owner: globalThis.crypto, name: 'getRandomValues' },
  { owner: AbortSignal, name: 'timeout' },
  { owner: Math, name: 'random' },
  { owner: Date, name: 'now', allowed: unused },
];

let installed = 0;
let restore: (() => void)[] = [];

/** The machine's own setImmediate, which lets all promises settle that can. */
export const realImmediate: typeof setImmediate = setImmediate;

/** Installs the guards; returns a function that takes them off again. Nested calls count. */
export function forbidRealTime(): () => void {
  installed += 1;
  if (installed === 1) restore = targets.map(install);
  let released = false;
  return () => {
    if (released) return;
    released = true;
    installed -= 1;
    if (installed === 0) for (const undo of restore) undo();
  };
}

type AnyFunction = (...args: unknown[]) => unknown;

function install({ owner, name, allowed }: Target): () => void {
  const original = Reflect.get(owner, name) as AnyFunction;
  const replacement = function replaced(this: unknown, ...args: unknown[]): unknown {
    const caller = callerOf();
    if (guarded.test(caller) && allowed?.test(caller) !== true)
      throw new Error(`${name} was called inside the simulated world; use the injected clock`);
    return Reflect.apply(original, this === undefined ? owner : this, args);
  };
  Object.defineProperty(owner, name, { value: replacement, configurable: true, writable: true });
  return () => Object.defineProperty(owner, name, { value: original, configurable: true, writable: true });
}

/** The file of the frame that called the guarded function: the third, below this one and the replacement. */
function callerOf(): string {
  const { stackTraceLimit } = Error;
  const prepare: unknown = Reflect.get(Error, 'prepareStackTrace');
  Error.stackTraceLimit = 3;
  // Called thousands of times a second: the trace is not made into text.
  Error.prepareStackTrace = (_error, sites) => sites[2]?.getFileName() ?? '';
  const { stack } = new Error('caller');
  Error.stackTraceLimit = stackTraceLimit;
  Reflect.set(Error, 'prepareStackTrace', prepare);
  return stack ?? '';
}
