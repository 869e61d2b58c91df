// The writable fields of an object: checked and normalised. Pure.

import { z } from 'zod';
import type { Json, JsonObject } from '#hack/cloud/json.ts';
import { forbidden, invalid } from './errors.ts';

/** Keys and values of custom metadata together (object metadata page). */
const METADATA_BYTES_MAX = 8_192;
const RETAIN_MS_MAX = 3_155_760_000_000;

const time = z.iso.datetime({ offset: true });

const schema = z.object({
  contentType: z.string().optional(),
  contentEncoding: z.string().optional(),
  contentDisposition: z.string().optional(),
  contentLanguage: z.string().max(100).optional(),
  cacheControl: z.string().optional(),
  customTime: time.optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  temporaryHold: z.boolean().optional(),
  eventBasedHold: z.boolean().optional(),
  retention: z.object({ mode: z.enum(['Locked', 'Unlocked']), retainUntilTime: time }).optional(),
});

/** What a caller may write; the rest of a body is ignored. */
export const OBJECT_FIELDS: ReadonlySet<string> = new Set(Object.keys(schema.shape));

interface Change {
  readonly nowMs: number;
  readonly previous?: JsonObject | undefined;
  /** The bucket was made with enableObjectRetention. */
  readonly retentionAllowed: boolean;
  /** The caller asked for, and may, override an Unlocked retention. */
  readonly override: boolean;
}

/** The fields as they will be read back. Throws GcsError 400 or 403. */
export function normaliseObjectFields(wanted: JsonObject, change: Change): JsonObject {
  const known = Object.fromEntries(
    Object.entries(wanted).filter(([field, value]) => OBJECT_FIELDS.has(field) && value !== null),
  );
  // "retention": {} is the documented way to ask for its removal.
  if (isEmpty(known['retention'])) delete known['retention'];
  // As labels of buckets: no key left, no field.
  if (isEmpty(known['metadata'])) delete known['metadata'];
  const parsed = schema.safeParse(known);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw invalid(`Invalid argument: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not valid'}`);
  }
  const fields = parsed.data as JsonObject;
  checkMetadata(fields['metadata'] as Record<string, string> | undefined);
  checkCustomTime(fields['customTime'] as string | undefined, change.previous?.['customTime'] as string | undefined);
  checkRetention(fields, change);
  return fields;
}

function isEmpty(value: Json | undefined): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

function checkMetadata(metadata: Record<string, string> | undefined): void {
  const bytes = Object.entries(metadata ?? {}).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
    0,
  );
  if (bytes > METADATA_BYTES_MAX)
    throw invalid(`The total size of custom metadata is ${bytes} bytes; the maximum is ${METADATA_BYTES_MAX}.`);
}

function checkCustomTime(wanted: string | undefined, previous: string | undefined): void {
  if (previous === undefined) return;
  if (wanted === undefined || Date.parse(wanted) < Date.parse(previous))
    throw invalid('Custom time cannot be removed or set to an earlier time.');
}

function checkRetention(fields: JsonObject, change: Change): void {
  const wanted = fields['retention'] as { mode: string; retainUntilTime: string } | undefined;
  const before = change.previous?.['retention'] as { mode: string; retainUntilTime: string } | undefined;
  if (wanted?.mode === before?.mode && wanted?.retainUntilTime === before?.retainUntilTime) return;
  if (wanted !== undefined) {
    if (!change.retentionAllowed)
      throw invalid(
        'Object retention is not enabled on this bucket; it can be enabled only when the bucket is created.',
      );
    const untilMs = Date.parse(wanted.retainUntilTime);
    if (untilMs <= change.nowMs || untilMs > change.nowMs + RETAIN_MS_MAX) {
      throw invalid('Invalid argument: retention.retainUntilTime must be in the future and within 100 years.');
    }
  }
  if (before === undefined || Date.parse(before.retainUntilTime) <= change.nowMs) return;
  const weaker = wanted === undefined || Date.parse(wanted.retainUntilTime) < Date.parse(before.retainUntilTime);
  if (before.mode === 'Locked' && (weaker || wanted.mode !== 'Locked')) {
    throw forbidden('The retention of this object is Locked: it cannot be removed, shortened or unlocked.');
  }
  if (weaker && !change.override)
    throw forbidden('To remove or shorten an Unlocked retention set overrideUnlockedRetention=true.');
}
