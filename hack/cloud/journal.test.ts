import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { manualClock } from './clock.ts';
import { Journal } from './journal.ts';
import { CloudState } from './state.ts';

const made: string[] = [];

function directory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'vibn-journal-'));
  made.push(dir);
  return dir;
}

afterEach(() => made.splice(0).forEach((dir) => rmSync(dir, { recursive: true, force: true })));

function load(dir: string, journalBytesMax?: number) {
  const state = new CloudState(manualClock());
  const table = state.table<unknown>('t');
  const warnings: string[] = [];
  const journal = new Journal(
    dir,
    { s: state },
    { warn: (message) => warnings.push(message), ...(journalBytesMax === undefined ? {} : { journalBytesMax }) },
  );
  const set = (key: string, value: unknown): void => state.transact(() => table.set(key, value));
  return { journal, state, table, warnings, set, rows: () => Object.fromEntries(table.entries()) };
}

describe('the journal', () => {
  it('gives back every answered transaction of a process that never closed it', () => {
    const dir = directory();
    const first = load(dir);
    first.set('a', { n: 1 });
    first.set('bytes', Buffer.from([0, 255, 10]));
    first.set('a', { n: 2 });
    first.set('gone', 1);
    first.state.transact(() => first.table.delete('gone'));
    const second = load(dir);
    expect(second.rows()).toEqual({ a: { n: 2 }, bytes: Buffer.from([0, 255, 10]) });
    expect(second.warnings).toEqual([]);
  });

  it('drops a torn last line with a warning, and what is appended afterwards is whole', () => {
    const dir = directory();
    load(dir).set('a', 1);
    appendFileSync(join(dir, 'journal.jsonl'), '[{"s":"s","t":"t","k":"b","v":{"half');
    const second = load(dir);
    expect(second.rows()).toEqual({ a: 1 });
    expect(second.warnings[0]).toMatch(/torn last line/);
    second.set('c', 3);
    expect(load(dir)).toMatchObject({ warnings: [] });
    expect(load(dir).rows()).toEqual({ a: 1, c: 3 });
  });

  it('survives being cut at every byte of its last line', () => {
    const dir = directory();
    const first = load(dir);
    first.set('a', 1);
    const whole = readFileSync(join(dir, 'journal.jsonl')).length;
    first.set('b', 'é');
    const bytes = readFileSync(join(dir, 'journal.jsonl'));
    for (let cut = whole; cut < bytes.length; cut += 1) {
      writeFileSync(join(dir, 'journal.jsonl'), bytes);
      truncateSync(join(dir, 'journal.jsonl'), cut);
      expect(load(dir).rows(), `cut at ${cut}`).toEqual({ a: 1 });
    }
  });

  it('refuses a file that is damaged in the middle, naming it', () => {
    const dir = directory();
    writeFileSync(
      join(dir, 'journal.jsonl'),
      '[{"s":"s","t":"t","k":"a","v":1}]\nrubbish\n[{"s":"s","t":"t","k":"b","v":2}]\n',
    );
    expect(() => load(dir)).toThrow(/journal\.jsonl is damaged at byte 34/);
  });

  it('folds itself into a snapshot when it grows, and keeps everything', () => {
    const dir = directory();
    const first = load(dir, 1_000);
    for (let n = 0; n < 200; n += 1) first.set(`key-${n % 20}`, { n });
    expect(readFileSync(join(dir, 'journal.jsonl')).length).toBeLessThan(2_500);
    expect(load(dir).rows()).toEqual(first.rows());
  });

  it('loses nothing if it dies between the new snapshot and the emptied journal', () => {
    const dir = directory();
    const first = load(dir);
    first.set('a', 1);
    first.state.transact(() => first.table.delete('a'));
    first.set('b', 2);
    const journal = readFileSync(join(dir, 'journal.jsonl'));
    first.journal.compact();
    writeFileSync(join(dir, 'journal.jsonl'), journal);
    expect(load(dir).rows()).toEqual({ b: 2 });
  });
});
