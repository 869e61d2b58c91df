import type { Json } from '#resources/json.ts';

/** A line of the audit log. */
export interface AuditEntry {
  readonly actor: string;
  readonly lineage: string;
  readonly procedure: string;
  readonly outcome: string;
  readonly target: string;
  readonly bodyDigest: string;
  readonly traceId: string;
}

/**
 * What is written in the transaction of a change that is not of rows: its audit entry, and the request that a repeat is known by. Either
 * all of it happens or nothing; a change with a recording whose request is remembered already is not made, and throws RequestRepeated.
 */
export interface Recording {
  /** Whose chain; null: the platform's. */
  readonly workspace: string | null;
  readonly audit: AuditEntry;
  readonly request?: {
    readonly lineage: string;
    readonly requestId: string;
    readonly bodyDigest: string;
    /** What a repeat needs to find the effect again. */
    readonly results: Json;
  };
}

/** A request as it is remembered. */
export interface RecordedRequest {
  readonly bodyDigest: string;
  readonly results: Json;
}

/** The request was carried out before: nothing was changed now. */
export class RequestRepeated extends Error {
  override readonly name = 'RequestRepeated';
  readonly earlier: RecordedRequest;
  constructor(earlier: RecordedRequest) {
    super('the request was carried out before');
    this.earlier = earlier;
  }
}
