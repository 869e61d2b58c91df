import { z } from 'zod';
import { defineKind } from './kind.ts';
import { newRow } from './new-row.ts';
import { createKindRegistry } from './registry.ts';
import type { Principal, ResourceRow } from './resource.ts';

/** Builders for unit tests: a row, a principal and a small registry, with overrides. */
export const human: Principal = { keyId: 'k1', lineage: 'l1', class: 'human', workspace: null, scopes: ['*'] };
export const agent: Principal = { keyId: 'k2', lineage: 'l2', class: 'agent', workspace: 'acme', scopes: ['*'] };

export function makeRow(overrides: Partial<ResourceRow>): ResourceRow {
  const key = { workspace: 'acme', kind: 'Note', name: 'one' };
  const plain = newRow({ key, uid: 'uid-1', spec: {}, by: human, now: 1000 });
  return { ...plain, shard: 1, version: 1, ...overrides };
}

const Workspace = defineKind({
  name: 'Workspace',
  plural: 'workspaces',
  area: 'workspaces',
  spec: {},
  status: {},
  conditions: [],
  platformOnly: true,
});

const Note = defineKind({
  name: 'Note',
  plural: 'notes',
  area: 'notes',
  holdsData: true,
  spec: {
    text: z.string().max(10).default('hi'),
    place: z.enum(['desk', 'wall']).default('desk').meta({ immutable: true }),
    paused: z.boolean().default(false).meta({ sticky: true }),
    after: z.string().nullable().default(null),
  },
  status: {},
  conditions: [],
  references: (spec) =>
    typeof spec['after'] === 'string' ? [{ mode: 'needs', kind: 'Note', name: spec['after'], path: 'spec.after' }] : [],
  needsKinds: ['Note'],
});

const Letter = defineKind({
  name: 'Letter',
  plural: 'letters',
  area: 'letters',
  lifecycle: 'once',
  spec: { to: z.string() },
  status: {},
  conditions: [],
});

export const testKinds = createKindRegistry([Workspace, Note, Letter]);
