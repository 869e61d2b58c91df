import type { JsonObject } from '#resources/json.ts';

/** One request of the JSON API of Cloud Storage. */
export interface GcsRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  /** Below /storage/v1, percent-encoded: "/b/vibn-ws-acme". */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body?: JsonObject;
}

/** An answer as it came. `body` is parsed JSON where the server said so, text otherwise, undefined when there is none. */
export interface GcsReply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: unknown;
}

/**
 * Carries one request to a server of Cloud Storage: over the SDK, or into a model in the same process. Must send once, never retry.
 * Resolves with any HTTP answer, errors too; rejects if there was none. Must reject when the signal aborts.
 */
export type GcsTransport = (request: GcsRequest, signal: AbortSignal) => Promise<GcsReply>;

/** A path of the API from raw names: segments that are names are encoded, slashes included. */
export function gcsPath(strings: TemplateStringsArray, ...names: readonly string[]): string {
  return strings
    .map((text, index) => text + (names[index] === undefined ? '' : encodeURIComponent(names[index])))
    .join('');
}

/** The query as text, names and values encoded; '' if there is none. */
export function queryText(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&');
}
