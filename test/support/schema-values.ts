import fc from 'fast-check';

/** A part of JSON Schema: what zod writes of our inputs. */
export interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly propertyNames?: Schema;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly format?: string;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
}

/** Values for fields of these names, used nine times of ten: names of things that exist, so that inputs get past the first check. */
export type Hints = Readonly<Record<string, fc.Arbitrary<unknown>>>;

/** Longest list, text and map that is made; the limits themselves are other tests' matter. */
const itemsMax = 3;
const charsMax = 24;

/** Values that a schema allows. What it does not say (refinements, references) is not kept to. */
export function valuesOf(schema: Schema, hints: Hints = {}): fc.Arbitrary<unknown> {
  const options = schema.anyOf ?? schema.oneOf;
  if (options !== undefined) return fc.oneof(...options.map((one) => valuesOf(one, hints)));
  if (schema.allOf !== undefined) return allOf(schema.allOf, hints);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case 'object':
      return objectOf(schema, hints);
    case 'array':
      return fc.array(valuesOf(schema.items ?? {}, hints), {
        minLength: Math.min(schema.minItems ?? 0, itemsMax),
        maxLength: Math.min(schema.maxItems ?? itemsMax, itemsMax),
      });
    case 'string':
      return textOf(schema);
    case 'integer':
      return integerOf(schema);
    case 'number':
      return fc.double({ min: schema.minimum ?? -1e6, max: schema.maximum ?? 1e6, noNaN: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}

function allOf(parts: readonly Schema[], hints: Hints): fc.Arbitrary<unknown> {
  return fc.tuple(...parts.map((one) => valuesOf(one, hints))).map((values) => Object.assign({}, ...values) as unknown);
}

function objectOf(schema: Schema, hints: Hints): fc.Arbitrary<unknown> {
  const { properties, required = [], additionalProperties: rest } = schema;
  if (properties !== undefined) {
    const fields = Object.entries(properties).map(([name, inner]) => [name, field(name, inner, hints)] as const);
    return fc.record(Object.fromEntries(fields), { requiredKeys: required.filter((name) => name in properties) });
  }
  const keys = schema.propertyNames === undefined ? fc.string({ maxLength: charsMax }) : textOf(schema.propertyNames);
  return fc.dictionary(keys, valuesOf(typeof rest === 'object' ? rest : {}, hints), { maxKeys: itemsMax });
}

function field(name: string, schema: Schema, hints: Hints): fc.Arbitrary<unknown> {
  const hint = hints[name];
  const own = valuesOf(schema, hints);
  return hint === undefined ? own : fc.oneof({ arbitrary: hint, weight: 9 }, { arbitrary: own, weight: 1 });
}

function textOf(schema: Schema): fc.Arbitrary<string> {
  const { format, pattern, minLength = 0, maxLength = charsMax } = schema;
  if (format === 'date-time') {
    const range = { min: new Date('2020-01-01T00:00:00Z'), max: new Date('2040-01-01T00:00:00Z'), noInvalidDate: true };
    return fc.date(range).map((date) => date.toISOString());
  }
  if (format === 'email') return fc.emailAddress();
  const fits = (text: string): boolean => text.length >= minLength && text.length <= maxLength;
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern)).filter(fits);
  const longest = Math.max(minLength, Math.min(maxLength, charsMax));
  return fc.oneof(
    fc.string({ minLength, maxLength: longest }),
    fc.string({ minLength, maxLength: longest, unit: 'grapheme' }).map((text) => text.slice(0, longest)),
  );
}

/** Small numbers, and the ends of the range. */
function integerOf({ minimum, maximum }: Schema): fc.Arbitrary<number> {
  const [min, max] = [minimum ?? -1_000_000, maximum ?? 1_000_000];
  return fc.oneof(
    fc.integer({ min, max: Math.min(max, min + 100) }),
    fc.constantFrom(min, max),
    fc.integer({ min, max }),
  );
}
