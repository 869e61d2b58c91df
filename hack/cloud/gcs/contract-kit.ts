// What the contract's cases share: the SDK as users have it, a bucket for one case, errors to compare.

import assert from 'node:assert/strict';
import { Storage, type Bucket } from '@google-cloud/storage';
import type { Capability } from './contract-capabilities.ts';

export interface ContractTarget {
  /** The Storage SDK's apiEndpoint. */
  readonly endpoint: string;
  readonly projectId: string;
  /** What this server does not have; the cases that need it are skipped, by name. */
  readonly lacks: ReadonlySet<Capability>;
  /** A service account of the project, for HMAC keys; without it those cases are left out. */
  readonly account?: string | undefined;
  /** An account that may read and write the project's objects, for signed URLs; without it those cases are left out. */
  readonly signer?: { readonly email: string; readonly privateKeyPem: string } | undefined;
}

/** One sentence of the contract. Rejects with an AssertionError if the endpoint breaks it. */
export interface ContractCase {
  readonly name: string;
  /** What a server must have for the sentence to make sense. */
  readonly needs: readonly Capability[];
  run(): Promise<void>;
}

/** What a case works with: its own bucket, emptied and deleted afterwards. */
export interface Scene {
  readonly target: ContractTarget;
  readonly storage: Storage;
  readonly bucket: Bucket;
}

export interface BucketWishes {
  readonly [field: string]: unknown;
}

type Play = (scene: Scene) => Promise<void>;

interface Plot {
  readonly play: Play;
  readonly needs?: readonly Capability[];
  readonly wishes?: BucketWishes;
}

const LOCATION = 'northamerica-northeast1';
let made = 0;

const clients = new WeakMap<ContractTarget, Storage>();

/** One client a target. It sends no Authorization to a custom endpoint; the credentials are there to sign URLs with. */
export function sdk(target: ContractTarget): Storage {
  const known = clients.get(target);
  if (known !== undefined) return known;
  const { endpoint, projectId, signer } = target;
  const credentials = signer && { client_email: signer.email, private_key: signer.privateKeyPem };
  const storage = new Storage({
    apiEndpoint: endpoint,
    projectId,
    retryOptions: { autoRetry: false },
    ...(credentials ? { credentials } : {}),
  });
  clients.set(target, storage);
  return storage;
}

/** A name that no other run has. */
export function freshName(): string {
  made += 1;
  return `vibn-contract-${process.pid.toString(36)}-${Date.now().toString(36)}-${made}`;
}

/** A case that needs a bucket with uniform access, without soft delete unless it says otherwise. */
export function withBucket(target: ContractTarget, name: string, plot: Play | Plot): ContractCase {
  const { play, needs = [], wishes = {} }: Plot = typeof plot === 'function' ? { play: plot } : plot;
  return {
    name,
    needs,
    async run() {
      const storage = sdk(target);
      const fields = {
        location: LOCATION,
        iamConfiguration: { uniformBucketLevelAccess: { enabled: true } },
        ...(target.lacks.has('soft-delete-off') ? {} : { softDeletePolicy: { retentionDurationSeconds: '0' } }),
        ...wishes,
      };
      const [bucket] = await storage.createBucket(freshName(), fields as Parameters<Storage['createBucket']>[1]);
      try {
        await play({ target, storage, bucket });
      } finally {
        await bucket.deleteFiles({ force: true, versions: true }).catch(() => undefined);
        await bucket.delete({ ignoreNotFound: true }).catch(() => undefined);
      }
    },
  };
}

/** Requires that the promise rejects with this HTTP status, and answers the error. */
export async function refused(
  promise: Promise<unknown>,
  status: number,
): Promise<{ code: number; message: string; errors: { reason?: string }[] }> {
  let error: { code?: number; message?: string; errors?: { reason?: string }[] } | undefined;
  try {
    await promise;
  } catch (caught) {
    error = caught as typeof error;
  }
  assert.ok(error !== undefined, `expected a refusal with ${status}, but it was accepted`);
  assert.equal(Number(error.code), status, `refused with ${error.code}: ${error.message}`);
  return { code: status, message: error.message ?? '', errors: error.errors ?? [] };
}

/** Requires the provider's words in a refusal, of servers that have them. */
export function assertWords(
  { lacks }: ContractTarget,
  error: { readonly message: string; readonly errors: readonly { reason?: string }[] },
  words: { readonly reason?: string; readonly message?: RegExp },
): void {
  if (lacks.has('error-words')) return;
  if (words.reason !== undefined) assert.equal(error.errors[0]?.reason, words.reason);
  if (words.message !== undefined) assert.match(error.message, words.message);
}

/** A metadata value of the SDK, which types most of them loosely. */
export function field(metadata: object, name: string): unknown {
  return (metadata as Record<string, unknown>)[name];
}
