import { validationError } from '#resources/errors.ts';

/**
 * Cursors as text: base64url of a JSON array that begins with what it is for. They are opaque to callers but not secret: all that a
 * forged one can do is begin elsewhere in what its caller may see anyway.
 */
export function encodeCursor(purpose: string, parts: readonly unknown[]): string {
  return Buffer.from(JSON.stringify([purpose, ...parts])).toString('base64url');
}

/** The parts of a cursor made for this purpose. Throws VALIDATION for any other text, and for what no row's name could be. */
export function decodeCursor(purpose: string, text: string): readonly unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    throw badCursor();
  }
  if (!Array.isArray(value) || value[0] !== purpose || !isStorable(value)) throw badCursor();
  return value.slice(1);
}

/** Whether Postgres can store every text in it: a cursor is opaque to the limits of a body. Its depth is bounded by its length. */
function isStorable(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\u0000');
  return !Array.isArray(value) || value.every(isStorable);
}

/** A cursor that this call did not give out. */
export function badCursor() {
  return validationError([
    {
      path: 'cursor',
      message: 'The cursor is not one that this call gave out. Start again without it.',
      allowed: null,
    },
  ]);
}
