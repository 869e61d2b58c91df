// The memory of a provider's model: tables of immutable records, changed only inside a transaction.
//
// Owns: atomicity (a throw undoes the whole transaction), the change feed that the journal writes, and a short history that serves
// stale reads. Calls nothing.
//
// 1. A record is never changed in place; `set` replaces it. Therefore history holds references, not copies.
// 2. Every listener of `onCommit` has returned before `transact` returns: what a caller was told has been handed to the journal.
// 3. If a listener throws, the transaction is undone: what could not be journalled did not happen.
// 4. `readAt` puts the tables back as they were, runs, and restores them; it is synchronous, so nobody else sees the past.

import type { CloudClock } from './clock.ts';

/** One changed record. `undefined` means absent. */
export interface Change {
  readonly table: string;
  readonly key: string;
  readonly before: unknown;
  readonly after: unknown;
}

interface PastChange extends Change {
  readonly atMs: number;
}

/** How many changes are kept for stale reads. Bounded, because each holds on to the record (and bytes) that it replaced. */
const HISTORY_MAX = 2_000;

export interface TableOptions {
  /** Which group a key belongs to; a group can be listed in order without looking at the rest. */
  readonly groupOf?: (key: string) => string;
}

/** A map from key to immutable record, with ordered listing by group. */
export class Table<V> {
  readonly name: string;
  readonly #rows = new Map<string, V>();
  readonly #groups = new Map<string, Set<string>>();
  readonly #sorted = new Map<string, readonly string[]>();
  readonly #groupOf: (key: string) => string;
  readonly #changed: (change: Change) => void;

  constructor(name: string, changed: (change: Change) => void, options: TableOptions = {}) {
    this.name = name;
    this.#changed = changed;
    this.#groupOf = options.groupOf ?? (() => '');
  }

  get size(): number {
    return this.#rows.size;
  }

  get(key: string): V | undefined {
    return this.#rows.get(key);
  }

  /** Replaces the record. Only inside a transaction. */
  set(key: string, value: V): void {
    const before = this.#rows.get(key);
    this.#changed({ table: this.name, key, before, after: value });
    this.put(key, value);
  }

  /** Removes the record; a missing one is no change. Only inside a transaction. */
  delete(key: string): void {
    const before = this.#rows.get(key);
    if (before === undefined) return;
    this.#changed({ table: this.name, key, before, after: undefined });
    this.put(key, undefined);
  }

  /** Keys of a group in ascending order of their UTF-16 units. */
  keys(group = ''): readonly string[] {
    const known = this.#sorted.get(group);
    if (known !== undefined) return known;
    const keys = [...(this.#groups.get(group) ?? [])].sort((a, b) => (a < b ? -1 : Number(a > b)));
    this.#sorted.set(group, keys);
    return keys;
  }

  /** Whether a group has any record; cheaper than listing it. */
  hasGroup(group: string): boolean {
    return (this.#groups.get(group)?.size ?? 0) > 0;
  }

  entries(): IterableIterator<[string, V]> {
    return this.#rows.entries();
  }

  /** Writes without a transaction: for loading, undoing and looking back. */
  put(key: string, value: V | undefined): void {
    const group = this.#groupOf(key);
    if (value === undefined) {
      if (!this.#rows.delete(key)) return;
      const members = this.#groups.get(group);
      members?.delete(key);
      if (members?.size === 0) this.#groups.delete(group);
      this.#sorted.delete(group);
      return;
    }
    if (!this.#rows.has(key)) {
      const members = this.#groups.get(group);
      if (members === undefined) this.#groups.set(group, new Set([key]));
      else members.add(key);
      this.#sorted.delete(group);
    }
    this.#rows.set(key, value);
  }
}

/** All tables of one provider. */
export class CloudState {
  readonly #clock: CloudClock;
  readonly #tables = new Map<string, Table<unknown>>();
  readonly #listeners: ((changes: readonly Change[]) => void)[] = [];
  #open: Change[] | undefined;
  #history: PastChange[] = [];

  constructor(clock: CloudClock) {
    this.#clock = clock;
  }

  /** The table of that name; made on first use. A name must always be asked for with the same record type. */
  table<V>(name: string, options: TableOptions = {}): Table<V> {
    const known = this.#tables.get(name);
    if (known !== undefined) return known as Table<V>;
    const made = new Table<V>(name, (change) => this.#record(change), options);
    this.#tables.set(name, made);
    return made;
  }

  /** Runs with the right to change tables. A throw, or a listener that throws, undoes everything. Nested calls join the outer one. */
  transact<T>(run: () => T): T {
    if (this.#open !== undefined) return run();
    const changes: Change[] = [];
    this.#open = changes;
    try {
      const result = run();
      if (changes.length > 0) for (const listener of this.#listeners) listener(changes);
      this.#remember(changes);
      return result;
    } catch (error) {
      for (const change of changes.toReversed()) this.load(change.table, change.key, change.before);
      throw error;
    } finally {
      this.#open = undefined;
    }
  }

  /** Called with each transaction's changes, before `transact` returns. */
  onCommit(listener: (changes: readonly Change[]) => void): void {
    this.#listeners.push(listener);
  }

  /** Runs `read` on the tables as they were at `atMs`, as far back as the history reaches. */
  readAt<T>(atMs: number, read: () => T): T {
    const undone: PastChange[] = [];
    for (let i = this.#history.length - 1; i >= 0; i -= 1) {
      const past = this.#history[i];
      if (past === undefined || past.atMs <= atMs) break;
      this.load(past.table, past.key, past.before);
      undone.push(past);
    }
    try {
      return read();
    } finally {
      for (const past of undone.toReversed()) this.load(past.table, past.key, past.after);
    }
  }

  /** Every record, for a snapshot. */
  *dump(): IterableIterator<{ table: string; key: string; value: unknown }> {
    for (const [name, table] of this.#tables) {
      for (const [key, value] of table.entries()) yield { table: name, key, value };
    }
  }

  /** Puts one record as read from a snapshot or journal (undefined: removes it). Unknown tables are an error: another program wrote them. */
  load(table: string, key: string, value: unknown): void {
    const target = this.#tables.get(table);
    if (target === undefined) throw new Error(`the stored state names an unknown table "${table}"`);
    target.put(key, value);
  }

  #record(change: Change): void {
    if (this.#open === undefined) throw new Error(`table "${change.table}" was changed outside a transaction`);
    this.#open.push(change);
  }

  #remember(changes: readonly Change[]): void {
    const atMs = this.#clock.now();
    for (const change of changes) this.#history.push({ ...change, atMs });
    // Trimmed in halves, so that a long run pays for it once in HISTORY_MAX changes.
    if (this.#history.length > 2 * HISTORY_MAX) this.#history = this.#history.slice(-HISTORY_MAX);
  }
}
