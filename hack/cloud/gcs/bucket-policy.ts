// A bucket's IAM policy. Writing it does not move the bucket's metageneration.

import type { Identity } from '#hack/cloud/iam/model.ts';
import { counterEtag, normalisePolicy, policyBody, PolicyError, type StoredPolicy } from '#hack/cloud/iam/policy.ts';
import { bucketRoleAllowed, permissionExists } from '#hack/cloud/iam/roles.ts';
import { isObject, type Json, type JsonObject } from '#hack/cloud/json.ts';
import { demand, may } from './access.ts';
import { usesUniformAccess, type Buckets } from './buckets.ts';
import type { BucketRecord, GcsContext } from './context.ts';
import { conditionNotMet, invalid } from './errors.ts';
import { int64, type Query } from './preconditions.ts';

const PUBLIC = new Set(['allUsers', 'allAuthenticatedUsers']);
const PREVENTED =
  'The member bindings allUsers and allAuthenticatedUsers are not allowed since public access prevention is enforced.';

/** getIamPolicy, setIamPolicy and testIamPermissions of buckets. */
export class BucketPolicies {
  readonly #context: GcsContext;
  readonly #buckets: Buckets;

  constructor(context: GcsContext, buckets: Buckets) {
    this.#context = context;
    this.#buckets = buckets;
  }

  get(identity: Identity, name: string, query: Query): JsonObject {
    const bucket = this.#buckets.existing(name);
    demand(this.#context, identity, { permission: 'storage.buckets.getIamPolicy', bucket });
    const version = Number(int64(query, 'optionsRequestedPolicyVersion') ?? '1');
    if (version !== 1 && version !== 3) throw invalid(`Invalid optionsRequestedPolicyVersion: ${version}. Use 1 or 3.`);
    return this.#body(bucket, bucket.policy, version);
  }

  /** Replaces the policy. A quoted etag must be the present one; without one the last writer wins. `resourceId` is ignored. */
  set(identity: Identity, name: string, body: JsonObject): JsonObject {
    const bucket = this.#buckets.existing(name);
    demand(this.#context, identity, { permission: 'storage.buckets.setIamPolicy', bucket });
    const etag = body['etag'];
    if (etag !== undefined && etag !== '' && etag !== counterEtag(bucket.policy.revision)) throw conditionNotMet();
    const next = this.#normalised(bucket, body);
    this.#context.rates.take('bucketUpdate', name);
    const policy = { ...next, revision: bucket.policy.revision + 1 };
    this.#context.tables.buckets.set(name, { ...bucket, policy });
    return this.#body(bucket, policy, 3);
  }

  test(identity: Identity, name: string, query: Query): JsonObject {
    const bucket = this.#buckets.existing(name);
    const asked = query.getAll('permissions');
    if (asked.length === 0) throw invalid('Required parameter: permissions');
    const unknown = asked.find((permission) => !permissionExists(permission));
    if (unknown !== undefined) throw invalid(`Invalid permission: ${unknown}`);
    const permissions = asked.filter((permission) => may(this.#context, identity, { permission, bucket }));
    return { kind: 'storage#testIamPermissionsResponse', ...(permissions.length === 0 ? {} : { permissions }) };
  }

  #normalised(bucket: BucketRecord, body: JsonObject): Pick<StoredPolicy, 'version' | 'bindings'> {
    try {
      const policy = normalisePolicy(body, {
        roleAllowed: bucketRoleAllowed,
        accountExists: (email) => this.#context.iam.accountExists(email),
      });
      if (policy.version === 3 && !usesUniformAccess(bucket.fields)) {
        throw invalid('Conditional bindings need uniform bucket-level access to be enabled.');
      }
      const configuration = bucket.fields['iamConfiguration'];
      const enforced = isObject(configuration) && configuration['publicAccessPrevention'] === 'enforced';
      if (enforced && policy.bindings.some((binding) => binding.members.some((member) => PUBLIC.has(member))))
        throw conditionNotMet(PREVENTED);
      return policy;
    } catch (error) {
      if (error instanceof PolicyError) throw invalid(error.message);
      throw error;
    }
  }

  #body(bucket: BucketRecord, policy: StoredPolicy, version: number): JsonObject {
    const body = policyBody(policy, version);
    return {
      kind: 'storage#policy',
      resourceId: `projects/_/buckets/${bucket.name}`,
      ...body,
      bindings: body.bindings as unknown as Json,
    };
  }
}
