import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { admitReferences } from './admit-references.ts';
import { ApiError } from './errors.ts';
import { defineKind } from './kind.ts';
import { keyText } from './reference.ts';
import { createKindRegistry } from './registry.ts';
import { makeRow } from './testing.ts';

const needs = (spec: { readonly [field: string]: unknown }) =>
  (spec['needs'] as string[]).map((name) => ({ mode: 'needs', kind: 'Step', name, path: 'spec.needs' }) as const);
const Step = defineKind({
  name: 'Step',
  plural: 'steps',
  area: 'steps',
  spec: { needs: z.array(z.string()) },
  status: {},
  conditions: [],
  references: needs,
  needsKinds: ['Step'],
});
const Workspace = defineKind({
  name: 'Workspace',
  plural: 'workspaces',
  area: 'w',
  spec: {},
  status: {},
  conditions: [],
});
const kinds = createKindRegistry([Step, Workspace]);

/** Stored rows, each with what it needs. */
const stored = (graph: Readonly<Record<string, readonly string[]>>) => {
  const steps = Object.entries(graph).map(([name, needed]) => makeRow({ kind: 'Step', name, spec: { needs: needed } }));
  const rows = [...steps, makeRow({ kind: 'Workspace', name: 'acme' })];
  return new Map(rows.map((row) => [keyText(row), row]));
};
const proposed = (name: string, needed: readonly string[]) => ({
  kind: Step,
  key: { workspace: 'acme', kind: 'Step', name },
  spec: { needs: [...needed] },
  path: 'manifest',
});

/** Pairs that need both of the next pair: 2^depth ways through. */
function ladder(depth: number): Record<string, readonly string[]> {
  const pair = (level: number): string[] => (level < depth ? [`a${level}`, `b${level}`] : []);
  return Object.fromEntries(
    Array.from({ length: depth }, (_, level) => pair(level).map((name) => [name, pair(level + 1)] as const)).flat(),
  );
}

describe('references', () => {
  test('are looked at once each, however many ways lead to a row', () => {
    expect(() => admitReferences([proposed('top', ['a0', 'b0'])], stored(ladder(30)), kinds)).not.toThrow();
  });

  test('in a circle are refused, however far around it goes', () => {
    const graph = { ...ladder(20), end: ['top'], b19: ['end'] };
    const attempt = (): void => admitReferences([proposed('top', ['a0'])], stored(graph), kinds);
    expect(attempt).toThrow(ApiError);
    expect(attempt).toThrow('circular');
  });

  test('in a longer chain than 32 are refused, also where a shorter way was looked at first', () => {
    const chain = Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`c${at}`, at < 32 ? [`c${at + 1}`] : []]));
    const attempt = (needed: readonly string[]) => (): void =>
      admitReferences([proposed('top', needed)], stored(chain), kinds);
    expect(attempt(['c20', 'c2'])).not.toThrow();
    expect(attempt(['c20', 'c0'])).toThrow('longer than 32');
  });
});
