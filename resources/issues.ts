import type { z } from 'zod';
import type { Issue } from './errors.ts';
import type { Json } from './json.ts';

/** The names that the fields of an object of the input may have; null: not known. */
export type KnownFields = (path: readonly PropertyKey[]) => readonly string[] | null;

/** zod's problems as ours: dotted path under `prefix`, a sentence, and what would be right. `known` names the fields, of the root alone as a list. */
export function issuesOf(error: z.ZodError, prefix: string, known: readonly string[] | KnownFields = []): Issue[] {
  const fields: KnownFields = typeof known === 'function' ? known : (path) => (path.length === 0 ? known : null);
  return error.issues.flatMap((issue) => toIssues(issue, prefix, fields));
}

function toIssues(issue: z.core.$ZodIssue, prefix: string, known: KnownFields): Issue[] {
  const path = dotted(prefix, issue.path);
  if (issue.code === 'unrecognized_keys') {
    const names = known(issue.path);
    const allowed = names === null ? null : [...names];
    return issue.keys.map((key) => ({
      path: dotted(path, [key]),
      message: `The field "${key.slice(0, 64)}" is not known here.`,
      allowed,
    }));
  }
  if (issue.code === 'invalid_union') return unionIssues(issue, path);
  return [{ path, message: sentence(issue), allowed: allowedOf(issue) }];
}

function unionIssues(issue: z.core.$ZodIssueInvalidUnion, path: string): Issue[] {
  const branches = issue.errors.map((errors) => errors.flatMap((inner) => toIssues(inner, path, () => null)));
  const allowed = [...new Set(branches.flat().map((inner) => JSON.stringify(inner.allowed)))].map(
    (text) => JSON.parse(text) as Json,
  );
  return [{ path, message: issue.message, allowed }];
}

function sentence(issue: z.core.$ZodIssue): string {
  return issue.message.endsWith('.') ? issue.message : `${issue.message}.`;
}

function allowedOf(issue: z.core.$ZodIssue): Json {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected;
    case 'invalid_value':
      return issue.values.map((value) =>
        typeof value === 'bigint' || typeof value === 'symbol' ? String(value) : (value ?? null),
      );
    case 'too_small':
      return { minimum: Number(issue.minimum) };
    case 'too_big':
      return { maximum: Number(issue.maximum) };
    case 'invalid_format':
      return issue.pattern ?? issue.format;
    case 'not_multiple_of':
      return { multipleOf: issue.divisor };
    default:
      return null;
  }
}

/** "manifest.spec" + ["lifecycle", 0, "prefix"] → "manifest.spec.lifecycle[0].prefix". */
export function dotted(prefix: string, path: readonly PropertyKey[]): string {
  let text = prefix;
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? String(part).slice(0, 64) : `.${String(part).slice(0, 64)}`;
  }
  return text;
}
