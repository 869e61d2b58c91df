import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Resource } from '#resources/resource.ts';

interface Demo {
  readonly url: string;
  readonly key: string;
  /** The storage endpoint of the local cloud. */
  readonly gcs: string;
  readonly dataDir: string;
  readonly print: (line: string) => void;
  readonly stopped: AbortSignal;
}

/** How long the example may take before we stop telling of it (it goes on converging). */
const patienceMs = 120_000;

/**
 * On the first start: declares hack/examples/saas.yaml as an agent would, prints each condition when it changes, and ends with
 * three lines to copy. A failure here is told and stops nothing.
 */
export async function runDemo(demo: Demo): Promise<void> {
  const mark = join(demo.dataDir, 'demo.declared');
  if (existsSync(mark))
    return demo.print('The example was declared on the first start. `npm run vibn -- get` lists what there is.');
  const manifests = parseAllDocuments(
    readFileSync(join(import.meta.dirname, '..', 'examples', 'saas.yaml'), 'utf8'),
  ).map((document) => document.toJS() as Resource);
  const workspace = manifests[0]?.metadata.workspace ?? '';
  demo.print(
    `Declaring hack/examples/saas.yaml: ${manifests.map((one) => `${one.kind} ${one.metadata.name}`).join(', ')}`,
  );
  for (const manifest of manifests) {
    await call(demo, 'resources.apply', { manifest, requestId: `demo-${manifest.kind}-${manifest.metadata.name}` });
  }
  writeFileSync(mark, '');
  if (await converged(demo, workspace)) printNextSteps(demo);
}

async function converged(demo: Demo, workspace: string): Promise<boolean> {
  const seen = new Map<string, string>();
  const deadline = performance.now() + patienceMs;
  while (performance.now() < deadline && !demo.stopped.aborted) {
    const page = (await call(demo, 'resources.list', { workspace })) as { items: Resource[] };
    for (const item of page.items) report(demo, item, seen);
    if (page.items.every(isReady)) return true;
    await new Promise((done) => setTimeout(done, 100));
  }
  return false;
}

function isReady(item: Resource): boolean {
  return item.status.conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True');
}

function report(demo: Demo, item: Resource, seen: Map<string, string>): void {
  for (const condition of item.status.conditions) {
    const where = `${item.kind}/${item.metadata.name} ${condition.type}`;
    const text = `${condition.status} ${condition.reason}`;
    if (seen.get(where) === text) continue;
    seen.set(where, text);
    demo.print(`  ${where.padEnd(40)} ${condition.status.padEnd(8)} ${condition.reason}`);
  }
}

/** Three lines that work as they stand: list, break the bucket behind the operator's back, watch it heal. */
function printNextSteps(demo: Demo): void {
  const bucket = 'vibn-ws-acme-uploads';
  const broken = JSON.stringify({ storageClass: 'NEARLINE' });
  // The CLI finds the API and the admin key by the same variables as we do.
  const set = ['VIBN_API_PORT', 'VIBN_DATA_DIR']
    .flatMap((name) => (process.env[name] === undefined ? [] : [`${name}=${process.env[name]} `]))
    .join('');
  demo.print(`
All converged. Three lines to copy, in another terminal:
  ${set}npm run vibn -- get -w acme
  curl -sX PATCH ${demo.gcs}/storage/v1/b/${bucket} -H 'content-type: application/json' -d '${broken}'
  ${set}npm run vibn -- replay -w acme
`);
}

/** Calls a mutation or query of the API; throws with the API's own message. */
async function call(demo: Pick<Demo, 'url' | 'key'>, procedure: string, input: unknown): Promise<unknown> {
  const response = await fetch(`${demo.url}/trpc/${procedure}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${demo.key}`, 'content-type': 'application/json' },
    body: JSON.stringify(input),
  });
  const body = (await response.json()) as { result?: { data: unknown }; error?: { message: string } };
  if (body.result === undefined) throw new Error(`${procedure}: ${body.error?.message ?? response.status}`);
  return body.result.data;
}
