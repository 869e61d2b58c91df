import { ApiError, httpStatusOf } from '#resources/errors.ts';
import type { ApiErrorData } from '#resources/errors.ts';
import type { Json, JsonObject } from '#resources/json.ts';
import type { ResourceKey } from '#resources/resource.ts';
import { unavailable } from './errors.ts';

/**
 * The way to the reader role, which alone may ask a provider to answer a question. Private: `POST <url>/<path>` with the internal
 * token as bearer; a JSON body both ways: `{ data }`, or `{ error: <ApiErrorData> }` for what a caller can mend. It must not change
 * anything but `plans`.
 */
export interface ReaderClient {
  /** Answers a verb of `do: "read"`: `POST /read { op, key, input }`. */
  read(request: ReadRequest): Promise<Json>;
  /** Plans changes of one workspace, in their order: `POST /plan { workspace, changes, fresh }`. */
  plan(request: PlanRequest): Promise<Json>;
}

export interface ReadRequest {
  readonly op: string;
  readonly key: ResourceKey | null;
  readonly input: JsonObject;
  readonly traceId: string;
}

export interface PlanRequest {
  readonly workspace: string;
  readonly changes: readonly Json[];
  readonly fresh: boolean;
  readonly traceId: string;
}

export interface ReaderSettings {
  /** No trailing slash. Null: this installation has no reader. */
  readonly url: string | null;
  readonly token: string;
  readonly timeoutMs: number;
  readonly fetch?: typeof fetch;
}

/** A client that never retries: the caller may. Every failure of the way itself is UNAVAILABLE. */
export function createReaderClient(settings: ReaderSettings): ReaderClient {
  const ask = async (path: string, traceId: string, body: object): Promise<Json> => {
    if (settings.url === null) throw readerDown();
    let answer: unknown;
    try {
      const response = await (settings.fetch ?? fetch)(`${settings.url}${path}`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${settings.token}`,
          'content-type': 'application/json',
          'x-request-id': traceId,
        },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(settings.timeoutMs),
        redirect: 'error',
      });
      answer = await response.json();
    } catch {
      throw readerDown();
    }
    return dataOf(answer);
  };
  return {
    read: ({ op, key, input, traceId }) => ask('/read', traceId, { op, key, input }),
    plan: ({ workspace, changes, fresh, traceId }) => ask('/plan', traceId, { workspace, changes, fresh }),
  };
}

/** The answer's data, or its error as ours. */
function dataOf(answer: unknown): Json {
  if (answer === null || typeof answer !== 'object') throw readerDown();
  if ('data' in answer) return answer.data as Json;
  if ('error' in answer && isErrorData(answer.error)) {
    const { code, message, ...details } = answer.error;
    if (code !== 'UNAUTHENTICATED' && code !== 'INTERNAL') throw new ApiError(code, message, details);
  }
  throw readerDown();
}

function isErrorData(value: unknown): value is ApiErrorData {
  return (
    value !== null &&
    typeof value === 'object' &&
    'code' in value &&
    typeof value.code === 'string' &&
    Object.hasOwn(httpStatusOf, value.code) &&
    'message' in value &&
    typeof value.message === 'string'
  );
}

function readerDown(): ApiError {
  return unavailable('The reader, which asks providers, does not answer right now.');
}
