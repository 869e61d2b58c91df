import { z } from 'zod';

/** Bytes of UTF-8 an object's name has at most (Cloud Storage, object naming). */
export const objectKeyBytesMax = 1024;

/** Where the platform keeps backups; no tenant verb touches it (kinds.md, Bucket). */
export const backupsPrefix = 'backups/';

/** What stands in the way of an object's name at the provider, or null. */
export function checkObjectKey(key: string): string | null {
  if (key === '') return 'An object key is not empty.';
  if (!key.isWellFormed()) return 'An object key is well-formed Unicode.';
  if (new TextEncoder().encode(key).length > objectKeyBytesMax) {
    return `An object key has at most ${objectKeyBytesMax} bytes of UTF-8.`;
  }
  if (/[\r\n\0]/.test(key)) return 'An object key has no carriage return, line feed or NUL.';
  if (key === '.' || key === '..') return 'An object key is not "." or "..".';
  if (key.startsWith('.well-known/acme-challenge/'))
    return 'An object key does not start with .well-known/acme-challenge/.';
  return null;
}

/** Whether objects' names can begin so: what can not be part of a URL must not get as far as the provider's client. */
export function isPrefix(text: string): boolean {
  return text.isWellFormed() && new TextEncoder().encode(text).length <= objectKeyBytesMax;
}

/** Whether a tenant may read, write or delete the object by a verb. */
export function isReserved(key: string): boolean {
  return key.startsWith(backupsPrefix);
}

function refined(check: (key: string) => string | null) {
  return z
    .string()
    .min(1)
    .max(objectKeyBytesMax)
    .superRefine((key, context) => {
      const problem = check(key);
      if (problem !== null) context.addIssue({ code: 'custom', message: problem });
    })
    .describe(`Object key: 1 to ${objectKeyBytesMax} bytes of UTF-8, not under ${backupsPrefix}`);
}

function checkTenantKey(key: string): string | null {
  if (isReserved(key)) return `Objects under ${backupsPrefix} belong to the platform's backups.`;
  return checkObjectKey(key);
}

/** An object's key as a tenant may name it. */
export const objectKey = refined(checkTenantKey);

/**
 * An object's key inside a URL. HTTP clients resolve "." and ".." segments before they send, which would name another object than the
 * one that was signed; such keys are reached by SDKs, never by URL.
 */
export const urlObjectKey = refined((key) => {
  if (key.split('/').some((segment) => segment === '.' || segment === '..')) {
    return 'An object key with "." or ".." between slashes has no URL.';
  }
  return checkTenantKey(key);
});

/** Generation of an object: an int64, as text because it does not fit a number. */
export const objectGeneration = z
  .string()
  .regex(/^[1-9]\d{0,18}$/)
  .describe('Generation of the object, as list_objects shows it');
