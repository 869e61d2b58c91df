import { parseTime } from '#controller/clock.ts';
import { arrayText, parseArray } from './sql-arrays.ts';
import type { Param, StatementText } from './statement.ts';
import { timeText } from './time-text.ts';

/**
 * How values cross (S6). A `serialize` never throws: the driver would not send that statement, and go on with COMMIT. What it can not write
 * as its type is sent as text, which the server refuses.
 */
export const sqlTypes = {
  int8: { to: 20, from: [20], parse: checkedNumber, serialize: String },
  timestamptz: {
    to: 1184,
    from: [1184],
    parse: parseTime,
    serialize: (value: unknown) => (isTime(value) ? timeText(value) : String(value)),
  },
  // Parameters are JSON text already: encoding them again would store a string.
  json: { to: 3802, from: [114, 3802], parse: parseJson, serialize: String },
  texts: arrayOf(1009, String),
  int2s: arrayOf(1005, Number),
  int4s: arrayOf(1007, Number),
  int8s: arrayOf(1016, checkedNumber),
  floats: arrayOf(1022, Number),
};

function arrayOf<T>(oid: number, parse: (element: string) => T) {
  return {
    to: oid,
    from: [oid],
    parse: (text: string) => parseArray(text, parse),
    serialize: (value: unknown) => (Array.isArray(value) ? arrayText(value) : String(value)),
  };
}

/** A row has ten of them, most of them empty. */
function parseJson(text: string): unknown {
  if (text === '{}') return {};
  return text === '[]' ? [] : JSON.parse(text);
}

/** Furthest time from the epoch that has a text (ECMAScript's Date). */
const timeMsMax = 8.64e15;

function isTime(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= timeMsMax;
}

function checkedNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`int8 out of the safe range: ${text}`);
  return value;
}

/**
 * Why these parameters can not be sent, or null. Asked before the driver is: it rejects an earlier statement in place of one that it can
 * not write, and takes the next one's answer for that one's.
 */
export function refusalOf({ name }: StatementText, params: readonly Param[]): RangeError | null {
  const index = params.findIndex((param) => !(Array.isArray(param) ? param.every(isScalar) : isScalar(param)));
  if (index < 0) return null;
  return new RangeError(
    `${name}: $${index + 1} must be a string, a finite number, a boolean, null, or an array of these`,
  );
}

function isScalar(value: unknown): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  return typeof value === 'number' && Number.isFinite(value);
}
