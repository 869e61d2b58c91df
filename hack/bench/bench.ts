import type { BenchServer } from './server.ts';

/** A measured value with its unit: "passes/s", "ms", "MB". */
export interface Measure {
  readonly value: number;
  readonly unit: string;
}

/** One figure: what we measured beside what it is measured against, both taken in the same run. */
export interface Figure {
  readonly name: string;
  readonly ours: Measure;
  readonly reference: Measure & { readonly of: string };
  /** ours ÷ reference. */
  readonly ratio: number;
  readonly goal: { readonly text: string; readonly met: boolean } | null;
  /** Batch shape, shards, connections: what the numbers are of. */
  readonly shape: string;
}

/** Why a bench could not be run here. */
export interface Skipped {
  readonly skipped: string;
}

export interface BenchContext {
  /** A small version: seconds, for a look. */
  readonly quick: boolean;
  readonly server: BenchServer;
  /** Progress, for people: never part of the result. */
  readonly note: (text: string) => void;
}

export interface Bench {
  readonly name: string;
  readonly about: string;
  run(context: BenchContext): Promise<readonly Figure[] | Skipped>;
}

/** A figure, with its ratio. */
export function figure(input: Omit<Figure, 'ratio' | 'goal'> & { readonly goal?: Goal }): Figure {
  const { goal, ...rest } = input;
  const ratio = rest.ours.value / rest.reference.value;
  const judged = goal === undefined ? null : { text: goal.text, met: goal.met({ ours: rest.ours.value, ratio }) };
  return { ...rest, ratio, goal: judged };
}

export interface Goal {
  readonly text: string;
  readonly met: (found: { readonly ours: number; readonly ratio: number }) => boolean;
}
