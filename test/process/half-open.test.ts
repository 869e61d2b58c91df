import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { machineMs } from '#hack/role-process.ts';
import { ask, bucketManifest, createOperator, workspaceManifest } from '#test/support/process/operator.ts';
import type { Operator, Role } from '#test/support/process/operator.ts';
import { openSwitchboard } from '#test/support/process/switchboard.ts';
import type { Switchboard } from '#test/support/process/switchboard.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';
import { until } from '#test/support/up.ts';

// Connections that fall silent without being closed, as behind a firewall that forgot them: bytes go in and nothing comes out.

const noticedMsMax = 15_000;
const pickedUpMsMax = 20_000;
const workspace = 'acme';

let db: TestDatabase;
let board: Switchboard;
let operator: Operator;
let api: Role;
let controller: Role;
beforeAll(async () => {
  db = await createDatabase();
  board = await openSwitchboard(Number(new URL(db.ownerUrl).port));
  operator = await createOperator({ urlOf: (role) => db.urlOf(role), through: (url) => board.through(url) });
  [api, controller] = [await operator.api(), await operator.controller()];
  await ask(api, operator.key, { procedure: 'resources.apply', input: { manifest: workspaceManifest(workspace) } });
});
afterAll(async () => {
  await operator[Symbol.asyncDispose]();
  await board[Symbol.asyncDispose]();
  await db[Symbol.asyncDispose]();
});

/** Times a role has said that its LISTEN session is in this state. */
const said = (role: Role, state: string): number => role.log().filter((line) => line.state === state).length;

/** Declares a bucket, calling again as a client would, and answers ms until its wait is met. */
async function timeToReady(name: string): Promise<number> {
  const begun = machineMs();
  const call = (procedure: string, input: unknown) =>
    until(async () => {
      const answer = await ask(api, operator.key, { procedure, input });
      expect([200, 503]).toContain(answer.status);
      return answer.status === 200 ? answer.data : null;
    });
  await call('resources.apply', { manifest: bucketManifest(workspace, name) });
  const refs = [{ workspace, kind: 'Bucket', name }];
  await until(async () => {
    const { outcome } = (await call('resources.wait', { refs, timeoutMs: 5_000 })) as { outcome: string };
    return outcome === 'met' ? true : null;
  });
  return machineMs() - begun;
}

describe('connections that fall silent', () => {
  test.for([
    { which: 'those that LISTEN', named: 'vibn_signals' },
    { which: 'all that there are', named: '' },
  ])('$which are noticed and made anew, and a change meanwhile is picked up', async ({ which, named }) => {
    await until(() => (said(api, 'listening') > said(api, 'lost') ? true : null));
    await until(() => (said(controller, 'listening') > said(controller, 'lost') ? true : null));
    const lostBefore = [api, controller].map((role) => said(role, 'lost'));
    const holed = board.blackHole(named);
    expect(holed).toBeGreaterThanOrEqual(2);
    const begun = machineMs();
    const noticed = Promise.all(
      [api, controller].map(async (role, index) => {
        await until(() => (said(role, 'lost') > (lostBefore[index] ?? 0) ? true : null));
        return machineMs() - begun;
      }),
    );
    const pickedUpMs = await timeToReady(`b-${holed}-${named === '' ? 'all' : 'listen'}`);
    const noticedMs = await noticed;
    console.log(
      JSON.stringify({ which, holed, pickedUpMs: Math.round(pickedUpMs), noticedMs: noticedMs.map(Math.round) }),
    );
    expect(pickedUpMs).toBeLessThan(pickedUpMsMax);
    expect(Math.max(...noticedMs)).toBeLessThan(noticedMsMax);
    expect([api.isRunning(), controller.isRunning()]).toEqual([true, true]);
  });
});
