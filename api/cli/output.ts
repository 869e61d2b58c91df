import Table from 'cli-table3';
import { stringify } from 'yaml';
import type { Condition } from '#resources/condition.ts';
import type { Resource } from '#resources/resource.ts';

export type Format = 'table' | 'json' | 'yaml' | 'name';
export const formats: readonly Format[] = ['table', 'json', 'yaml', 'name'];

/** Writes a line to stdout. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

const plain = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** A table without lines, as kubectl prints it: greppable, one row a line. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const grid = new Table({
    head: [...head],
    chars: plain,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of rows) grid.push(row.map((cell) => cell.replaceAll(/\p{Cc}/gu, ' ')));
  return grid
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** Any value as JSON or YAML, ready to print. */
export function structured(value: unknown, format: 'json' | 'yaml'): string {
  return format === 'json' ? JSON.stringify(value, null, 2) : stringify(value).trimEnd();
}

/** Resources in the format asked for. One resource alone is printed as itself, several as a list. */
export function printResources(items: readonly Resource[], format: Format, now: number): void {
  if (format === 'json' || format === 'yaml') {
    const value = items.length === 1 ? items[0] : { apiVersion: 'vibn.dev/v1', kind: 'List', items };
    print(structured(value, format));
  } else if (format === 'name') {
    for (const item of items) print(refText(item));
  } else {
    print(
      table(
        ['WORKSPACE', 'KIND', 'NAME', 'READY', 'REASON', 'GENERATION', 'AGE'],
        items.map((item) => resourceRow(item, now)),
      ),
    );
  }
}

function resourceRow(item: Resource, now: number): string[] {
  const ready = conditionOf(item, 'Ready');
  const { workspace, name, generation, createdAt, deletedAt } = item.metadata;
  const reason =
    deletedAt === null ? (ready?.reason ?? '') : (conditionOf(item, 'DeletionBlocked')?.reason ?? 'Deleting');
  return [workspace, item.kind, name, ready?.status ?? 'Unknown', reason, String(generation), age(createdAt, now)];
}

/** "bucket/uploads". */
export function refText(item: { kind: string; metadata: { name: string } }): string {
  return `${item.kind.toLowerCase()}/${item.metadata.name}`;
}

/** The condition of that type, if it is there. */
export function conditionOf(item: Resource, type: string): Condition | undefined {
  return item.status.conditions.find((condition) => condition.type === type);
}

/** "45s", "12m", "3h", "8d": how long ago an ISO time was. */
export function age(iso: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(iso)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
