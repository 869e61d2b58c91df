import { validationError } from '#resources/errors.ts';
import type { ApiError } from '#resources/errors.ts';
import type { ApiOptions } from './options.ts';

/**
 * What a body may look like before anything parses it (security.md, Input): hostile JSON must cost neither memory nor time.
 *
 * Invariants
 * L1  Depth and keys are counted on the text, in one pass that stops at the limit; only then is it parsed.
 * L2  No object with the key `__proto__`, `constructor` or `prototype`, however it is escaped, gets past `parseBody`.
 * L3  No text with U+0000 or a lone surrogate does either: Postgres stores neither.
 * L4  No object has a key twice, and no number is beyond what a double holds: what was read would not be what was sent.
 */
export type BodyLimits = Pick<ApiOptions, 'depthMax' | 'keysMax' | 'valuesMax'>;

const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Parses a JSON body within its limits; throws VALIDATION. Keys are counted for the body and for each item of a list in it: such an
 * item begins at depth 3, in a batch at depth 4.
 */
export function parseBody(text: string, limits: BodyLimits, batch: boolean): unknown {
  const keys = countShape(text, limits, batch ? 4 : 3);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw validationError([{ path: '', message: 'The body is not valid JSON.', allowed: null }]);
  }
  // The parser keeps the last of two equal keys; a proxy or a person may have read the first.
  if (refuseContents(value) < keys)
    throw validationError([{ path: '', message: 'A key stands twice in one object of the body.', allowed: null }]);
  return value;
}

interface Scan {
  depth: number;
  keys: number;
  /** Keys outside the items of a list, and keys of the present item. */
  outer: number;
  item: number;
  /** Members of lists and objects, all in all. */
  values: number;
  inString: boolean;
}

const quote = 34;
const comma = 44;
const colon = 58;
const [openBracket, backslash, closeBracket, openBrace, closeBrace] = [91, 92, 93, 123, 125];

/** Counts nesting, keys and values; answers all keys. An object at `itemDepth` (one manifest of a list) starts a count of its own. */
function countShape(text: string, limits: BodyLimits, itemDepth: number): number {
  const scan: Scan = { depth: 0, keys: 0, outer: 0, item: 0, values: 0, inString: false };
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (!scan.inString) step(code, scan, { limits, itemDepth });
    else if (code === backslash) index += 1;
    else if (code === quote) scan.inString = false;
  }
  return scan.keys;
}

function step(code: number, scan: Scan, rules: { limits: BodyLimits; itemDepth: number }): void {
  const { depthMax, keysMax, valuesMax } = rules.limits;
  if (code === quote) scan.inString = true;
  else if (code === openBrace || code === openBracket) {
    scan.depth += 1;
    if (scan.depth === rules.itemDepth) scan.item = 0;
    if (scan.depth > depthMax) throw tooMuch('nested', 'levels', depthMax);
  } else if (code === closeBrace || code === closeBracket) scan.depth -= 1;
  else if (code === colon) {
    scan.keys += 1;
    const keys = scan.depth < rules.itemDepth ? (scan.outer += 1) : (scan.item += 1);
    if (keys > keysMax) throw tooMuch('made of', 'keys', keysMax);
  } else if (code === comma) {
    scan.values += 1;
    if (scan.values > valuesMax) throw tooMuch('made of', 'values', valuesMax);
  }
}

function tooMuch(verb: string, unit: string, max: number): ApiError {
  const message = `The body is ${verb} more than ${max} ${unit}. Split it into smaller calls.`;
  return validationError([{ path: '', message, allowed: { max } }]);
}

/** Walks without recursion: the depth is bounded, the width is not. Answers how many keys the objects have. */
function refuseContents(root: unknown): number {
  let keys = 0;
  const open: { value: unknown; path: string }[] = [{ value: root, path: '' }];
  for (let item = open.pop(); item !== undefined; item = open.pop()) {
    if (typeof item.value === 'string') refuseText(item.value, item.path);
    if (typeof item.value === 'number') refuseInfinity(item.value, item.path);
    if (item.value === null || typeof item.value !== 'object') continue;
    const inArray = Array.isArray(item.value);
    for (const [key, member] of Object.entries(item.value)) {
      if (forbiddenKeys.has(key)) throw forbidden(item.path, key);
      if (!inArray) {
        refuseText(key, item.path);
        keys += 1;
      }
      if (member !== null && typeof member !== 'boolean') {
        open.push({ value: member, path: join(item.path, key, inArray) });
      }
    }
  }
  return keys;
}

/** 1e400 is read as Infinity, which is no JSON: it would go on as null. */
function refuseInfinity(value: number, path: string): void {
  if (Number.isFinite(value)) return;
  const allowed = { maximum: Number.MAX_VALUE };
  throw validationError([{ path, message: 'The number is larger than a number can be here.', allowed }]);
}

/** No door behind this one takes such text, the database least of all. */
function refuseText(text: string, path: string): void {
  if (text.isWellFormed() && !text.includes('\u0000')) return;
  throw validationError([{ path, message: 'Text must be well-formed Unicode without U+0000.', allowed: null }]);
}

function join(path: string, key: string, inArray: boolean): string {
  if (inArray) return `${path}[${key}]`;
  return path === '' ? key : `${path}.${key}`;
}

function forbidden(path: string, key: string): ApiError {
  const message = `The key "${key}" is not allowed anywhere in a body. Rename it.`;
  return validationError([{ path: join(path, key, false), message, allowed: null }]);
}
