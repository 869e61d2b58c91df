import { globSync } from 'node:fs';
import path from 'node:path';
import type { StatementText } from '#controller/store/statement.ts';

/** Every statement of the product, by name, found in the folders that hold nothing else: a new one is found by itself. */
export async function allStatements(): Promise<ReadonlyMap<string, StatementText>> {
  const found = new Map<string, StatementText>();
  for (const file of globSync('controller/store/{queries,engine}/*.ts').filter((one) => !one.endsWith('.test.ts'))) {
    const module = (await import(path.resolve(file))) as Record<string, unknown>;
    for (const value of Object.values(module)) {
      if (typeof value !== 'function' || !('statement' in value)) continue;
      const statement = value.statement as StatementText;
      found.set(statement.name, statement);
    }
  }
  return found;
}
