import { chainOf } from '#controller/store/sql-recording.ts';
import { RequestRepeated } from '#controller/store/recording.ts';
import type { RecordedRequest, Recording } from '#controller/store/recording.ts';
import type { MemoryDatabase } from './database.ts';

/** As sql-recording.ts: throws RequestRepeated; the answer writes audit entry and request, with the change. */
export function beginRecorded(db: MemoryDatabase, recording: Recording | undefined): () => void {
  if (recording === undefined) return () => undefined;
  const { workspace, audit, request } = recording;
  const key = request === undefined ? null : recordedKey({ ...request, workspace });
  const earlier = key === null ? undefined : db.recorded.get(key);
  if (earlier !== undefined) throw new RequestRepeated(earlier);
  return () => {
    db.audit.push(audit);
    if (request === undefined || key === null) return;
    const { bodyDigest, results } = request;
    db.recorded.set(key, { bodyDigest, results });
  };
}

/** The request of that id, or null. */
export function recordedRequest(
  db: MemoryDatabase,
  request: { readonly workspace: string | null; readonly lineage: string; readonly requestId: string },
): RecordedRequest | null {
  return db.recorded.get(recordedKey(request)) ?? null;
}

function recordedKey(request: { workspace: string | null; lineage: string; requestId: string }): string {
  return [chainOf(request.workspace).chain, request.lineage, request.requestId].join('\u0000');
}
