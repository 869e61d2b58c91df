import { z } from 'zod';
import type { ResourceKey } from '#resources/resource.ts';
import { workspacePattern } from '#resources/name-rules.ts';

/** Text that Postgres can store: well-formed, without U+0000. */
export const storable = (max: number) =>
  z
    .string()
    .max(max)
    .refine((text) => text.isWellFormed() && !text.includes('\u0000'), 'Must be well-formed Unicode without U+0000');

export const workspaceInput = z.string().regex(workspacePattern, 'A workspace slug is 3 to 22 lower-case characters');

/** 1 to 64 visible ASCII characters. Without one nothing is remembered. */
export const requestIdInput = z
  .string()
  .regex(/^[\x21-\x7e]{1,64}$/, 'A requestId is 1 to 64 visible ASCII characters');

export const keyInput = {
  workspace: workspaceInput,
  kind: z.string().min(1).max(64),
  name: storable(253).min(1),
};

/** The key in an input. */
export function keyOf(input: ResourceKey): ResourceKey {
  return { workspace: input.workspace, kind: input.kind, name: input.name };
}

export const planHashInput = z.string().min(1).max(128);
export const generationInput = z.int().min(0);
export const labelsInput = z.record(storable(63), storable(63));
export const conditionInput = z.strictObject({
  type: storable(64).min(1),
  status: z.enum(['True', 'False', 'Unknown']).optional(),
  reason: storable(64).optional(),
});
export const cursorInput = z.string().min(1).max(8_192);
export const idInput = storable(128).min(1);

/** The members of an input that are not undefined: what `exactOptionalPropertyTypes` wants. */
export function defined<T extends object>(input: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined)) as never;
}
