import type { StoredPass } from '#controller/store/rows.ts';
import { statement } from '#controller/store/statement.ts';

type Snake = 'observedDigest' | 'planDigest' | 'durationMs' | 'traceId';
export type PassColumns = Omit<StoredPass, Snake> & {
  readonly observed_digest: string;
  readonly plan_digest: string;
  readonly duration_ms: number;
  readonly trace_id: string | null;
};

/** Passes of a row, newest first. */
export const readPasses = statement<[shard: number, workspace: string, uid: string, limit: number], PassColumns>({
  name: 'read_passes',
  repeatable: true,
  text: `
select p.uid, p.epoch, p.generation, p.trigger, p.observed, p.observed_digest, p.plan, p.plan_digest, p.calls, p.outcome,
  p.duration_ms, p.trace_id, p.at
from passes p where p.shard = $1::smallint and p.workspace = $2::text and p.uid = $3::text
order by p.epoch desc limit $4::int`,
});

/** A pass in the spelling of TypeScript. */
export function toPass(columns: PassColumns): StoredPass {
  const {
    observed_digest: observedDigest,
    plan_digest: planDigest,
    duration_ms: durationMs,
    trace_id: traceId,
    ...rest
  } = columns;
  return { ...rest, observedDigest, planDigest, durationMs, traceId };
}
