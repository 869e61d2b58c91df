import type { Action, Desired, Plan } from '#controller/contract.ts';
import type { objectDeletion } from '#resources/object-deletion.ts';
import { isReserved } from '#resources/object-key.ts';
import { quoted } from '#resources/text.ts';
import { topic } from '#resources/topic.ts';

/** All that plan needs to know, as plain JSON. */
export interface DeletionObserved {
  readonly uid: string;
  readonly workspace: string;
  readonly name: string;
  /** The bucket at the provider, if its row has shown it to be ours; null: not (yet). */
  readonly bucket: string | null;
  readonly object: SeenObject | null;
}

export interface SeenObject {
  readonly generation: string;
  /** ISO-8601 while it is in force, else null. */
  readonly retainedUntil: string | null;
  readonly onHold: boolean;
}

/** Deletes one object; `guard.generation` is the one that was seen. */
export interface DeleteObject extends Action {
  readonly type: 'delete-object';
  readonly effect: 'delete';
  readonly risk: 'guarded';
  readonly destroysData: true;
  readonly bucket: string;
  readonly key: string;
  /** Null: the live one. */
  readonly generation: string | null;
  readonly guard: { readonly generation: string };
}

/** The Bucket's own change wakes the row; this is only the fallback. */
const bucketRetryMs = 60_000;

/** An object that is there is deleted, unless it may not be. A row that is itself being deleted asks for nothing any more. Pure. */
export function planDeletion(desired: Desired<typeof objectDeletion>, observed: DeletionObserved): Plan<DeleteObject> {
  if (desired.state === 'absent') return { verdict: 'converged' };
  const { spec } = desired;
  if (isReserved(spec.name))
    return stalled(
      observed,
      'SpecInvalid',
      'Objects under backups/ belong to the platform and are never deleted by a request.',
    );
  if (observed.bucket === null) {
    const message = `Bucket "${spec.bucket}" is not known to be ours yet; nothing is deleted in it before that.`;
    return { verdict: 'wait', reason: 'DependencyNotReady', message, retryAfterMs: bucketRetryMs };
  }
  const { object } = observed;
  if (object === null) return { verdict: 'converged' };
  const key = quoted(spec.name);
  if (object.onHold)
    return stalled(
      observed,
      'RetentionUntil',
      `The object is on hold and cannot be deleted until the hold is released: ${key}.`,
    );
  if (object.retainedUntil !== null) {
    return stalled(
      observed,
      'RetentionUntil',
      `The object is retained until ${object.retainedUntil} and is deleted after that: ${key}.`,
    );
  }
  return {
    verdict: 'act',
    actions: [
      {
        type: 'delete-object',
        effect: 'delete',
        risk: 'guarded',
        destroysData: true,
        bucket: observed.bucket,
        key: spec.name,
        generation: spec.generation,
        guard: { generation: object.generation },
        changes: [{ path: 'object', have: object.generation, want: null }],
      },
    ],
  };
}

// oxlint-disable-next-line eslint/max-params -- row, reason, message
function stalled(observed: DeletionObserved, reason: string, message: string): Plan<DeleteObject> {
  const key = { workspace: observed.workspace, kind: 'ObjectDeletion', name: observed.name };
  const withdraw = {
    id: 'withdraw',
    call: { proc: 'resources.delete', input: { ...key, confirm: observed.name } },
    destructive: false,
    needs: 'declarer',
  };
  return { verdict: 'stalled', reason, message, clearsOn: [topic.spec(observed.uid)], remedy: [withdraw] };
}
