import { ApiError } from '#resources/errors.ts';
import { keyText } from '#resources/reference.ts';
import type { ResourceKey, ResourceRow } from '#resources/resource.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';

export interface GatherInput {
  readonly engine: Pick<EngineStore, 'readKey'>;
  readonly keys: readonly ResourceKey[];
  /** What a found row leads to. */
  readonly follow: (row: ResourceRow) => readonly ResourceKey[];
  readonly rowsMax: number;
}

/**
 * Reads rows by key, and what they lead to, without a lock: a plan is a forecast, and admission decides anew. Throws VALIDATION beyond
 * `rowsMax` rows.
 */
export async function gatherRows({ engine, keys, follow, rowsMax }: GatherInput): Promise<Map<string, ResourceRow>> {
  const rows = new Map<string, ResourceRow>();
  const seen = new Set<string>();
  let wanted = [...keys];
  while (wanted.length > 0) {
    const fresh = wanted.filter((key) => !seen.has(keyText(key)) && seen.add(keyText(key)));
    if (seen.size > rowsMax) throw tooManyRows(rowsMax);
    const found = await Promise.all(fresh.map((key) => engine.readKey(key)));
    const present = found.flatMap(({ row }) => (row === null ? [] : [row]));
    for (const row of present) rows.set(keyText(row), row);
    wanted = present.flatMap(follow);
  }
  return rows;
}

function tooManyRows(rowsMax: number): ApiError {
  return new ApiError('VALIDATION', `The changes lead to more than ${rowsMax} rows. Plan them in parts.`, {
    path: 'changes',
    allowed: rowsMax,
  });
}
