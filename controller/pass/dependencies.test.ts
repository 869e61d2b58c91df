import { describe, expect, it } from 'vitest';
import { blockedOn, dependenciesDraft } from './dependencies.ts';
import type { Dependency } from './dependencies.ts';

const ready: Dependency = { ref: 'Bucket/a', exists: true, deleting: false, ready: true, stalled: false };

describe('what a row needs', () => {
  it.each([
    ['holds nothing up when it is ready', ready, null],
    ['is missing', { ...ready, exists: false, ready: false }, 'DependencyNotFound'],
    ['is going, though it still says Ready', { ...ready, deleting: true }, 'DependencyDeleting'],
    ['is not ready yet', { ...ready, ready: false }, 'DependencyNotReady'],
    ['will not get ready by itself', { ...ready, ready: false, stalled: true }, 'DependencyFailed'],
  ] as const)('%s', (...[, dependency, reason]) => {
    expect(blockedOn([dependency])?.reason ?? null).toBe(reason);
    expect(dependenciesDraft([dependency])).toMatchObject({ status: reason === null ? 'True' : 'False' });
  });

  it('is named, each with its own reason, and the text does not depend on the order', () => {
    const missing = { ...ready, ref: 'Queue/q', exists: false };
    const unready = { ...ready, ready: false };
    expect(blockedOn([missing, ready, unready])).toMatchObject({
      message: 'Waiting for Bucket/a, Queue/q.',
      blockedBy: [
        { ref: 'Queue/q', reason: 'DependencyNotFound' },
        { ref: 'Bucket/a', reason: 'DependencyNotReady' },
      ],
    });
    expect(blockedOn([unready, missing])?.message).toBe(blockedOn([missing, unready])?.message);
  });

  it('has no condition where nothing is needed', () => {
    expect(dependenciesDraft([])).toBeNull();
  });
});
