import { z } from 'zod';
import { notFound, validationError } from '#resources/errors.ts';
import { issuesOf } from '#resources/issues.ts';
import type { Json } from '#resources/json.ts';
import type { ResourceKey } from '#resources/resource.ts';
import type { Clock } from '#controller/clock.ts';
import type { CallOptions, ReaderContext, ReaderOp } from '#controller/contract.ts';
import type { Gateway } from '#controller/gateway/types.ts';
import type { ReaderOptions } from '#controller/options.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';

const keySchema = z.strictObject({
  workspace: z.string().min(1).max(64),
  kind: z.string().min(1).max(64),
  name: z.string().min(1).max(253),
});

const readInput = z.strictObject({
  op: z.string().min(1).max(128),
  key: keySchema.nullable().default(null),
  input: z.record(z.string(), z.json()).default({}),
});

export interface ReadDeps {
  readonly engine: Pick<EngineStore, 'readKey'>;
  readonly gateway: Gateway;
  /** By name of the verb. */
  readonly readers: Readonly<Record<string, ReaderOp>>;
  readonly clock: Clock;
  readonly options: ReaderOptions;
}

/**
 * Answers a verb that only a provider (or the signing key) can answer. Throws ApiError: NOT_FOUND for an unknown op or a missing row,
 * VALIDATION for a malformed request. Calls that would change something are refused.
 */
export async function readOp(deps: ReadDeps, body: unknown): Promise<Json> {
  const parsed = readInput.safeParse(body);
  if (!parsed.success) throw validationError(issuesOf(parsed.error, '', Object.keys(readInput.shape)));
  const { op, key, input } = parsed.data;
  const reader = Object.hasOwn(deps.readers, op) ? deps.readers[op] : undefined;
  if (reader === undefined) throw notFound();
  const row = key === null ? null : (await deps.engine.readKey(key)).row;
  if (key !== null && row === null) throw notFound();
  return reader(input, contextOf(deps, key, row));
}

function contextOf(deps: ReadDeps, key: ResourceKey | null, row: ReaderContext['row']): ReaderContext {
  const { gateway, clock, options } = deps;
  return {
    row,
    now: clock.now(),
    call: async <Reply>(call: CallOptions<Reply>, send: (signal: AbortSignal) => Promise<Reply>) => {
      if (call.mutating) throw new Error(`A reader may not call ${call.op}, which changes something`);
      const about = { workspace: key?.workspace ?? '-', kind: key?.kind ?? '-', uid: row?.uid ?? '-' };
      return gateway.call({ options: call, send, ...about, maxCallMs: options.lookCallMs, probe: false });
    },
  };
}
