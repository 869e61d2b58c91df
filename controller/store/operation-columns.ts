import type { OperationRow } from './rows.ts';

/** How a row of `operations` crosses from SQL. */
export const operationColumns = `
  uid, workspace, key, op, input, state, progress, result, cancel_requested_at, created_at, updated_at`;

type Snake = 'cancelRequestedAt' | 'createdAt' | 'updatedAt';

export type OperationColumns = Omit<OperationRow, Snake> & {
  readonly cancel_requested_at: number | null;
  readonly created_at: number;
  readonly updated_at: number;
};

/** An operation in the spelling of TypeScript. */
export function toOperation(row: OperationColumns): OperationRow {
  const { cancel_requested_at: cancelRequestedAt, created_at: createdAt, updated_at: updatedAt, ...rest } = row;
  return { ...rest, cancelRequestedAt, createdAt, updatedAt };
}
