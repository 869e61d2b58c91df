import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  ask,
  bucketManifest,
  bucketsReady,
  createOperator,
  timesDone,
  workspaceManifest,
} from '#test/support/process/operator.ts';
import { leaseChanges, watchLeases } from '#test/support/process/work-log.ts';
import { createDatabase } from '#test/support/postgres.ts';
import { until } from '#test/support/up.ts';

/**
 * A controller of an earlier commit of this repository beside one of this, on the newest schema, under load. By command, since a fresh
 * clone of CI has no history: VIBN_OLDER_COMMIT=d4e3e9d npx vitest run --project process test/process/older-commit.test.ts
 */
const commit = process.env['VIBN_OLDER_COMMIT'] ?? '';
const root = join(import.meta.dirname, '..', '..');
const workspaces = ['acme', 'beta', 'gamma'];
const perWorkspace = 30;

/** The tree of a commit, with this checkout's packages. */
function checkout(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'vibn-older-'));
  const archive = execFileSync('git', ['archive', commit], { cwd: root, maxBuffer: 512 * 1_024 * 1_024 });
  execFileSync('tar', ['x', '-C', path], { input: archive });
  symlinkSync(join(root, 'node_modules'), join(path, 'node_modules'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

describe(`a controller of commit ${commit === '' ? '(VIBN_OLDER_COMMIT)' : commit}`, () => {
  test.skipIf(commit === '')(
    'works beside one of this commit without an error, and both converge the same rows',
    async () => {
      using older = checkout();
      await using db = await createDatabase();
      await watchLeases(db.owner);
      await using operator = await createOperator({ urlOf: (role) => db.urlOf(role) });
      const api = await operator.api();
      const put = (manifest: object): Promise<true> =>
        until(async () => {
          const { status } = await ask(api, operator.key, { procedure: 'resources.apply', input: { manifest } });
          return status === 200 ? true : null;
        });
      for (const workspace of workspaces) await put(workspaceManifest(workspace));
      const controllers = [await operator.controller({ root: older.path }), await operator.controller()];
      operator.cloud.faults.add({ provider: 'gcs', fault: 'slow', delayMs: 30 });
      const names = Array.from({ length: perWorkspace }, (_, n) => `b${n}`);
      for (const storageClass of ['STANDARD', 'NEARLINE']) {
        for (const name of names) {
          await Promise.all(workspaces.map((workspace) => put(bucketManifest(workspace, name, { storageClass }))));
        }
      }
      const client = operator.clientOf(api);
      for (const workspace of workspaces)
        await client.resources.delete({ workspace, kind: 'Bucket', name: 'b0', confirm: 'b0' });
      for (const workspace of workspaces) {
        expect((await bucketsReady(client, workspace)).length).toBe(perWorkspace - 1);
      }
      for (const controller of controllers) controller.signal('SIGTERM');
      expect(await Promise.all(controllers.map((controller) => controller.exited))).toEqual([0, 0]);
      const errors = controllers.flatMap((controller) => controller.log().filter((line) => line.level === 'error'));
      const claims = (await leaseChanges(db.owner)).filter((change) => change.newEpoch > change.oldEpoch);
      const passes = controllers.map(
        ({ pid }) => claims.filter((one) => one.newHolder?.split('/')[1] === String(pid)).length,
      );
      console.log(JSON.stringify({ commit, passes, errors: errors.length }));
      expect(errors).toEqual([]);
      expect(Math.min(...passes), 'passes of each').toBeGreaterThan(10);
      for (const op of ['buckets.insert', 'buckets.delete'] as const) {
        expect([...timesDone(operator.cloud, op)].filter(([, times]) => times > 1)).toEqual([]);
      }
    },
  );
});
