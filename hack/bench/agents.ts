import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { newKey } from '#api/new-key.ts';
import { systemClock, systemRng } from '#controller/clock.ts';
import { createSqlAdminStore } from '#controller/store/sql-admin-store.ts';
import { connect } from '#controller/store/sql.ts';
import { startChild } from './child.ts';
import type { Child } from './child.ts';
import type { BenchDatabase } from './server.ts';

/** An API in a process of its own, and agents that call it over HTTP, each with the key of its workspace. */
export interface Agents {
  readonly api: Child;
  /** The header that names the key of a workspace. */
  authorization(workspace: string): string;
  /** Calls a procedure of a workspace; answers the ms it took. Throws for any answer but 200. */
  call(workspace: string, procedure: string, input: object): Promise<number>;
  stop(): Promise<void>;
}

/** `connections`: HTTP connections, all kept alive. */
export async function startAgents(
  db: BenchDatabase,
  { workspaces, connections }: { readonly workspaces: readonly string[]; readonly connections: number },
): Promise<Agents> {
  const keyHmacSecret = randomBytes(24).toString('hex');
  const keys = await makeKeys(db, workspaces, keyHmacSecret);
  const platformUrl = db.urlOf('vibn_platform');
  const api = await startChild({ role: 'api', url: db.urlOf('vibn_api'), platformUrl, keyHmacSecret });
  const agent = new Agent({ keepAlive: true, maxSockets: connections, scheduling: 'fifo' });
  const authorization = (workspace: string): string => `Bearer ${keys.get(workspace) ?? ''}`;
  return {
    api,
    authorization,
    call: (workspace, procedure, input) =>
      post(agent, { port: api.port, authorization: authorization(workspace), procedure, input }),
    stop: async () => {
      agent.destroy();
      await api.stop();
    },
  };
}

/** A key for each workspace: of a tenant, so that its rows go through row-level security. */
async function makeKeys(
  db: BenchDatabase,
  workspaces: readonly string[],
  hmacSecret: string,
): Promise<ReadonlyMap<string, string>> {
  const role = 'vibn_platform';
  const platform = connect({ url: db.urlOf(role), role, max: 1, clock: systemClock, rng: systemRng });
  const admin = createSqlAdminStore({ api: platform, platform, controller: platform });
  const keys = new Map<string, string>();
  const unlimited = 100_000;
  for (const workspace of workspaces) {
    const made = { name: 'bench', workspace, class: 'agent', scopes: ['*'], createdAt: Date.now() } as const;
    const { row, text } = newKey({ env: 'bench', hmacSecret }, { ...made, ratePerSecond: unlimited });
    await admin.createKey('platform', row);
    keys.set(workspace, text);
  }
  await platform.end();
  return keys;
}

interface Post {
  readonly port: number;
  readonly authorization: string;
  readonly procedure: string;
  readonly input: object;
}

function post(agent: Agent, { port, authorization, procedure, input }: Post): Promise<number> {
  const begun = performance.now();
  const body = JSON.stringify(input);
  const headers = {
    authorization,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  };
  const path = `/trpc/${procedure}`;
  return new Promise((resolve, reject) => {
    const sent = request({ agent, host: '127.0.0.1', port, method: 'POST', path, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        if (response.statusCode === 200) resolve(performance.now() - begun);
        else reject(new Error(`${procedure} answered ${response.statusCode ?? 0}: ${text.slice(0, 500)}`));
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** As fast as so many callers go, each waiting for its answer, for so long: calls a second. */
export async function closedLoop(
  { callers, seconds }: { readonly callers: number; readonly seconds: number },
  call: (n: number) => Promise<number>,
): Promise<number> {
  const begun = performance.now();
  const until = begun + seconds * 1_000;
  let [next, done] = [0, 0];
  const caller = async (): Promise<void> => {
    while (performance.now() < until) {
      await call(next++);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return (done / (performance.now() - begun)) * 1_000;
}

/** At a steady rate, whatever the answers do: the ms of each call from when it was due, so that a stall counts for all it held up. */
export async function openLoop(
  { perSecond, seconds }: { readonly perSecond: number; readonly seconds: number },
  call: (n: number) => Promise<number>,
): Promise<readonly number[]> {
  const begun = performance.now();
  const pending: Promise<number>[] = [];
  const total = Math.floor(perSecond * seconds);
  while (pending.length < total) {
    const dueBy = Math.min(total, ((performance.now() - begun) / 1_000) * perSecond);
    while (pending.length < dueBy) {
      const dueAt = begun + (pending.length / perSecond) * 1_000;
      pending.push(call(pending.length).then(() => performance.now() - dueAt));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return await Promise.all(pending);
}
