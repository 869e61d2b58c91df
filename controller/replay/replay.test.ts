import { describe, expect, it } from 'vitest';
import type { Desired, Plan } from '#controller/contract.ts';
import type { Json } from '#resources/json.ts';
import { replayPass } from './replay.ts';

const desired: Desired = { state: 'present', spec: {} };
const create = { type: 'create', effect: 'create', risk: 'free' } as const;
const converged: Plan = { verdict: 'converged' };
const act: Plan = { verdict: 'act', actions: [create] };

/** Replays a pass that saw `observed` and planned `recorded`, with a plan of today. */
function replay(recorded: Json, plan: () => Plan, observed: Json = { exists: false }) {
  return replayPass({ reconciler: { plan }, pass: { observed, plan: recorded }, desired });
}

describe('replaying a pass', () => {
  it('says that today’s plan is the same, whatever the order of keys', () => {
    const recorded = { actions: [{ risk: 'free', type: 'create', effect: 'create' }], verdict: 'act' };
    expect(replay(recorded, () => act)).toEqual({ result: 'same', recorded });
  });

  it('ignores members that the journal could not store', () => {
    const withUndefined = { verdict: 'act', actions: [{ ...create, changes: undefined }] } as unknown as Plan;
    expect(replay({ verdict: 'act', actions: [create] }, () => withUndefined).result).toBe('same');
  });

  it('names each place where today’s plan differs', () => {
    const recorded = { verdict: 'act', actions: [create, { ...create, type: 'label' }] };
    const today = { verdict: 'act', actions: [{ ...create, risk: 'guarded' }] } as unknown as Plan;
    expect(replay(recorded, () => today)).toMatchObject({
      result: 'different',
      differences: [
        { path: 'actions[0].risk', recorded: 'free', today: 'guarded' },
        { path: 'actions[1]', recorded: { type: 'label' }, today: null },
      ],
    });
    expect(replay({ verdict: 'converged' }, () => act)).toMatchObject({
      differences: [
        { path: 'actions', recorded: null },
        { path: 'verdict', recorded: 'converged', today: 'act' },
      ],
    });
  });

  it('hands plan the observation and what was desired', () => {
    const seen: unknown[] = [];
    const plan = (...given: readonly unknown[]): Plan => (seen.push(...given) > 0 ? converged : act);
    replayPass({ reconciler: { plan }, pass: { observed: { exists: true }, plan: { verdict: 'converged' } }, desired });
    expect(seen).toEqual([desired, { exists: true }]);
  });

  it('says that today’s plan throws', () => {
    const bug = (): Plan => {
      throw new Error('cannot read x');
    };
    expect(replay({ verdict: 'converged' }, bug)).toMatchObject({ result: 'throws', message: 'cannot read x' });
  });

  it('cannot tell where only a digest was kept', () => {
    expect(replay({ verdict: 'converged' }, () => converged, null)).toEqual({ result: 'not-recorded' });
    expect(replay(null, () => converged)).toEqual({ result: 'not-recorded' });
  });
});
