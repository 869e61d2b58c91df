// Faults on demand, per provider and operation, seeded. The rules only decide; `door.ts` carries a decision out.

import { z } from 'zod';
import { hash32, seededRng, type CloudRng } from './clock.ts';

export const FAULTS = [
  'refuse',
  'lose-request',
  'lose-reply',
  'late',
  'slow',
  'throttle',
  'false-empty',
  'stale',
] as const;

/**
 * refuse: answered as unavailable, no effect · lose-request: no effect, no reply · lose-reply: effect, no reply · late: no reply, the
 * effect lands `delayMs` later · slow: effect at once, the reply `delayMs` later · throttle: answered as over the rate, no effect ·
 * false-empty: lists answer empty, gets answer "not found" · stale: reads answer as of `delayMs` ago. The last two touch reads only.
 */
export type Fault = (typeof FAULTS)[number];

/** What kind of call an operation is; false-empty and stale look at it. */
export type CallKind = 'get' | 'list' | 'write';

export interface FaultRule {
  readonly id: string;
  readonly provider: string;
  /** An operation, a prefix with a star ("buckets.*"), or absent for all. */
  readonly op?: string | undefined;
  readonly fault: Fault;
  /** How often it strikes; absent: until removed. */
  readonly times?: number | undefined;
  /** Chance for each matching call, 1 when absent. */
  readonly probability?: number | undefined;
  /** Used by late, slow and stale; 5,000 when absent. */
  readonly delayMs?: number | undefined;
  readonly seed?: number | undefined;
}

/** A rule and how often it struck, so that a test can require that its fault was hit. */
export interface FaultView extends FaultRule {
  readonly fired: number;
}

export interface FaultDecision {
  readonly id: string;
  readonly fault: Fault;
  readonly delayMs: number;
}

/** A refused control request: which field, what is allowed. The control server answers it as 400. */
export class ControlInputError extends Error {
  readonly field: string;
  readonly allowed: readonly string[] | undefined;

  constructor(field: string, message: string, allowed?: readonly string[]) {
    super(message);
    this.name = 'ControlInputError';
    this.field = field;
    this.allowed = allowed;
  }
}

const DELAY_MS_DEFAULT = 5_000;
const DELAY_MS_MAX = 3_600_000;
/** Rules at once; a forgotten loop of POSTs must not slow every call for ever. */
const RULES_MAX = 1_000;

const ruleSchema = z.strictObject({
  provider: z.string(),
  op: z.string().optional(),
  fault: z.enum(FAULTS),
  times: z.int().min(1).max(1_000_000).optional(),
  probability: z.number().gt(0).max(1).optional(),
  delayMs: z.int().min(0).max(DELAY_MS_MAX).optional(),
  seed: z.int().min(0).max(4_294_967_295).optional(),
});

interface ActiveRule extends FaultRule {
  readonly rng: CloudRng;
  fired: number;
}

/** The rules in force. Rules are tried in the order in which they were added; the first that strikes wins. */
export class Faults {
  readonly #ops = new Map<string, readonly string[]>();
  readonly #rules = new Map<string, ActiveRule>();
  #added = 0;

  /** Makes a provider known, with the operations that a rule may name. */
  registerProvider(provider: string, ops: readonly string[]): void {
    this.#ops.set(provider, ops);
  }

  /** Adds a rule from untrusted JSON. Throws ControlInputError naming the field and what it allows. */
  add(input: unknown): { id: string } {
    const parsed = ruleSchema.safeParse(input);
    if (!parsed.success) throw inputError(parsed.error);
    const rule = { ...parsed.data, op: this.#canonicalOp(parsed.data.provider, parsed.data.op) };
    if (this.#rules.size >= RULES_MAX)
      throw new ControlInputError('', `there are ${RULES_MAX} faults already; DELETE /faults first`);
    this.#added += 1;
    const id = `fault-${this.#added}`;
    this.#rules.set(id, { ...rule, id, fired: 0, rng: seededRng(rule.seed ?? hash32(id)) });
    return { id };
  }

  list(): FaultView[] {
    return [...this.#rules.values()].map(({ rng: _rng, ...view }) => view);
  }

  /** How often a rule struck; undefined if there is no such rule (any more). */
  fired(id: string): number | undefined {
    return this.#rules.get(id)?.fired;
  }

  /** Whether a rule of that id was there. */
  remove(id: string): boolean {
    return this.#rules.delete(id);
  }

  clear(): void {
    this.#rules.clear();
  }

  /** Which fault, if any, strikes this call. Counts it as fired. */
  decide(provider: string, op: string, kind: CallKind): FaultDecision | undefined {
    for (const rule of this.#rules.values()) {
      if (rule.provider !== provider || !opMatches(rule.op, op) || !kindMatches(rule.fault, kind)) continue;
      if (rule.times !== undefined && rule.fired >= rule.times) continue;
      if (rule.probability !== undefined && rule.rng.next() >= rule.probability) continue;
      rule.fired += 1;
      return { id: rule.id, fault: rule.fault, delayMs: rule.delayMs ?? DELAY_MS_DEFAULT };
    }
    return undefined;
  }

  #canonicalOp(provider: string, op: string | undefined): string | undefined {
    const ops = this.#ops.get(provider);
    if (ops === undefined) {
      const allowed = [...this.#ops.keys()];
      throw new ControlInputError(
        'provider',
        `provider "${provider}" is not built; use one of ${allowed.join(', ')}`,
        allowed,
      );
    }
    if (op === undefined || op === '*') return undefined;
    if (ops.some((known) => opMatches(op, known))) return op;
    throw new ControlInputError(
      'op',
      `op "${op}" is unknown for ${provider}; use one of ${ops.join(', ')}, or a prefix such as "buckets.*"`,
      ops,
    );
  }
}

function opMatches(pattern: string | undefined, op: string): boolean {
  if (pattern === undefined) return true;
  return pattern.endsWith('.*') ? op.startsWith(pattern.slice(0, -1)) : pattern === op;
}

function kindMatches(fault: Fault, kind: CallKind): boolean {
  return kind !== 'write' || (fault !== 'false-empty' && fault !== 'stale');
}

/** The first problem of a zod error, as a control error. */
export function inputError(error: z.ZodError): ControlInputError {
  const issue = error.issues[0];
  if (issue === undefined) return new ControlInputError('', 'the body is not valid');
  const field = issue.code === 'unrecognized_keys' ? (issue.keys[0] ?? '') : issue.path.join('.');
  const allowed = issue.code === 'invalid_value' ? issue.values.map(String) : undefined;
  return new ControlInputError(field, `${field === '' ? 'body' : field}: ${issue.message}`, allowed);
}
