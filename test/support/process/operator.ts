import { readFileSync } from 'node:fs';
import { createClient } from '#api/client.ts';
import type { VibnClient } from '#api/client.ts';
import { systemClock, systemRng } from '#controller/clock.ts';
import type { LoginRole } from '#controller/store/roles.ts';
import { createSqlAdminStore } from '#controller/store/sql-admin-store.ts';
import { connect } from '#controller/store/sql.ts';
import type { CallEntry } from '#hack/cloud/call-log.ts';
import { startCloud } from '#hack/cloud/server.ts';
import type { Cloud } from '#hack/cloud/server.ts';
import { freePort } from '#hack/up/settings.ts';
import { rootKey } from '#test/support/root-key.ts';
import { until } from '#test/support/up.ts';
import { startChild } from './child.ts';
import type { Child } from './child.ts';

/** The real roles as processes, `api/main.ts` and `controller/main.ts` as they are, on a given database, and the local cloud. */
export interface Operator extends AsyncDisposable {
  readonly cloud: Cloud;
  readonly key: string;
  api(): Promise<Role>;
  controller(more?: { readonly root?: string }): Promise<Role>;
  clientOf(api: Role): VibnClient;
}

/** A role with its address: of the API, or of the controller's private listener. */
export interface Role extends Child {
  readonly url: string;
  /** Lines of its log, as objects. */
  log(): readonly LogLine[];
}

export interface LogLine {
  readonly level: string;
  readonly time: string;
  readonly msg: string;
  readonly state?: string;
  readonly error?: { readonly name: string; readonly message: string };
}

export interface OperatorInput {
  /** As the owner sees it, from where the key is made. */
  readonly urlOf: (role: LoginRole) => string;
  /** As the roles reach it; default: the same. */
  readonly through?: (url: string) => string;
  /** Flags of Node for the roles. */
  readonly flags?: readonly string[];
}

const hmacSecret = 'a secret that only the tests of processes know';
const rates = { VIBN_RATE_GCS: '5000', VIBN_RATE_GCS_BUCKETS: '5000' };

/** Starts the cloud, without its rates, and makes a platform key. Roles are started by the test. */
export async function createOperator({ urlOf, through = (url) => url, flags = [] }: OperatorInput): Promise<Operator> {
  const cloud = await startCloud({ gcs: { rates: 'off' } });
  const key = await makeKey(urlOf);
  const running: Child[] = [];
  const url = (role: LoginRole): string => through(urlOf(role));
  const start = async (script: string, env: Record<string, string>, more: { root?: string } = {}): Promise<Child> => {
    const child = startChild({ script, env, flags, ...more });
    running.push(child);
    return child;
  };
  return {
    cloud,
    key,
    async api() {
      const child = await start('api/main.ts', {
        DATABASE_URL_API: url('vibn_api'),
        DATABASE_URL_PLATFORM: url('vibn_platform'),
        VIBN_KEY_HMAC_SECRET: hmacSecret,
        VIBN_KEY_ENV: 'test',
        VIBN_API_PORT: '0',
      });
      const line = JSON.parse(await child.said('"address":')) as { address: string };
      return roleOf(child, line.address);
    },
    async controller(more = {}) {
      const port = await freePort();
      const child = await start(
        'controller/main.ts',
        {
          DATABASE_URL_CONTROLLER: url('vibn_controller'),
          VIBN_GCS_ENDPOINT: cloud.index.gcs,
          VIBN_GCP_PROJECT: 'vibn-local',
          VIBN_CONTROLLER_PORT: String(port),
          ...rates,
        },
        more,
      );
      await child.said('"The process is up"');
      return roleOf(child, `http://127.0.0.1:${port}`);
    },
    clientOf: (api) => createClient({ url: api.url, apiKey: key }),
    async [Symbol.asyncDispose]() {
      await Promise.all(running.map((child) => child[Symbol.asyncDispose]()));
      await cloud.close();
    },
  };
}

