import type postgres from 'postgres';
import { shardOf } from '#resources/shard.ts';

export interface Seed {
  readonly workspace: string;
  readonly count: number;
  /** How long the rows have been due; negative: they are due later. */
  readonly dueMsAgo: number;
}

/** Declares many rows at once, as the owner: their uids are `<workspace>-000001` and so on. Analyzes, so that plans are real ones. */
export async function seedRows(owner: postgres.Sql, { workspace, count, dueMsAgo }: Seed): Promise<void> {
  const shard = shardOf(workspace);
  await owner`
    insert into resources (shard, uid, workspace, kind, name, generation, version, spec, created_by, created_at, updated_at)
    select ${shard}, ${workspace} || '-' || lpad(n::text, 6, '0'), ${workspace}, 'Bucket', 'row-' || n, 1, 1, '{}', '{}',
      statement_timestamp(), statement_timestamp()
    from generate_series(1, ${count}::int) as n`;
  // Else the check of the foreign key below may go by a plan made while the table was small: minutes instead of seconds.
  await owner`analyze resources`;
  await owner`
    insert into work (shard, uid, workspace, kind, due_at, priority)
    select shard, uid, workspace, kind, statement_timestamp() - ${dueMsAgo}::int * interval '1 millisecond', 'replay'
    from resources where shard = ${shard} and workspace = ${workspace}`;
  await owner`analyze work`;
}
