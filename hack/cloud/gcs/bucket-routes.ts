// JSON API paths of buckets.

import { jsonBody, jsonIdentity, type Route } from './call.ts';

const BUCKETS = /^\/storage\/v1\/b\/?$/;
const BUCKET = /^\/storage\/v1\/b\/([^/]+)$/;
const IAM = /^\/storage\/v1\/b\/([^/]+)\/iam$/;

export const BUCKET_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: BUCKETS,
    op: 'buckets.insert',
    kind: 'write',
    run: (call) => call.model.buckets.insert(jsonIdentity(call), call.query, jsonBody(call.request.body)),
    name: (call) => bodyName(call.request.body),
  },
  {
    method: 'GET',
    path: BUCKETS,
    op: 'buckets.list',
    kind: 'list',
    run: (call) => call.model.buckets.list(jsonIdentity(call), call.query),
  },
  {
    method: 'GET',
    path: BUCKET,
    op: 'buckets.get',
    kind: 'get',
    run: (call) => call.model.buckets.get(jsonIdentity(call), first(call.params), call.query),
  },
  {
    method: 'PATCH',
    path: BUCKET,
    op: 'buckets.patch',
    kind: 'write',
    run: (call) =>
      call.model.buckets.patch(jsonIdentity(call), first(call.params), {
        query: call.query,
        body: jsonBody(call.request.body),
      }),
  },
  {
    method: 'PUT',
    path: BUCKET,
    op: 'buckets.update',
    kind: 'write',
    run: (call) =>
      call.model.buckets.update(jsonIdentity(call), first(call.params), {
        query: call.query,
        body: jsonBody(call.request.body),
      }),
  },
  {
    method: 'DELETE',
    path: BUCKET,
    op: 'buckets.delete',
    kind: 'write',
    run(call) {
      call.model.buckets.delete(jsonIdentity(call), first(call.params), call.query);
      return { status: 204, headers: {} };
    },
  },
  {
    method: 'POST',
    path: /^\/storage\/v1\/b\/([^/]+)\/lockRetentionPolicy$/,
    op: 'buckets.lockRetentionPolicy',
    kind: 'write',
    run: (call) => call.model.buckets.lockRetentionPolicy(jsonIdentity(call), first(call.params), call.query),
  },
  {
    method: 'POST',
    path: /^\/storage\/v1\/b\/([^/]+)\/restore$/,
    op: 'buckets.restore',
    kind: 'write',
    run: (call) => call.model.buckets.restore(jsonIdentity(call), first(call.params), call.query),
  },
  {
    method: 'GET',
    path: IAM,
    op: 'buckets.getIamPolicy',
    kind: 'get',
    run: (call) => call.model.policies.get(jsonIdentity(call), first(call.params), call.query),
  },
  {
    method: 'PUT',
    path: IAM,
    op: 'buckets.setIamPolicy',
    kind: 'write',
    run: (call) => call.model.policies.set(jsonIdentity(call), first(call.params), jsonBody(call.request.body)),
  },
  {
    method: 'GET',
    path: /^\/storage\/v1\/b\/([^/]+)\/iam\/testPermissions$/,
    op: 'buckets.testIamPermissions',
    kind: 'get',
    run: (call) => call.model.policies.test(jsonIdentity(call), first(call.params), call.query),
  },
];

/** The first captured part of a path; routes with one always have it. */
export function first(params: readonly string[]): string {
  return params[0] ?? '';
}

function bodyName(body: Buffer | undefined): string {
  try {
    const name = jsonBody(body)['name'];
    return typeof name === 'string' ? name : '';
  } catch {
    return '';
  }
}
