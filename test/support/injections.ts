import type { StatementText } from '#controller/store/statement.ts';
import type { Injection } from './statement-proxy.ts';

/**
 * What the figures name (reliability.md, SQL errors): two conflicts, a terminated session, a lost connection, no connection free; and what
 * PgBouncer says when its server is gone.
 */
export const injections: readonly Injection[] = [
  { how: 'error', code: '40001' },
  { how: 'fatal', code: '57P01' },
  { how: 'error', code: '40P01' },
  { how: 'unanswered', code: '08006' },
  { how: 'fatal', code: '53300' },
  { how: 'unanswered', code: '57P01' },
  { how: 'fatal', code: '08006' },
  { how: 'unanswered', code: '08P01' },
];

/** Not part of the stores' contract: test/e2e/api-sql-errors.test.ts makes them fail. */
export const askedByApi: ReadonlySet<string> = new Set([
  'cancel_operation',
  'count_keys',
  'find_key',
  'insert_audit',
  'insert_key',
  'list_everywhere',
  'list_keys',
  'list_operations',
  'ping',
  'read_chain_head',
  'read_request',
  'remember_request',
  'revoke_key',
  'touch_key',
  'write_plans',
]);

export const injectionText = ({ how, code }: Injection): string => `${how} ${code}`;

/** Chooses what befalls a statement. */
export interface Injector {
  /** For statement-proxy.ts: the first execution of each statement since `again` fails, in another way each time. */
  decide(name: string): Injection | null;
  again(): void;
  stop(): void;
  /** Ways in which each statement has failed so far. */
  readonly suffered: ReadonlyMap<string, ReadonlySet<string>>;
}

/**
 * `answersMayBeLost`: whether a statement may be carried out unheard; where that cannot be survived without the caller's help, it is shown
 * elsewhere. `max`: ways of failing since `again`, by statement.
 */
export function createInjector(
  statements: ReadonlyMap<string, StatementText>,
  { max = 1, answersMayBeLost }: { readonly max?: number; readonly answersMayBeLost: (name: string) => boolean },
): Injector {
  const suffered = new Map<string, Set<string>>();
  const turns = new Map<string, number>();
  const lately = new Map<string, number>();
  let stopped = false;
  const next = (name: string): Injection | null => {
    for (let skipped = 0; skipped < injections.length; skipped += 1) {
      const turn = turns.get(name) ?? 0;
      turns.set(name, turn + 1);
      const injection = injections[turn % injections.length];
      if (injection !== undefined && (injection.how !== 'unanswered' || answersMayBeLost(name))) return injection;
    }
    return null;
  };
  return {
    suffered,
    again: () => lately.clear(),
    stop: () => {
      stopped = true;
    },
    decide(name) {
      const times = lately.get(name) ?? 0;
      if (stopped || times >= max || !(statements.has(name) || name === 'begin' || name === 'commit')) return null;
      const injection = next(name);
      if (injection === null) return null;
      lately.set(name, times + 1);
      suffered.set(name, (suffered.get(name) ?? new Set()).add(injectionText(injection)));
      return injection;
    },
  };
}
