import type { z } from 'zod';
import type { JsonObject } from './json.ts';
import type { ResourceKey } from './resource.ts';

/** What a verb asks for: one of the generic procedures, with its input. A verb never changes a provider. */
export type VerbCall =
  | {
      readonly do: 'apply';
      readonly manifest: { kind: string; metadata: { workspace: string; name: string }; spec: JsonObject };
      readonly mustNotExist?: boolean;
    }
  | { readonly do: 'patch'; readonly key: ResourceKey; readonly patch: JsonObject }
  | { readonly do: 'delete'; readonly key: ResourceKey; readonly confirm: string; readonly planHash?: string }
  | {
      readonly do: 'list';
      readonly workspace: string;
      readonly kind: string;
      readonly limit?: number;
      readonly cursor?: string;
    }
  /**
   * Answered by the reader role, which alone may ask a provider: `op` is its operation, e.g. "storage.presign_upload". `key`: the row it
   * is about; a missing one is NOT_FOUND.
   */
  | { readonly do: 'read'; readonly op: string; readonly key?: ResourceKey; readonly input: JsonObject };

/**
 * A verb of a kind: a pure function from input to a change of rows (surface.md). `seed` is a random UUID given by the API,
 * for verbs that declare a row with a new name.
 */
export interface Verb {
  readonly input: z.ZodObject;
  /** Whether it changes desired state (mutation) or not (query). */
  readonly mutates: boolean;
  /** Scope action it needs in the kind's area. */
  readonly scope: 'read' | 'write' | 'delete';
  readonly call: (input: JsonObject, seed: string) => VerbCall;
}
