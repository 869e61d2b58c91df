import { describe, expect, it } from 'vitest';
import { counterEtag, normalisePolicy, policyBody, PolicyError } from './policy.ts';
import { bucketRoleAllowed } from './roles.ts';

const rules = {
  roleAllowed: bucketRoleAllowed,
  accountExists: (email: string) => email === 'ws@p.iam.gserviceaccount.com',
};
const VIEWER = 'roles/storage.objectViewer';
const condition = { title: 't', expression: 'resource.name.endsWith("a")' };

describe('a policy', () => {
  it('is merged by role, sorted, lower-cased and rid of empty bindings', () => {
    const policy = normalisePolicy(
      {
        bindings: [
          { role: VIEWER, members: ['user:B@Example.com', 'allUsers'] },
          { role: 'roles/storage.admin', members: [] },
          { role: VIEWER, members: ['user:b@example.com', 'serviceAccount:ws@p.iam.gserviceaccount.com'] },
        ],
      },
      rules,
    );
    expect(policy).toEqual({
      version: 1,
      bindings: [
        {
          role: VIEWER,
          members: ['allUsers', 'serviceAccount:ws@p.iam.gserviceaccount.com', 'user:b@example.com'],
          condition: undefined,
        },
      ],
    });
  });

  it('keeps bindings of one role apart by condition, which needs version 3', () => {
    const bindings = [
      { role: VIEWER, members: ['allUsers'] },
      { role: VIEWER, members: ['allUsers'], condition },
    ];
    expect(normalisePolicy({ version: 3, bindings }, rules).bindings).toHaveLength(2);
    expect(() => normalisePolicy({ version: 1, bindings }, rules)).toThrow(PolicyError);
  });

  it('hides conditions from those who read version 1', () => {
    const policy = {
      ...normalisePolicy({ version: 3, bindings: [{ role: VIEWER, members: ['allUsers'], condition }] }, rules),
      revision: 5,
    };
    expect(policyBody(policy, 3)).toEqual({
      version: 3,
      etag: 'CAU=',
      bindings: [{ role: VIEWER, members: ['allUsers'], condition }],
    });
    const old = policyBody(policy, 1);
    expect(old.version).toBe(1);
    expect(old.bindings).toEqual([
      { role: expect.stringMatching(/^roles\/storage\.objectViewer_withcond_[0-9a-f]{20}$/), members: ['allUsers'] },
    ]);
  });

  it.each([
    [{ bindings: [{ role: VIEWER, members: ['everybody'] }] }, /Invalid member/],
    [{ bindings: [{ role: VIEWER, members: ['user:nobody'] }] }, /Invalid member/],
    [{ bindings: [{ role: VIEWER, members: ['serviceAccount:none@p.iam.gserviceaccount.com'] }] }, /does not exist/],
    [{ bindings: [{ role: 'roles/storage.bogus', members: ['allUsers'] }] }, /not supported for this resource/],
    [{ bindings: [{ role: 'roles/owner', members: ['allUsers'] }] }, /not supported for this resource/],
    [{ bindings: 'all' }, /must be a list/],
    [{ version: 2 }, /Invalid policy version/],
    [
      { version: 3, bindings: [{ role: VIEWER, members: [], condition: { title: 'x', expression: 'nonsense(' } }] },
      /Invalid condition/,
    ],
    [
      { bindings: [{ role: VIEWER, members: Array.from({ length: 1_501 }, (_, n) => `user:u${n}@example.com`) }] },
      /at most 1500/,
    ],
  ])('is refused: %#', (input, message) => {
    expect(() => normalisePolicy(input, rules)).toThrow(message);
  });
});

describe('an etag', () => {
  it('is the protobuf of its counters', () => {
    expect([counterEtag(1), counterEtag(300), counterEtag(1n, 2)]).toEqual(['CAE=', 'CKwC', 'CAEQAg==']);
  });
});
