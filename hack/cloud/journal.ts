// What the local cloud keeps on disk: a snapshot and a journal of transactions, one JSON line each, under one directory.
//
// 1. A transaction is appended before its reply is sent, with a plain write: it survives kill -9 of this process (not a power cut).
// 2. Lines hold whole records, so playing the journal over a newer snapshot gives the same state; that makes compaction crash-safe.
// 3. A torn last line was never answered: it is dropped with a warning and cut off before anything is appended.

import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { decodeLine, encodeLine, type RecordLine } from './snapshot.ts';
import type { Change, CloudState } from './state.ts';

const SNAPSHOT = 'snapshot.jsonl';
const JOURNAL = 'journal.jsonl';
/** The journal is folded into the snapshot beyond this size, and only once it has outgrown the snapshot, so that the work amortises. */
const JOURNAL_BYTES_MAX = 16 * 1024 * 1024;

/** The states to keep, by a name that stays the same for ever. */
export type NamedStates = Readonly<Record<string, CloudState>>;

interface StoredLine extends RecordLine {
  readonly s: string;
}

/** Loads the directory into the (empty) states, then appends each of their transactions until closed. */
export class Journal {
  readonly #dir: string;
  readonly #states: NamedStates;
  readonly #journalBytesMax: number;
  #file: number;
  #bytes: number;
  #snapshotBytes: number;

  constructor(
    dir: string,
    states: NamedStates,
    options: { warn: (message: string) => void; journalBytesMax?: number },
  ) {
    this.#dir = dir;
    this.#states = states;
    this.#journalBytesMax = options.journalBytesMax ?? JOURNAL_BYTES_MAX;
    mkdirSync(dir, { recursive: true });
    this.#snapshotBytes = this.#play(SNAPSHOT, options.warn);
    this.#bytes = this.#play(JOURNAL, options.warn);
    this.#file = openSync(join(dir, JOURNAL), existsSync(join(dir, JOURNAL)) ? 'r+' : 'w');
    ftruncateSync(this.#file, this.#bytes);
    for (const [name, state] of Object.entries(states)) state.onCommit((changes) => this.#append(name, changes));
  }

  /** Folds the journal into a new snapshot. */
  compact(): void {
    const temporary = join(this.#dir, `${SNAPSHOT}.new`);
    const file = openSync(temporary, 'w');
    let bytes = 0;
    for (const [name, state] of Object.entries(this.#states)) {
      for (const { table, key, value } of state.dump())
        bytes += writeAll(file, `[${storedLine(name, { t: table, k: key, v: value })}]\n`, bytes);
    }
    fsyncSync(file);
    closeSync(file);
    renameSync(temporary, join(this.#dir, SNAPSHOT));
    ftruncateSync(this.#file, 0);
    this.#bytes = 0;
    this.#snapshotBytes = bytes;
  }

  /** Folds once more and lets go of the files. The states must not change any more. */
  close(): void {
    if (this.#file === -1) return;
    this.compact();
    closeSync(this.#file);
    this.#file = -1;
  }

  #append(name: string, changes: readonly Change[]): void {
    const lines = changes.map(({ table, key, after }) => storedLine(name, { t: table, k: key, v: after }));
    this.#bytes += writeAll(this.#file, `[${lines.join(',')}]\n`, this.#bytes);
    if (this.#bytes > this.#journalBytesMax && this.#bytes > this.#snapshotBytes) this.compact();
  }

  /** Reads a file of lines into the states; answers how many of its bytes are whole lines. */
  #play(name: string, warn: (message: string) => void): number {
    const path = join(this.#dir, name);
    if (!existsSync(path)) return 0;
    const bytes = readFileSync(path);
    let at = 0;
    while (at < bytes.length) {
      const end = bytes.indexOf(0x0a, at);
      const records = end === -1 ? undefined : parseLine(bytes.toString('utf8', at, end));
      if (records === undefined) {
        if (end !== -1 && end !== bytes.length - 1)
          throw new Error(`${path} is damaged at byte ${at}; restore it or delete the directory to start empty`);
        warn(`${path}: dropped a torn last line of ${bytes.length - at} bytes (its call was never answered)`);
        return at;
      }
      for (const { s, t, k, v } of records) this.#states[s]?.load(t, k, v);
      at = end + 1;
    }
    return at;
  }
}

function storedLine(state: string, line: RecordLine): string {
  return encodeLine({ s: state, ...line } as StoredLine);
}

function parseLine(text: string): StoredLine[] | undefined {
  try {
    return decodeLine(text) as unknown as StoredLine[];
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Writes all bytes at a position, since one write may be short. */
function writeAll(file: number, text: string, position: number): number {
  const bytes = Buffer.from(text);
  let written = 0;
  while (written < bytes.length) written += writeSync(file, bytes, written, bytes.length - written, position + written);
  return bytes.length;
}
