import { globSync } from 'node:fs';
import path from 'node:path';
import type { Statement } from '#controller/store/statement.ts';

export interface FoundStatement {
  readonly file: string;
  readonly exported: string;
  readonly name: string;
  readonly text: string;
}

const isStatement = (value: unknown): value is Statement<never, unknown> =>
  typeof value === 'function' && 'statement' in value;

/** Every SQL statement of the product, as its file exports it. */
export async function allStatements(): Promise<readonly FoundStatement[]> {
  const found: FoundStatement[] = [];
  for (const file of globSync('controller/store/{engine,queries}/*.ts').toSorted()) {
    const module = (await import(path.resolve(file))) as Record<string, unknown>;
    for (const [exported, value] of Object.entries(module)) {
      if (isStatement(value)) found.push({ file, exported, name: value.statement.name, text: value.statement.text });
    }
  }
  return found;
}

/** Reads over all shards. None of them writes a sharded table, and none of them is part of a pass. */
export const acrossShards: Readonly<Record<string, string>> = {
  due_shards: 'the poll of an idle worker: one index probe a shard',
  draining_shards: 'an engine task, over a partial index that is mostly empty',
  listening_shards: 'where a probe of an open breaker may look: one index probe a shard',
  count_materialized: 'the base of a brake, asked only before a re-create',
  replay_read: 'the counts of a replay, for people',
  replay_next: 'what a replay asks next, in an order over all shards, by an index',
  replay_open_shards: 'where a replay has asked items, by an index',
  replay_finish: 'whether a replay has anything left, by an index',
  list_everywhere: 'a list of all workspaces, for platform keys',
  list_unknowns: 'open unknowns of all workspaces, for platform keys',
};
