// The part of the IAM and Resource Manager REST APIs that the operator needs: service accounts, their keys, project policies.

import {
  perform,
  type CloudRequest,
  type CloudResponse,
  type Delivery,
  type DoorContext,
  type Operation,
} from '#hack/cloud/door.ts';
import type { CallKind } from '#hack/cloud/faults.ts';
import { isObject, type JsonObject } from '#hack/cloud/json.ts';
import {
  addKey,
  createAccount,
  deleteAccount,
  deleteKey,
  getAccount,
  IamError,
  listAccounts,
  listKeys,
  setDisabled,
} from './accounts.ts';
import type { IamModel } from './model.ts';
import { counterEtag, policyBody, PolicyError } from './policy.ts';

interface IamCall {
  readonly model: IamModel;
  readonly params: readonly string[];
  readonly query: URLSearchParams;
  readonly body: JsonObject;
}

interface IamRoute {
  readonly method: string;
  readonly path: RegExp;
  readonly op: string;
  readonly kind: CallKind;
  run(call: IamCall): object;
}

const ACCOUNTS = /^\/v1\/projects\/([^/]+)\/serviceAccounts$/;
const ACCOUNT = /^\/v1\/projects\/([^/]+)\/serviceAccounts\/([^/:]+)$/;
const KEYS = /^\/v1\/projects\/([^/]+)\/serviceAccounts\/([^/:]+)\/keys$/;

const ROUTES: readonly IamRoute[] = [
  {
    method: 'POST',
    path: ACCOUNTS,
    op: 'serviceAccounts.create',
    kind: 'write',
    run: ({ model, params, body }) => createAccount(model, at(params, 0), body),
  },
  {
    method: 'GET',
    path: ACCOUNTS,
    op: 'serviceAccounts.list',
    kind: 'list',
    run: ({ model, params, query }) => listAccounts(model, at(params, 0), query),
  },
  {
    method: 'GET',
    path: ACCOUNT,
    op: 'serviceAccounts.get',
    kind: 'get',
    run: ({ model, params }) => getAccount(model, params),
  },
  {
    method: 'DELETE',
    path: ACCOUNT,
    op: 'serviceAccounts.delete',
    kind: 'write',
    run: ({ model, params }) => deleteAccount(model, params),
  },
  {
    method: 'POST',
    path: /^\/v1\/projects\/([^/]+)\/serviceAccounts\/([^/:]+):(disable|enable)$/,
    op: 'serviceAccounts.setDisabled',
    kind: 'write',
    run: ({ model, params }) => setDisabled(model, params, at(params, 2) === 'disable'),
  },
  {
    method: 'POST',
    path: /^\/v1\/projects\/([^/]+)\/serviceAccounts\/([^/:]+)\/keys:upload$/,
    op: 'keys.upload',
    kind: 'write',
    run: ({ model, params, body }) => addKey(model, params, body),
  },
  { method: 'GET', path: KEYS, op: 'keys.list', kind: 'list', run: ({ model, params }) => listKeys(model, params) },
  {
    method: 'DELETE',
    path: /^\/v1\/projects\/([^/]+)\/serviceAccounts\/([^/:]+)\/keys\/([^/:]+)$/,
    op: 'keys.delete',
    kind: 'write',
    run: ({ model, params }) => deleteKey(model, params),
  },
  {
    method: 'POST',
    path: /^\/v3\/projects\/([^/:]+):getIamPolicy$/,
    op: 'projects.getIamPolicy',
    kind: 'get',
    run: ({ model, params, body }) => projectPolicy(model, at(params, 0), body),
  },
  {
    method: 'POST',
    path: /^\/v3\/projects\/([^/:]+):setIamPolicy$/,
    op: 'projects.setIamPolicy',
    kind: 'write',
    run: ({ model, params, body }) => setProjectPolicy(model, at(params, 0), body),
  },
];

export const IAM_OPS: readonly string[] = ROUTES.map((route) => route.op);

/** The provider's door; see gcs/in-process.ts for its twin. */
export function openIam(
  model: IamModel,
  surroundings: Pick<DoorContext, 'faults' | 'calls' | 'later'>,
): { handle(request: CloudRequest): Delivery } {
  const door: DoorContext = { provider: 'iam', clock: model.clock, state: model.state, ...surroundings };
  surroundings.faults.registerProvider('iam', IAM_OPS);
  return { handle: (request) => perform(door, route(model, request)) };
}

