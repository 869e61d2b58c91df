import type { AnyReconciler, ReaderOp } from '#controller/contract.ts';
import { bucketReaders, sdkSigner } from '#reconcilers/bucket/reader.ts';
import { bucketReconciler } from '#reconcilers/bucket/reconciler.ts';
import { objectDeletionReconciler } from '#reconcilers/object-deletion/reconciler.ts';
import { GcsClient } from '#reconcilers/providers/gcs/client.ts';
import { sdkTransport } from '#reconcilers/providers/gcs/sdk-transport.ts';
import { credentialDigest, gcsSettings, signingSettings } from '#reconcilers/providers/gcs/settings.ts';
import type { Env } from '#reconcilers/providers/gcs/settings.ts';
import type { GcsTransport } from '#reconcilers/providers/gcs/transport.ts';
import { workspaceReconciler } from '#reconcilers/workspace/reconciler.ts';

/** The credential that a provider account is called with, told apart by an HMAC. */
export interface CredentialDigest {
  readonly provider: string;
  readonly account: string;
  readonly digest: string;
}

/** Everything that knows a kind or a provider; the engine is given this and nothing else of reconcilers/. */
export interface ReconcilerRegistry {
  readonly reconcilers: readonly AnyReconciler[];
  /** Answers of read verbs by name, for the reader role. */
  readonly readers: Readonly<Record<string, ReaderOp>>;
  readonly credentials: readonly CredentialDigest[];
}

export interface RegistryOptions {
  readonly env: Env;
  /** Another way to Cloud Storage than the SDK: a simulation's. */
  readonly gcs?: GcsTransport;
}

/** Builds the registry from the environment. Throws an Error that names the variable at fault. Calls nobody. */
export function createRegistry({ env, gcs }: RegistryOptions): ReconcilerRegistry {
  const settings = gcsSettings(env);
  const signing = signingSettings(env);
  const storage = new GcsClient(gcs ?? sdkTransport(settings), settings.project);
  return {
    reconcilers: [workspaceReconciler(), bucketReconciler(storage), objectDeletionReconciler(storage)],
    readers: bucketReaders(storage, signing === null ? null : sdkSigner(settings, signing)),
    credentials: [{ provider: 'gcs', account: settings.project, digest: credentialDigest(settings, env) }],
  };
}
