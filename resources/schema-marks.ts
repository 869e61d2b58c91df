import { z } from 'zod';

/** Marks that a field of a spec may carry, as zod metadata. */
export interface FieldMarks {
  readonly immutable?: boolean;
  readonly sticky?: boolean;
}

/** The top-level fields of a spec that are sticky: omitted keeps, null clears. */
export function stickyFields(spec: z.ZodObject): readonly string[] {
  return Object.entries(spec.shape)
    .filter(([, field]) => marksOf(field).sticky === true)
    .map(([name]) => name);
}

/** Dotted paths of all immutable fields of a spec, nested objects included. */
export function immutablePaths(spec: z.ZodObject): readonly string[] {
  return pathsIn(spec, '');
}

function pathsIn(schema: z.ZodObject, prefix: string): string[] {
  return Object.entries(schema.shape).flatMap(([name, field]) => {
    const path = prefix === '' ? name : `${prefix}.${name}`;
    if (marksOf(field).immutable === true) return [path];
    const inner = unwrapped(field);
    return inner instanceof z.ZodObject ? pathsIn(inner, path) : [];
  });
}

function marksOf(field: z.core.$ZodType): FieldMarks {
  const own = z.globalRegistry.get(field) as FieldMarks | undefined;
  if (own?.immutable !== undefined || own?.sticky !== undefined) return own;
  const inner = innerOf(field);
  return inner === null ? {} : marksOf(inner);
}

function unwrapped(field: z.core.$ZodType): z.core.$ZodType {
  const inner = innerOf(field);
  return inner === null ? field : unwrapped(inner);
}

/** What default, optional, nullable and the like wrap; null: the schema wraps nothing. */
export function innerOf(schema: z.core.$ZodType): z.core.$ZodType | null {
  const { innerType } = schema._zod.def as { readonly innerType?: z.core.$ZodType };
  return innerType ?? null;
}
