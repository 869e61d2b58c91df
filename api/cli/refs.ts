import type { ResourceKey } from '#resources/resource.ts';
import { CliError, exitCodes } from './exit.ts';

/** A kind as kinds.list answers it, as far as the CLI looks. */
export interface KnownKind {
  readonly kind: string;
  readonly plural: string;
}

/** "bucket", "Bucket" or "buckets" → "Bucket". Throws a CliError that lists the kinds there are. */
export function kindNamed(text: string, kinds: readonly KnownKind[]): string {
  const wanted = text.toLowerCase();
  const found = kinds.find((one) => one.kind.toLowerCase() === wanted || one.plural.toLowerCase() === wanted);
  if (found !== undefined) return found.kind;
  throw new CliError(
    `There is no kind "${text}". There are: ${kinds.map((one) => one.kind).join(', ')}.`,
    exitCodes.usage,
  );
}

/** ["bucket/a", "bucket/b"] or ["bucket", "a", "b"] → keys. A workspace is its own: "workspace/acme". */
export function refsFrom(
  args: readonly string[],
  at: { workspace: string | undefined; kinds: readonly KnownKind[] },
): ResourceKey[] {
  const [first, ...rest] = args;
  if (first === undefined)
    throw new CliError('Name what you mean: "bucket/uploads" or "bucket uploads".', exitCodes.usage);
  const pairs = first.includes('/') ? args.map(splitRef) : rest.map((name) => [first, name] as const);
  if (pairs.length === 0) throw new CliError(`Which ${first}? Name it: "${first}/<name>".`, exitCodes.usage);
  return pairs.map(([kindText, name]) => {
    const kind = kindNamed(kindText, at.kinds);
    return { workspace: kind === 'Workspace' ? name : requireWorkspace(at.workspace), kind, name };
  });
}

function splitRef(text: string): readonly [string, string] {
  const [kind, name, ...more] = text.split('/');
  if (kind !== undefined && name !== undefined && name !== '' && more.length === 0) return [kind, name];
  throw new CliError(`"${text}" is not <kind>/<name>.`, exitCodes.usage);
}

/** The workspace, or a CliError that says how to give it. */
export function requireWorkspace(workspace: string | undefined): string {
  if (workspace !== undefined && workspace !== '') return workspace;
  throw new CliError('Which workspace? Give -w <slug>, or set VIBN_WORKSPACE.', exitCodes.usage);
}

/** ["a=b", "c=d"] → { a: "b", c: "d" }. */
export function labelsFrom(text: string | undefined): Readonly<Record<string, string>> | undefined {
  if (text === undefined) return undefined;
  const pairs = text.split(',').map((pair) => {
    const [key, value, ...more] = pair.split('=');
    if (key === undefined || key === '' || value === undefined || more.length > 0)
      throw new CliError(`"${pair}" is not <label>=<value>.`, exitCodes.usage);
    return [key, value] as const;
  });
  return Object.fromEntries(pairs);
}

/** "90s", "5m", "2h" or a number of seconds → ms. */
export function durationMs(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  if (number === undefined) throw new CliError(`"${text}" is no duration: use 30s, 5m or 1h.`, exitCodes.usage);
  const factor = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit ?? 's'] ?? 1_000;
  return Number(number) * factor;
}
