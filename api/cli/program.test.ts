import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { VibnClient } from '#api/client.ts';
import { connectFrom } from './connection.ts';
import { age, table } from './output.ts';
import { runCli } from './program.ts';
import { durationMs, labelsFrom, refsFrom } from './refs.ts';

const kinds = [
  { kind: 'Workspace', plural: 'workspaces', lifecycle: 'loop', holdsData: false, verbs: [] },
  { kind: 'Bucket', plural: 'buckets', lifecycle: 'loop', holdsData: true, verbs: ['storage.buckets.create'] },
];

function bucket(name: string, overrides: object = {}) {
  const condition = {
    type: 'Ready',
    status: 'True',
    reason: 'Available',
    message: 'It is in effect.',
    lastTransitionTime: '2026-11-20T00:00:00.000Z',
  };
  return {
    apiVersion: 'vibn.dev/v1',
    kind: 'Bucket',
    metadata: {
      workspace: 'acme',
      name,
      uid: `u-${name}`,
      labels: {},
      annotations: {},
      generation: 1,
      createdAt: '2026-11-20T00:00:00.000Z',
      deletedAt: null,
      owner: null,
      ...overrides,
    },
    spec: { publicRead: false },
    status: { observedGeneration: 1, conditions: [condition] },
  };
}

type Answers = Readonly<Record<string, (input: never) => unknown>>;

/** Runs a command line against canned answers; answers its exit code, what it printed and what it called. */
async function run(args: readonly string[], answers: Answers = {}) {
  const calls: { procedure: string; input: unknown }[] = [];
  const call = (procedure: string, input: unknown): Promise<unknown> => {
    calls.push({ procedure, input });
    const all: Answers = { 'kinds.list': () => kinds, ...answers };
    const answer = all[procedure];
    return answer === undefined
      ? Promise.reject(new Error(`no answer for ${procedure}`))
      : Promise.resolve(answer(input as never));
  };
  const client = { call } as unknown as VibnClient;
  const code = await runCli(args, () => ({ client, now: () => Date.parse('2026-11-20T00:01:00Z'), env: {} }), {});
  return { code, calls, out: out.join(''), err: err.join('') };
}

let out: string[] = [];
let err: string[] = [];
beforeEach(() => {
  [out, err] = [[], []];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => out.push(String(text)) > 0);
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => err.push(String(text)) > 0);
});
afterEach(() => vi.restoreAllMocks());

describe('get', () => {
  test('prints one row a resource, without lines', async () => {
    const answers = { 'resources.list': () => ({ items: [bucket('a'), bucket('b')], nextCursor: null }) };
    const { code, out: printed, calls } = await run(['get', 'buckets', '-w', 'acme'], answers);
    expect(code).toBe(0);
    expect(calls.at(-1)?.input).toEqual({ workspace: 'acme', kind: 'Bucket', limit: 500 });
    expect(
      printed
        .trim()
        .split('\n')
        .map((line) => line.split(/\s+/)),
    ).toEqual([
      ['WORKSPACE', 'KIND', 'NAME', 'READY', 'REASON', 'GENERATION', 'AGE'],
      ['acme', 'Bucket', 'a', 'True', 'Available', '1', '60s'],
      ['acme', 'Bucket', 'b', 'True', 'Available', '1', '60s'],
    ]);
  });

  test('follows the pages to the end', async () => {
    const pages = { first: { items: [bucket('a')], nextCursor: 'c' }, c: { items: [bucket('b')], nextCursor: null } };
    const list = ({ cursor }: { cursor?: 'c' }) => pages[cursor ?? 'first'];
    expect((await run(['get', '-o', 'name'], { 'resources.list': list })).out).toBe('bucket/a\nbucket/b\n');
  });

  test('prints one resource as itself in JSON', async () => {
    const { out: printed } = await run(['get', 'bucket/a', '-w', 'acme', '-o', 'json'], {
      'resources.get': () => bucket('a'),
    });
    expect(JSON.parse(printed)).toEqual(bucket('a'));
  });

  test('of an unknown kind names the kinds there are, with exit code 2', async () => {
    const { code, err: said } = await run(['get', 'pods']);
    expect([code, said]).toEqual([2, 'error: There is no kind "pods". There are: Workspace, Bucket.\n']);
  });
});

