import { cpus, loadavg } from 'node:os';
import Table from 'cli-table3';
import type { Figure, Measure, Skipped } from './bench.ts';

export interface Result {
  readonly bench: string;
  readonly about: string;
  /** Load of the machine before → after: figures of a busy machine are comparable by their ratio only. */
  readonly load: string;
  readonly server: string;
  readonly outcome: readonly Figure[] | Skipped;
}

/** Load over the last minute, beside the number of cores. */
export function loadText(): string {
  return `${(loadavg()[0] ?? 0).toFixed(1)}/${cpus().length}`;
}

/** The figures as a table, each followed by what it is of. */
export function tableOf(results: readonly Result[]): string {
  const table = new Table({
    head: ['figure', 'ours', 'reference', 'ratio', 'goal', 'load (1 min)/cores'],
    style: { head: [], border: [] },
  });
  for (const { bench, outcome, load } of results) {
    if ('skipped' in outcome) table.push([bench, { colSpan: 5, content: `skipped: ${outcome.skipped}` }]);
    else for (const figure of outcome) table.push([...cellsOf(figure), load]);
  }
  const shapes = results.flatMap(({ outcome }) =>
    'skipped' in outcome ? [] : outcome.map((figure) => `${figure.name}: ${figure.shape}`),
  );
  const [first] = results;
  return [table.toString(), first?.server ?? '', ...new Set(shapes)].join('\n');
}

function cellsOf({ name, ours, reference, ratio, goal }: Figure): string[] {
  const judged = goal === null ? '–' : `${goal.text} ${goal.met ? '✓' : '✗'}`;
  return [name, measureText(ours), `${measureText(reference)} ${reference.of}`, ratio.toFixed(2), judged];
}

function measureText({ value, unit }: Measure): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${unit}`;
}
