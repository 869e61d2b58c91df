// A request on its way into the storage model: decoded once, authenticated when it is carried out.

import { gunzipSync } from 'node:zlib';
import type { CloudRequest, CloudResponse, Operation } from '#hack/cloud/door.ts';
import type { CallKind } from '#hack/cloud/faults.ts';
import type { Identity } from '#hack/cloud/iam/model.ts';
import { isObject, type JsonObject } from '#hack/cloud/json.ts';
import { GcsError, jsonError, tooManyRequests, unauthenticated, unavailable } from './errors.ts';
import type { GcsModel } from './model.ts';
import { linkedTo } from './object-resource.ts';
import { unlessUnchanged, type Query } from './preconditions.ts';
import { refuseUnmodelled } from './unmodelled.ts';

/** As http-door's limit on bodies: a small request must not unpack to what no request may bring. */
const UNPACKED_BYTES_MAX = 256 * 1024 * 1024;

export interface Call {
  readonly model: GcsModel;
  readonly request: CloudRequest;
  readonly query: Query;
  /** Captured parts of the path, decoded. */
  readonly params: readonly string[];
}

/** One line of a routing table. */
export interface Route {
  readonly method: string;
  readonly path: RegExp;
  /** A query parameter that must be there (value or not) for the route to apply. */
  readonly parameter?: string;
  readonly op: string;
  readonly kind: CallKind;
  run(call: Call): CloudResponse | JsonObject;
  /** What a list answers that found nothing, where that is not the JSON API's empty list. */
  empty?(call: Call): CloudResponse;
  /** What the call is about, for the call log; by default the captured parts of the path. */
  name?(call: Call): string;
}

/** The decoded parts of a path that a route matches; undefined if it does not, or if the path is not decodable. */
export function matchPath(path: RegExp, raw: string): string[] | undefined {
  const match = path.exec(raw);
  if (match === null) return undefined;
  try {
    return match.slice(1).map((part) => decodeURIComponent(part));
  } catch {
    return undefined;
  }
}

/** Who calls the JSON API: without credentials, the owner. Throws 401 for a credential that is not known. */
export function jsonIdentity(call: Call): Identity {
  const { authorization } = call.request.headers;
  if (authorization === undefined) return { kind: 'owner' };
  const identity = call.model.iam.authenticate(authorization);
  if (identity === undefined)
    throw new GcsError({
      status: 401,
      reason: 'authError',
      message: 'Invalid Credentials',
      location: 'Authorization',
      xmlCode: 'AuthenticationRequired',
    });
  return identity;
}

/** Who calls the XML API: without credentials, nobody. */
export function xmlIdentity(call: Call): Identity {
  if (call.request.headers['authorization'] === undefined) return { kind: 'anonymous' };
  try {
    return jsonIdentity(call);
  } catch {
    throw unauthenticated('Invalid Credentials');
  }
}

/** The request with its body unpacked: Java's SDK compresses JSON. At the XML API the same header describes the object instead. */
export function unpacked(request: CloudRequest): CloudRequest {
  const { body, headers } = request;
  if (headers['content-encoding'] !== 'gzip' || body === undefined || body.length === 0) return request;
  try {
    return { ...request, body: gunzipSync(body, { maxOutputLength: UNPACKED_BYTES_MAX }) };
  } catch {
    return request; // not gzip after all: the parser of the body says so
  }
}

/** The JSON body; an absent one is {}. Throws 400. */
export function jsonBody(body: Buffer | undefined): JsonObject {
  if (body === undefined || body.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    value = undefined;
  }
  if (isObject(value)) return value;
  throw new GcsError({ status: 400, reason: 'parseError', message: 'Parse Error' });
}

/** How errors of a call are put: the JSON API's way or the XML API's. */
export type ErrorForm = (error: GcsError) => CloudResponse;

/** A route matched, as the door wants it. */
export function operationOf(route: Route, call: Call, form: ErrorForm = jsonError): Operation {
  return {
    op: route.op,
    name: route.name?.(call) ?? call.params.join('/'),
    kind: route.kind,
    run: () =>
      answered(call.model, form, () => {
        refuseUnmodelled(call, route.kind);
        const response = linkedTo(call.request.headers['host'], asResponse(route.run(call)));
        return route.kind === 'get' ? unlessUnchanged(call.request, response) : response;
      }),
    empty: () => (route.kind === 'list' ? asResponse(route.empty?.(call) ?? emptyList(route)) : form(missing())),
    failure: (kind) =>
      form(kind === 'throttled' ? tooManyRequests('The project exceeded the rate limit.') : unavailable()),
  };
}

/** "objects.list" without results: { kind: "storage#objects" }. */
function emptyList(route: Route): JsonObject {
  return { kind: `storage#${route.op.split('.')[0] ?? ''}` };
}

function missing(): GcsError {
  return new GcsError({ status: 404, reason: 'notFound', message: 'Not Found', xmlCode: 'NoSuchKey' });
}

/** Runs in a transaction; a GcsError becomes the answer and undoes the rest. */
function answered(model: GcsModel, form: ErrorForm, run: () => CloudResponse): CloudResponse {
  try {
    return model.state.transact(run);
  } catch (error) {
    if (error instanceof GcsError) return form(error);
    throw error;
  }
}

function asResponse(result: CloudResponse | JsonObject): CloudResponse {
  return isResponse(result) ? result : { status: 200, headers: {}, body: result };
}

function isResponse(result: CloudResponse | JsonObject): result is CloudResponse {
  return typeof result['status'] === 'number' && isObject(result['headers']);
}
