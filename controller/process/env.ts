/** Environment variables as they come. An empty one counts as unset. */
export type Env = Readonly<Record<string, string | undefined>>;

/** One thing wrong with a variable. `value` is null where it is unset or secret. */
export interface ConfigProblem {
  readonly variable: string;
  readonly value: string | null;
  /** What it must be, to follow "must be"; null: `remedy` says all. */
  readonly allowed: string | null;
  readonly remedy: string;
}

/** All problems of a configuration at once: nobody should have to start a process four times to learn of four mistakes. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];
  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(problemText).join('\n'));
    this.problems = problems;
  }
}

function problemText({ variable, value, allowed, remedy }: ConfigProblem): string {
  if (allowed === null) return `${variable}: ${remedy}`;
  const is = value === null ? variable : `${variable} is "${value.slice(0, 100)}":`;
  return `${is} must be ${allowed}. ${remedy}`;
}

/** Reads variables and collects what is wrong; every method answers something usable, so that reading goes on. */
export interface EnvReader {
  readonly problems: ConfigProblem[];
  /** The value, or undefined if unset or empty. */
  raw(name: string): string | undefined;
  /** A whole number in a range. */
  int(name: string, range: { readonly min: number; readonly max: number; readonly standard: number }): number;
  choice<Value extends string>(name: string, values: readonly Value[], standard: Value): Value;
  /** Text of a shape. Without `standard` it is required. `secret`: its value is never shown. */
  text(name: string, rule: TextRule): string;
  problem(problem: ConfigProblem): void;
}

export interface TextRule {
  readonly pattern: RegExp;
  readonly allowed: string;
  readonly example: string;
  readonly standard?: string;
  readonly secret?: boolean;
}

export function createEnvReader(env: Env): EnvReader {
  const problems: ConfigProblem[] = [];
  const raw = (name: string): string | undefined => {
    const value = env[name]?.trim();
    return value === '' ? undefined : value;
  };
  const problem = (one: ConfigProblem): void => void problems.push(one);
  return {
    problems,
    raw,
    problem,
    int(name, { min, max, standard }) {
      const value = raw(name);
      if (value === undefined) return standard;
      const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
      if (number >= min && number <= max) return number;
      const remedy = `Unset it for ${standard}.`;
      problem({ variable: name, value, allowed: `a whole number from ${min} to ${max}`, remedy });
      return standard;
    },
    choice(name, values, standard) {
      const value = raw(name);
      const found = values.find((one) => one === value);
      if (found !== undefined || value === undefined) return found ?? standard;
      problem({ variable: name, value, allowed: `one of ${values.join(', ')}`, remedy: `Unset it for ${standard}.` });
      return standard;
    },
    text(name, { pattern, allowed, example, standard, secret = false }) {
      const value = raw(name) ?? standard;
      if (value !== undefined && pattern.test(value)) return value;
      const shown = secret || value === undefined ? null : value;
      const remedy = `${value === undefined ? 'It is not set. ' : ''}Example: ${name}=${example}`;
      problem({ variable: name, value: shown, allowed, remedy });
      return standard ?? '';
    },
  };
}
