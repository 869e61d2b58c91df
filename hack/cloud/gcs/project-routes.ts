// JSON API paths under a project: HMAC keys, the storage service agent.

import { first } from './bucket-routes.ts';
import { jsonBody, jsonIdentity, type Route } from './call.ts';

const KEYS = /^\/storage\/v1\/projects\/([^/]+)\/hmacKeys$/;
const KEY = /^\/storage\/v1\/projects\/([^/]+)\/hmacKeys\/([^/]+)$/;

export const PROJECT_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: KEYS,
    op: 'hmacKeys.create',
    kind: 'write',
    run: (call) => call.model.hmacKeys.create(jsonIdentity(call), first(call.params), call.query),
  },
  {
    method: 'GET',
    path: KEYS,
    op: 'hmacKeys.list',
    kind: 'list',
    run: (call) => call.model.hmacKeys.list(jsonIdentity(call), first(call.params), call.query),
  },
  {
    method: 'GET',
    path: KEY,
    op: 'hmacKeys.get',
    kind: 'get',
    run: (call) => call.model.hmacKeys.get(jsonIdentity(call), first(call.params), call.params[1] ?? ''),
  },
  {
    method: 'PUT',
    path: KEY,
    op: 'hmacKeys.update',
    kind: 'write',
    run: (call) =>
      call.model.hmacKeys.update(
        jsonIdentity(call),
        { project: first(call.params), accessId: call.params[1] ?? '' },
        jsonBody(call.request.body),
      ),
  },
  {
    method: 'DELETE',
    path: KEY,
    op: 'hmacKeys.delete',
    kind: 'write',
    run(call) {
      call.model.hmacKeys.delete(jsonIdentity(call), first(call.params), call.params[1] ?? '');
      return { status: 204, headers: {} };
    },
  },
  {
    method: 'GET',
    path: /^\/storage\/v1\/projects\/([^/]+)\/serviceAccount$/,
    op: 'projects.serviceAccount.get',
    kind: 'get',
    run(call) {
      const project = call.model.iam.touchProject(first(call.params), jsonIdentity(call));
      return {
        kind: 'storage#serviceAccount',
        email_address: `service-${project.number}@gs-project-accounts.iam.gserviceaccount.com`,
      };
    },
  },
];