describe('apply', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vibn-cli-'));
  const file = join(folder, 'two.yaml');
  const yaml = ['a', 'b']
    .map((name) => `apiVersion: vibn.dev/v1\nkind: Bucket\nmetadata: { workspace: acme, name: ${name} }\nspec: {}\n`)
    .join('---\n');
  writeFileSync(file, yaml);

  test('sends the manifests of a workspace all or nothing, and says what became of each', async () => {
    const answers: Answers = {
      'resources.get': ({ name }: { name: string }) =>
        name === 'a' ? bucket('a') : Promise.reject(new Error('NOT_FOUND')),
      'resources.apply_all': () => [bucket('a', { generation: 2 }), bucket('b')],
    };
    const { code, out: printed, calls } = await run(['apply', '-f', file], answers);
    expect([code, printed]).toEqual([0, 'bucket/a configured (generation 2)\nbucket/b created\n']);
    expect(calls.at(-1)).toMatchObject({
      procedure: 'resources.apply_all',
      input: { manifests: [{ kind: 'Bucket' }, { kind: 'Bucket' }] },
    });
  });

  test('shows each problem of a refused input with its path and what is allowed', async () => {
    const refused = Object.assign(new Error('Wrong.'), {
      data: { code: 'VALIDATION', issues: [{ path: 'manifest.spec.x', message: 'Unknown.', allowed: ['y'] }] },
    });
    const answers: Answers = {
      'resources.get': () => Promise.reject(refused),
      'resources.apply_all': () => Promise.reject(refused),
    };
    const { code, err: said } = await run(['apply', '-f', file], answers);
    expect([code, said]).toEqual([1, 'VALIDATION: Wrong.\n  manifest.spec.x: Unknown. Allowed: ["y"]\n']);
  });

  test.each([
    ['nowhere.yaml', 'There is no file'],
    [folder, 'created'],
  ])('reads %s', async (path, said) => {
    const answers: Answers = {
      'resources.get': () => Promise.reject(new Error('x')),
      'resources.apply_all': () => [bucket('a'), bucket('b')],
    };
    const result = await run(['apply', '-f', path], answers);
    expect(result.out + result.err).toContain(said);
  });
});

describe('wait', () => {
  const answer = (outcome: string) => ({
    outcome,
    cursor: 'c',
    results: [{ ref: { workspace: 'acme', kind: 'Bucket', name: 'a' }, met: outcome === 'met', condition: null }],
  });

  test.each([
    ['met', 0],
    ['stalled', 3],
    ['timeout', 4],
    ['deleted', 5],
  ])('that ends as %s has exit code %i', async (outcome, code) => {
    expect(
      (await run(['wait', 'bucket/a', '-w', 'acme', '--timeout', '0s'], { 'resources.wait': () => answer(outcome) }))
        .code,
    ).toBe(code);
  });

  test('goes on with the cursor of the call before', async () => {
    const outcomes = ['timeout', 'met'];
    const { calls } = await run(['wait', 'bucket/a', '-w', 'acme'], {
      'resources.wait': () => answer(outcomes.shift() ?? 'met'),
    });
    expect(
      calls.filter((one) => one.procedure === 'resources.wait').map((one) => (one.input as { cursor?: string }).cursor),
    ).toEqual([undefined, 'c']);
  });
});

describe('delete', () => {
  test('without the name quoted says how, and calls nothing that deletes', async () => {
    const { code, err: said, calls } = await run(['delete', 'bucket/a', '-w', 'acme']);
    expect([code, said]).toEqual([2, 'error: To delete bucket/a, quote its name: --confirm a\n']);
    expect(calls.map((one) => one.procedure)).toEqual(['kinds.list']);
  });
});

describe('replay', () => {
  test('follows the replay to its end and has exit code 3 if some rows fail', async () => {
    const at = (state: string, failing: object[]) => ({
      id: 'r1',
      state,
      total: 2,
      done: 2,
      healed: 1,
      unchanged: 0,
      failing,
    });
    const answers: Answers = {
      'replays.create': () => at('running', []),
      'replays.get': () => at('done', [{ reason: 'NotEmpty', count: 1 }]),
    };
    const { code, out: printed } = await run(['replay', '-w', 'acme', '--kind', 'bucket'], answers);
    expect([code, printed]).toEqual([3, 'replay r1 done: 2 looked at, 1 healed, 0 unchanged\n  1 failing: NotEmpty\n']);
  });
});

describe('small things', () => {
  test('usage errors have exit code 2', async () => {
    expect((await run(['apply'])).code).toBe(2);
    expect((await run(['nonsense'])).code).toBe(2);
  });

  test('durations, labels and references are read as written, or refused', () => {
    expect([durationMs('90s'), durationMs('5m'), durationMs('1h'), durationMs('7')]).toEqual([
      90_000, 300_000, 3_600_000, 7_000,
    ]);
    expect(() => durationMs('soon')).toThrow('no duration');
    expect(labelsFrom('a=b,c=d')).toEqual({ a: 'b', c: 'd' });
    expect(() => labelsFrom('a')).toThrow('<label>=<value>');
    expect(refsFrom(['workspace/acme'], { workspace: undefined, kinds })).toEqual([
      { workspace: 'acme', kind: 'Workspace', name: 'acme' },
    ]);
    expect(() => refsFrom(['bucket/a'], { workspace: undefined, kinds })).toThrow('-w <slug>');
  });

  test('ages round down in the unit that people read', () => {
    const at = (seconds: number) => age(new Date(0).toISOString(), seconds * 1000);
    expect([at(5), at(150), at(7_300), at(200_000)]).toEqual(['5s', '2m', '2h', '2d']);
  });

  test('a cell can not break its line or move the cursor', () => {
    expect(table(['A'], [['x\n\u001b[2Jy']]).split('\n')).toHaveLength(2);
  });

  test('without a key anywhere it says what to set', () => {
    expect(() => connectFrom({ VIBN_DATA_DIR: '/nonexistent' })).toThrow('VIBN_API_KEY');
  });
});
