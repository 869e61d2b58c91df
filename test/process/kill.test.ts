import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seededRng } from '#hack/cloud/clock.ts';
import type { Resource } from '#resources/resource.ts';
import { startUp, until } from '#test/support/up.ts';
import type { Up } from '#test/support/up.ts';

/**
 * The controller is killed with SIGKILL at random moments while buckets are made, changed and deleted. A sample runs in CI; the full
 * count by command: VIBN_KILL_ROUNDS=100 npx vitest run --project process test/process/kill.test.ts
 */
const rounds = Number(process.env['VIBN_KILL_ROUNDS'] ?? '8');
const seed = Number(process.env['VIBN_KILL_SEED'] ?? '1');
/** A kill falls anywhere within this after the edits of its round: before the claim, amid the calls, after the settle. */
const killWithinMs = 1_000;
/** A child that lived this long is started again after 1 s; sooner, the supervisor takes it for a crash loop and doubles the wait. */
const bornBeforeMs = 1_100;
/**
 * What was held at a kill is free after the lease (15 s) and Ready again after the longest call (30 s) on top; and each round makes one
 * bucket and deletes one, while the provider grants one of either in 2 s.
 */
const settledWithinMs = 120_000 + rounds * 4_000;

/** Many, since a workspace may destroy 20 things in 10 min and no more. */
const workspaces = Array.from({ length: 10 }, (_, index) => `kill${index}`);
const workspaceOf = (round: number): string => workspaces[round % workspaces.length] ?? '';

interface Call {
  readonly op: string;
  readonly name: string;
  readonly outcome: string;
}

describe(`kill -9 of the controller (replay: VIBN_KILL_SEED=${seed} VIBN_KILL_ROUNDS=${rounds})`, () => {
  let up: Up;
  beforeAll(async () => {
    up = await startUp();
    for (const workspace of workspaces) {
      const manifest = {
        apiVersion: 'vibn.dev/v1',
        kind: 'Workspace',
        metadata: { workspace, name: workspace },
        spec: {},
      } as const;
      await up.client.resources.apply({ manifest });
    }
  });
  afterAll(async () => {
    await up[Symbol.asyncDispose]();
  });

  test(
    `${rounds} times leaves no duplicate, no leak and every bucket as declared`,
    async () => {
      const rng = seededRng(seed);
      for (let round = 0; round < rounds; round += 1) await oneRound(up, round, rng.next() * killWithinMs);
      const names = await allReady(up);
      expect(await bucketsAtProvider(up)).toEqual(names);
      const calls = await allCalls(up);
      for (const op of ['buckets.insert', 'buckets.delete']) {
        const done = calls.filter((call) => call.op === op && call.outcome === 'ok').map((call) => call.name);
        expect(done.length, `${op} of one bucket more than once`).toBe(new Set(done).size);
      }
    },
    settledWithinMs + 60_000 + rounds * 10_000,
  );
});

/** Makes a bucket, changes the one of the round before, deletes the one before that; kills the controller amid it. */
async function oneRound(up: Up, round: number, killAfterMs: number): Promise<void> {
  const pid = await until(() => up.pidOf('controller'));
  await new Promise((resolve) => setTimeout(resolve, bornBeforeMs));
  await Promise.all([
    apply(up, round, 'STANDARD'),
    round > 0 ? apply(up, round - 1, 'NEARLINE') : null,
    round > 1 ? remove(up, round - 2) : null,
  ]);
  await new Promise((resolve) => setTimeout(resolve, killAfterMs));
  expect(up.pidOf('controller'), 'the controller died by itself').toBe(pid);
  process.kill(pid, 'SIGKILL');
  await until(() => (up.pidOf('controller') === pid || up.pidOf('controller') === null ? null : true));
}

const key = (round: number) => ({ workspace: workspaceOf(round), kind: 'Bucket', name: `b${round}` });

async function apply(up: Up, round: number, storageClass: string): Promise<void> {
  const { workspace, kind, name } = key(round);
  await up.client.resources.apply({
    manifest: { apiVersion: 'vibn.dev/v1', kind, metadata: { workspace, name }, spec: { storageClass } },
  });
}

async function remove(up: Up, round: number): Promise<void> {
  await up.client.resources.delete({ ...key(round), confirm: `b${round}` });
}

/** External names of the buckets declared, once all are Ready and the deleted ones gone. Throws, naming those that are not. */
async function allReady(up: Up): Promise<string[]> {
  let left = '';
  const settled = async (): Promise<string[] | null> => {
    const { items } = await up.client.resources.list({ kind: 'Bucket', limit: 500 });
    left = items.flatMap(unsettled).join('; ');
    return left === '' ? items.map(({ metadata }) => `vibn-ws-${metadata.workspace}-${metadata.name}`).sort() : null;
  };
  return await until(settled, settledWithinMs).catch((error: unknown) => {
    throw new Error(`Not settled: ${left}`, { cause: error });
  });
}

function unsettled(item: Resource): string[] {
  const ready = item.status.conditions.find((condition) => condition.type === 'Ready');
  if (item.metadata.deletedAt === null && ready?.status === 'True') return [];
  const deleting = item.metadata.deletedAt === null ? '' : ' (deleting)';
  return [`${item.metadata.name}${deleting} ${ready?.status}/${ready?.reason}: ${ready?.message}`];
}

async function bucketsAtProvider(up: Up): Promise<string[]> {
  const { gcs } = (await (await fetch(`${up.cloudUrl}/`)).json()) as { gcs: string };
  const page = (await (await fetch(`${gcs}/storage/v1/b?project=vibn-local&maxResults=1000`)).json()) as {
    items?: { name: string }[];
  };
  return (page.items ?? []).map((bucket) => bucket.name).sort();
}

async function allCalls(up: Up): Promise<Call[]> {
  const calls: Call[] = [];
  for (let after = 0; ;) {
    const page = (await (await fetch(`${up.cloudUrl}/calls?provider=gcs&after=${after}`)).json()) as {
      calls: Call[];
      next: number;
    };
    if (page.calls.length === 0) return calls;
    calls.push(...page.calls);
    after = page.next;
  }
}