function roleOf(child: Child, url: string): Role {
  return { ...child, url, log: () => child.lines.filter((line) => line.startsWith('{')).map(parsed) };
}

const parsed = (line: string): LogLine => JSON.parse(line) as LogLine;

async function makeKey(urlOf: OperatorInput['urlOf']): Promise<string> {
  const { row, text } = rootKey(hmacSecret, { ratePerSecond: 100_000 });
  const platform = connect({
    url: urlOf('vibn_platform'),
    role: 'vibn_platform',
    max: 1,
    clock: systemClock,
    rng: systemRng,
  });
  await createSqlAdminStore({ api: platform, platform, controller: platform }).createKey('platform', row);
  await platform.end();
  return text;
}

/** A call of the API by plain HTTP: what a caller sees. Status 0: it could not be asked. */
export interface Answer {
  readonly status: number;
  readonly error?: {
    readonly code: string;
    readonly retryable: boolean;
    readonly retryAfterMs: number | null;
    readonly message: string;
  };
  readonly data?: unknown;
}

export async function ask(api: Role, key: string, { procedure, input }: Question): Promise<Answer> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  try {
    const response = await fetch(`${api.url}/trpc/${procedure}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(input),
    });
    const body = (await response.json()) as {
      error?: { data: NonNullable<Answer['error']> };
      result?: { data: unknown };
    };
    if (body.error !== undefined) return { status: response.status, error: body.error.data };
    return { status: response.status, data: body.result?.data };
  } catch {
    return { status: 0 };
  }
}

export interface Question {
  readonly procedure: string;
  readonly input: unknown;
}

export function bucketManifest(workspace: string, name: string, spec: object = {}) {
  return { apiVersion: 'vibn.dev/v1', kind: 'Bucket', metadata: { workspace, name }, spec } as const;
}

export function workspaceManifest(name: string) {
  return { apiVersion: 'vibn.dev/v1', kind: 'Workspace', metadata: { workspace: name, name }, spec: {} } as const;
}

/** Calls that change something at the cloud, since the n-th. */
export function mutationsSince(cloud: Cloud, after: number): readonly CallEntry[] {
  return cloud.calls
    .since(after, 'gcs')
    .calls.filter(({ op }) => !/\.(get|list|getIamPolicy|testIamPermissions)$/.test(op));
}

/** How often each bucket was made, or deleted, at the cloud: more than once is a duplicate. */
export function timesDone(cloud: Cloud, op: 'buckets.insert' | 'buckets.delete'): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const call of cloud.calls.since(0, 'gcs').calls) {
    // One that was only slow was carried out.
    if (call.op === op && ['ok', 'fault:slow'].includes(call.outcome))
      counts.set(call.name, (counts.get(call.name) ?? 0) + 1);
  }
  return counts;
}

/** Resolves when all buckets of the workspace are Ready for their newest generation; throws what is not. */
export async function bucketsReady(
  client: VibnClient,
  workspace: string,
  patienceMs = 60_000,
): Promise<readonly string[]> {
  let left = '';
  const check = async (): Promise<string[] | null> => {
    const { items } = await client.resources.list({ workspace, kind: 'Bucket', limit: 500 });
    const unready = items.filter(
      ({ metadata, status }) =>
        metadata.deletedAt !== null || status.conditions.find((one) => one.type === 'Ready')?.status !== 'True',
    );
    left = unready.map(({ metadata, status }) => `${metadata.name} ${JSON.stringify(status.conditions)}`).join('\n');
    return unready.length === 0 ? items.map(({ metadata }) => metadata.name) : null;
  };
  return await until(() => check().catch(() => null), patienceMs).catch((error: unknown) => {
    throw new Error(`Not ready: ${left}`, { cause: error });
  });
}

/** Resident memory of a process in MB; null where the system does not say. */
export function residentMb(pid: number): number | null {
  try {
    const kb = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kb === undefined ? null : Math.round(Number(kb) / 1_024);
  } catch {
    return null;
  }
}
