// From a request to the operation it asks for. Looks at no state; repeats of an idempotency token are answered from memory.

import type { CloudRequest, CloudResponse, Operation } from '#hack/cloud/door.ts';
import { BUCKET_ROUTES } from './bucket-routes.ts';
import { matchPath, operationOf, unpacked, type Call, type ErrorForm, type Route } from './call.ts';
import { xmlError } from './errors.ts';
import type { GcsModel } from './model.ts';
import { OBJECT_ROUTES } from './object-routes.ts';
import { PROJECT_ROUTES } from './project-routes.ts';
import { refusalOfPath } from './unmodelled.ts';
import { withCors, XML_ROUTES } from './xml-routes.ts';

const JSON_ROUTES: readonly Route[] = [...BUCKET_ROUTES, ...OBJECT_ROUTES, ...PROJECT_ROUTES];
/** Everything else is /<bucket> or /<bucket>/<object> of the XML API. */
const JSON_PATH = /^\/((download|upload|resumable\/upload)\/)?storage\/v1\//;

/** Operations as named in faults and in the call log: the API's method names. */
export const GCS_OPS: readonly string[] = [...new Set([...JSON_ROUTES, ...XML_ROUTES].map((route) => route.op))];

/** How long an answer to an idempotency token is kept; the SDK gives up within minutes. */
const TOKEN_KEPT_MS = 600_000;
const TOKENS_MAX = 2_000;

/** Routes requests to one model. */
export class GcsRouter {
  readonly #model: GcsModel;
  readonly #answered = new Map<string, { atMs: number; response: CloudResponse }>();

  constructor(model: GcsModel) {
    this.#model = model;
  }

  route(sent: CloudRequest): Operation {
    const request = { ...sent, method: methodOf(sent) };
    const query = new URLSearchParams(request.query);
    const isXml = !JSON_PATH.test(request.path);
    for (const route of isXml ? XML_ROUTES : JSON_ROUTES) {
      if (route.method !== request.method || (route.parameter !== undefined && !query.has(route.parameter))) continue;
      const params = matchPath(route.path, request.path);
      if (params === undefined) continue;
      const call: Call = { model: this.#model, request: isXml ? request : unpacked(request), query, params };
      return isXml ? this.#xml(route, call) : this.#once(operationOf(route, call), request);
    }
    return unknownPath({ model: this.#model, request, query, params: [] }, isXml ? xmlError : undefined);
  }

  #xml(route: Route, call: Call): Operation {
    const operation = operationOf(route, call, xmlError);
    return { ...operation, run: () => withCors(this.#model, call.request, operation.run()) };
  }

  /** A write that comes again with its token (the SDK's own retry) gets the first answer, and has no second effect. */
  #once(operation: Operation, request: CloudRequest): Operation {
    const token = request.headers['x-goog-gcs-idempotency-token'];
    if (token === undefined || operation.kind !== 'write' || !['POST', 'PATCH', 'DELETE'].includes(request.method))
      return operation;
    const key = `${token} ${request.method} ${request.path}?${request.query}`;
    return {
      ...operation,
      run: () => {
        const nowMs = this.#model.clock.now();
        const known = this.#answered.get(key);
        if (known !== undefined && nowMs - known.atMs < TOKEN_KEPT_MS) return known.response;
        const response = operation.run();
        if (response.status < 300) this.#remember(key, nowMs, response);
        return response;
      },
    };
  }

  #remember(key: string, atMs: number, response: CloudResponse): void {
    this.#answered.set(key, { atMs, response });
    const oldest = this.#answered.keys().next().value;
    if (this.#answered.size > TOKENS_MAX && oldest !== undefined) this.#answered.delete(oldest);
  }
}

/** Java's HTTP client has no PATCH: its SDK sends POST and says what it means. */
function methodOf({ method, headers }: CloudRequest): string {
  return method === 'POST' ? (headers['x-http-method-override'] ?? method).toUpperCase() : method;
}

function unknownPath(call: Call, form: ErrorForm | undefined): Operation {
  const route: Route = {
    method: call.request.method,
    path: /^/,
    op: 'unknown',
    kind: 'write',
    run() {
      throw refusalOfPath(call.model, call.request.path);
    },
    name: () => call.request.path,
  };
  return operationOf(route, call, form);
}
