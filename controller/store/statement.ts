/**
 * One SQL statement, one file, one name (law 12). Each file of `controller/store/queries/` (ours) and
 * `controller/store/engine/` exports one function made here: `export const renewLeases = statement<Params, Row>({ … })`.
 * The name in snake case stands in front of the SQL (so in pg_stat_activity and in logs), in the metric, and is the
 * function's and the file's name in their own spelling.
 */

/** What a parameter may be. JSON crosses as text (`$1::text::jsonb`, `text[]` for batches), so it is encoded once. */
export type Param = string | number | boolean | null | readonly (string | number | null)[];

export interface StatementText {
  readonly name: string;
  /** The SQL with $1, $2, … */
  readonly text: string;
  /**
   * Whether a repeat does no harm even if the first one took effect though its answer was lost: reads, and writes
   * that are idempotent. Others surface as CommitUnknown when the connection is lost.
   */
  readonly repeatable: boolean;
}

/** Runs statements: the pool (each its own transaction), or a transaction. */
export interface Runner {
  run<Row>(statement: StatementText, params: readonly Param[]): Promise<readonly Row[]>;
}

/** A statement as a function of its runner and parameters, with its text for static checks. */
export interface Statement<Params extends readonly Param[], Row> {
  (runner: Runner, ...params: Params): Promise<readonly Row[]>;
  readonly statement: StatementText;
}

/** Names a statement. `repeatable` defaults to false. */
export function statement<Params extends readonly Param[], Row>(input: {
  readonly name: string;
  readonly text: string;
  readonly repeatable?: boolean;
}): Statement<Params, Row> {
  const text: StatementText = {
    name: input.name,
    text: `/* ${input.name} */ ${input.text.trim()}`,
    repeatable: input.repeatable ?? false,
  };
  const call = (runner: Runner, ...params: Params): Promise<readonly Row[]> => runner.run<Row>(text, params);
  return Object.assign(call, { statement: text });
}
