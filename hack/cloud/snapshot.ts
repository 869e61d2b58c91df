// Records to JSON and back: one line a record, bytes in base64.

import type { CloudState } from './state.ts';

/** One record, encoded; without a value: the record is gone. */
export interface RecordLine {
  readonly t: string;
  readonly k: string;
  readonly v?: unknown;
}

/** A whole state, encoded. */
export type StateDump = readonly RecordLine[];

const BYTES = '$bytes';

/** The record as JSON text. Buffers, alone or inside, become { "$bytes": "<base64>" }. */
export function encodeLine(line: RecordLine): string {
  // JSON.stringify calls Buffer.toJSON before the replacer sees the value; `this[key]` is the value as it was.
  return JSON.stringify(line, function replace(this: Record<string, unknown>, key: string, value: unknown) {
    const original = this[key];
    return Buffer.isBuffer(original) ? { [BYTES]: original.toString('base64') } : value;
  });
}

/** Throws SyntaxError on a torn line. */
export function decodeLine(text: string): RecordLine {
  return JSON.parse(text, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null || !(BYTES in value)) return value;
    return Buffer.from(String(value[BYTES]), 'base64');
  }) as RecordLine;
}

export function dumpState(state: CloudState): StateDump {
  return [...state.dump()].map(
    ({ table, key, value }) => JSON.parse(encodeLine({ t: table, k: key, v: value })) as RecordLine,
  );
}

export function loadState(state: CloudState, dump: StateDump): void {
  for (const line of dump) {
    const { t, k, v } = decodeLine(JSON.stringify(line));
    state.load(t, k, v);
  }
}
