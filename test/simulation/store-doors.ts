import type { Send } from './effects.ts';

/** Methods that change nothing: a crash at one of them is a crash between two writes. */
const reads: ReadonlySet<string> = new Set([
  'dueShards',
  'readRows',
  'readKey',
  'listRows',
  'listOthers',
  'readOperation',
  'passes',
  'drainingShards',
  'providers',
  'countMaterialized',
  'get',
  'list',
]);

type Method = (...args: unknown[]) => Promise<unknown>;

/** A store whose every method goes through a door, as an effect of its own. */
export function wrapStore<S extends object>(store: S, name: string, door: <T>(send: Send<T>) => Promise<T>): S {
  const entries = Object.entries(store).map(([method, inner]) => {
    const through: Method = (...args) =>
      door({
        op: `${name}.${method}`,
        mutating: !reads.has(method),
        subject: subjectOf(args),
        execute: () => (inner as Method)(...args),
      });
    return [method, through] as const;
  });
  return Object.fromEntries(entries) as S;
}

interface Named {
  readonly uid?: string;
  readonly uids?: readonly string[];
  readonly name?: string;
  readonly provider?: string;
  readonly shard?: number;
  readonly settle?: Named;
}

/** What a call is about: uids where it names any. */
function subjectOf(args: readonly unknown[]): string {
  return args
    .flatMap((arg) => (Array.isArray(arg) ? arg : [arg]))
    .map(subjectOfOne)
    .filter((text) => text !== '')
    .join(',');
}

function subjectOfOne(arg: unknown): string {
  if (typeof arg === 'string' || typeof arg === 'number') return String(arg);
  if (typeof arg !== 'object' || arg === null) return '';
  const { uid, uids, name, provider, shard, settle } = arg as Named;
  if (settle !== undefined) return subjectOfOne(settle);
  return uid ?? uids?.join(',') ?? name ?? provider ?? (shard === undefined ? '' : String(shard));
}
