import { z } from 'zod';
import { innerOf } from './schema-marks.ts';

/** The names of the fields that an input may have at `path`; null: there is no object, or one whose fields have any name. Pure. */
export function fieldsAt(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] | null {
  const plain = unwrapped(schema);
  if (plain instanceof z.ZodUnion) {
    const options = (plain.options as readonly z.ZodType[]).flatMap((option) => fieldsAt(option, path) ?? []);
    return options.length === 0 ? null : [...new Set(options)];
  }
  const [step, ...rest] = path;
  if (step === undefined) return plain instanceof z.ZodObject ? Object.keys(plain.shape) : null;
  const inner = memberOf(plain, step);
  return inner === undefined ? null : fieldsAt(inner, rest);
}

function memberOf(schema: z.ZodType, step: PropertyKey): z.ZodType | undefined {
  if (schema instanceof z.ZodArray) return schema.element as z.ZodType;
  if (schema instanceof z.ZodRecord) return schema.valueType as z.ZodType;
  return schema instanceof z.ZodObject ? (schema.shape as Record<PropertyKey, z.ZodType>)[step] : undefined;
}

/** Without default, optional, nullable and the like. */
function unwrapped(schema: z.ZodType): z.ZodType {
  const inner = schema instanceof z.ZodPipe ? schema.in : innerOf(schema);
  return inner === null ? schema : unwrapped(inner as z.ZodType);
}
