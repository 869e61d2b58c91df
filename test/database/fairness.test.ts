import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EngineStore } from '#controller/store/engine-store.ts';
import { composeEngine } from '#hack/bench/engine-run.ts';
import { benchReconcilers, noop } from '#hack/bench/noop-kind.ts';
import { seedRows } from '#hack/bench/rows.ts';
import { shardOf } from '#resources/shard.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';

// The whole engine over real Postgres, with a provider that does nothing: 50,000 due rows of one tenant beside one row of another. That the
// one is picked up within 2 s of falling due (reliability.md) is printed; what is asserted is the order of claims, which does not depend
// on what else the machine does.
//
//   VIBN_FAIRNESS_ROWS=50000 vitest run --project database test/database/fairness    in full; a sample is 5,000

const rows = Number(process.env['VIBN_FAIRNESS_ROWS'] ?? 5_000);

/** Another workspace of the same shard, or of another one. */
function neighbourOf(workspace: string, where: 'same shard' | 'other shard'): string {
  for (let n = 0; ; n += 1) {
    const slug = `lone${n}`;
    if ((shardOf(slug) === shardOf(workspace)) === (where === 'same shard')) return slug;
  }
}

const crowd = 'crowd';
const neighbours = (['same shard', 'other shard'] as const).map((where) => [where, neighbourOf(crowd, where)] as const);

let db: TestDatabase;
beforeAll(async () => {
  db = await createDatabase();
  await seedRows(db.owner, { workspaces: [crowd], perWorkspace: rows });
  await seedRows(db.owner, { workspaces: neighbours.map(([, slug]) => slug), perWorkspace: 1 });
}, 120_000);
afterAll(() => db[Symbol.asyncDispose]());

/** Makes the rows of a workspace due: for an hour already, or just now. */
async function makeDue(workspace: string, since: 'an hour' | 'now'): Promise<void> {
  const ago = since === 'an hour' ? '1 hour' : '0';
  await db.owner`
    update work set due_at = statement_timestamp() - ${ago}::interval
    where kind = ${noop.name} and workspace = ${workspace}`;
}

/** An engine at work, the workspaces of each claim so far, and how many claims there were when a poll named a shard. */
async function startEngine() {
  const claims: ReadonlySet<string>[] = [];
  const polls: { readonly shards: readonly number[]; readonly claims: number }[] = [];
  let heard = (): void => undefined;
  const wrap = (store: EngineStore): EngineStore => ({
    ...store,
    async dueShards() {
      const shards = await store.dueShards();
      polls.push({ shards, claims: claims.length });
      return shards;
    },
    async claim(want) {
      const taken = await store.claim(want);
      if (taken.length > 0) claims.push(new Set(taken.map((claim) => claim.workspace)));
      heard();
      return taken;
    },
  });
  const reconcilers = benchReconcilers({ changing: false });
  const engine = composeEngine({ url: db.urlOf('vibn_controller'), reconcilers, wrap });
  await engine.start();
  /** Resolves with the number of the first claim, after so many, in which it is so. */
  const first = (after: number, isSo: (claim: ReadonlySet<string>) => boolean): Promise<number> =>
    new Promise((resolve) => {
      heard = () => {
        const at = claims.findIndex((claim, index) => index >= after && isSo(claim));
        if (at >= 0) resolve(at);
      };
      heard();
    });
  return { claims, polls, first, stop: () => engine.stop() };
}

describe(`one due row beside ${rows} of another tenant`, () => {
  test.for(neighbours)(
    'in the %s is in the first claims, although those have waited an hour longer',
    async ([where, lone]) => {
      await makeDue(crowd, 'an hour');
      await makeDue(lone, 'now');
      const engine = await startEngine();
      try {
        const begun = performance.now();
        const at = await engine.first(0, (claim) => claim.has(lone));
        const tookMs = performance.now() - begun;
        console.log(`the lone row in the ${where} is in claim ${at + 1}, ${tookMs.toFixed(0)} ms after the start`);
        expect(at).toBeLessThanOrEqual(1);
      } finally {
        await engine.stop();
      }
    },
  );

  test.for(neighbours)(
    'in the %s that falls due meanwhile is in the next claims, though no signal comes',
    async ([where, lone]) => {
      await makeDue(crowd, 'an hour');
      const engine = await startEngine();
      try {
        const begunAt = await engine.first(2, (claim) => claim.has(crowd));
        await makeDue(lone, 'now');
        const begun = performance.now();
        const seen = engine.claims.length;
        const at = await engine.first(begunAt, (claim) => claim.has(lone));
        // A shard that is being worked through is asked again and again; of another one the poll tells.
        const shard = shardOf(lone);
        const poll = engine.polls.find(({ shards, claims }) => claims >= seen && shards.includes(shard));
        const known = where === 'same shard' ? seen : (poll?.claims ?? seen);
        const tookMs = performance.now() - begun;
        console.log(
          `the lone row in the ${where} is in claim ${at + 1 - known} from then on, after ${tookMs.toFixed(0)} ms`,
        );
        // Two claims that were under way already do not see it; between two of its shard there is one of the other.
        expect(at - known).toBeLessThanOrEqual(3);
      } finally {
        await engine.stop();
      }
    },
  );
});