function route(model: IamModel, request: CloudRequest): Operation {
  for (const candidate of ROUTES) {
    const match = candidate.method === request.method ? candidate.path.exec(request.path) : null;
    if (match === null) continue;
    const params = match.slice(1).map((part) => decodeURIComponent(part));
    return operation(model, candidate, { params, request });
  }
  const none: IamRoute = {
    method: '',
    path: /^/,
    op: 'unknown',
    kind: 'write',
    run() {
      throw new IamError(404, 'NOT_FOUND', `No ${request.method} ${request.path} here.`);
    },
  };
  return operation(model, none, { params: [request.path], request });
}

function operation(
  model: IamModel,
  route: IamRoute,
  input: { params: readonly string[]; request: CloudRequest },
): Operation {
  const { params, request } = input;
  return {
    op: route.op,
    name: params.join('/'),
    kind: route.kind,
    run: () =>
      answered(() =>
        withCaller(model, request, () =>
          model.state.transact(() =>
            route.run({ model, params, query: new URLSearchParams(request.query), body: parse(request) }),
          ),
        ),
      ),
    empty: () =>
      route.kind === 'list' ? ok({}) : failed(new IamError(404, 'NOT_FOUND', 'Requested entity was not found.')),
    failure: (kind) =>
      failed(
        kind === 'throttled'
          ? new IamError(429, 'RESOURCE_EXHAUSTED', 'Quota exceeded for write requests.')
          : new IamError(503, 'UNAVAILABLE', 'The service is currently unavailable.'),
      ),
  };
}

/** Only project owners manage identities; a workspace's account may not. */
function withCaller(model: IamModel, request: CloudRequest, run: () => object): object {
  const { authorization } = request.headers;
  if (authorization === undefined) return run();
  const identity = model.authenticate(authorization);
  if (identity === undefined)
    throw new IamError(401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.');
  const project = /^\/v[13]\/projects\/([^/:]+)/.exec(request.path)?.[1] ?? '';
  const allowed = model
    .projectRoles(identity, project)
    .some((role) => role === 'roles/owner' || role === 'roles/iam.serviceAccountAdmin');
  if (!allowed)
    throw new IamError(
      403,
      'PERMISSION_DENIED',
      `Permission denied on resource projects/${project} (or it may not exist).`,
    );
  return run();
}

function projectPolicy(model: IamModel, projectId: string, body: JsonObject): object {
  const options = body['options'];
  const version = isObject(options) ? Number(options['requestedPolicyVersion'] ?? 1) : 1;
  return policyBody(model.touchProject(projectId, { kind: 'owner' }).policy, version);
}

function setProjectPolicy(model: IamModel, projectId: string, body: JsonObject): object {
  const wanted = body['policy'];
  if (!isObject(wanted)) throw new IamError(400, 'INVALID_ARGUMENT', 'policy is required.');
  const { policy } = model.touchProject(projectId, { kind: 'owner' });
  if (wanted['etag'] !== undefined && wanted['etag'] !== counterEtag(policy.revision)) {
    throw new IamError(
      409,
      'ABORTED',
      'There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.',
    );
  }
  return policyBody(model.setProjectPolicy(projectId, wanted).policy, 3);
}

function answered(run: () => object): CloudResponse {
  try {
    return ok(run());
  } catch (error) {
    if (error instanceof IamError) return failed(error);
    if (error instanceof PolicyError) return failed(new IamError(400, 'INVALID_ARGUMENT', error.message));
    throw error;
  }
}

function ok(body: object): CloudResponse {
  return { status: 200, headers: {}, body };
}

function failed(error: IamError): CloudResponse {
  return {
    status: error.status,
    headers: {},
    body: { error: { code: error.status, message: error.message, status: error.code } },
  };
}

function parse(request: CloudRequest): JsonObject {
  if (request.body === undefined || request.body.length === 0) return {};
  try {
    const value: unknown = JSON.parse(request.body.toString());
    if (isObject(value)) return value;
  } catch {
    // Falls through to the same refusal as a body that is JSON but no object.
  }
  throw new IamError(400, 'INVALID_ARGUMENT', 'Invalid JSON payload received.');
}

function at(params: readonly string[], index: number): string {
  return params[index] ?? '';
}
