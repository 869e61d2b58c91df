import type { Json, JsonObject } from './json.ts';
import type { Kind } from './kind.ts';
import type { Manifest } from './manifest.ts';
import type { ResourceRow } from './resource.ts';
import { stickyFields } from './schema-marks.ts';

/** A JSON merge patch (RFC 7396): null removes, objects merge, all else replaces. Pure. */
export function mergePatch(target: JsonObject, patch: JsonObject): JsonObject {
  const merged: Record<string, Json> = { ...target };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = isObject(value) ? mergePatch(objectAt(merged, key), value) : value;
  }
  return merged;
}

/** The manifest that a patch of a row's spec amounts to. A sticky field patched to null is cleared, not kept. */
export function patchedManifest(kind: Kind, row: ResourceRow, patch: JsonObject): Manifest {
  const cleared = stickyFields(kind.spec).filter((field) => patch[field] === null);
  return {
    kind,
    key: { workspace: row.workspace, kind: row.kind, name: row.name },
    labels: row.labels,
    annotations: row.annotations,
    rawSpec: { ...mergePatch(row.spec, patch), ...Object.fromEntries(cleared.map((field) => [field, null])) },
    path: 'patch',
  };
}

function isObject(value: Json | undefined): value is JsonObject {
  return value !== undefined && value !== null && typeof value === 'object' && !Array.isArray(value);
}

function objectAt(value: JsonObject, key: string): JsonObject {
  const member = value[key];
  return isObject(member) ? member : {};
}
