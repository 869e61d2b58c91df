import { GoogleAuth, OAuth2Client } from 'google-auth-library';
import { z } from 'zod';
import type { Env } from '#controller/process/env.ts';
import { createOptions } from '#controller/options.ts';
import { sdkSigner } from '#reconcilers/bucket/reader.ts';
import { gcsError, refusalOf } from '#reconcilers/providers/gcs/errors.ts';
import { sdkTransport } from '#reconcilers/providers/gcs/sdk-transport.ts';
import { gcsSettings, signingSettings } from '#reconcilers/providers/gcs/settings.ts';
import type { GcsSettings } from '#reconcilers/providers/gcs/settings.ts';
import { noAnswer } from '#reconcilers/providers/http-errors.ts';
import { gcsPath } from '#reconcilers/providers/gcs/transport.ts';
import type { GcsReply, GcsTransport } from '#reconcilers/providers/gcs/transport.ts';
import { bucketLocation } from '#resources/bucket.ts';
import { fail, ok, textOf, warn } from './check.ts';
import type { Check, Finding } from './check.ts';
import type { Subject } from './environment.ts';
import { signingFindings } from './signing-checks.ts';

/** What the controller does with buckets and objects, in IAM's words. */
export const bucketPermissions = [
  'storage.buckets.get',
  'storage.buckets.update',
  'storage.buckets.delete',
  'storage.buckets.getIamPolicy',
  'storage.buckets.setIamPolicy',
  'storage.objects.list',
  'storage.objects.get',
  'storage.objects.delete',
] as const;
/** What the reader does with them. */
const lookPermissions = ['storage.buckets.get', 'storage.objects.list', 'storage.objects.get'] as const;
/** What the controller does with the project. */
const projectPermissions = [
  ...bucketPermissions,
  'storage.buckets.list',
  'storage.buckets.create',
  'storage.buckets.enableObjectRetention',
] as const;
const bucketRemedy =
  'Grant the controller’s account roles/storage.admin on the project (Terraform or gcloud projects add-iam-policy-binding).';

/** Cloud Storage, with the credential of the environment. */
export function gcsChecks({ env, roles }: Subject): readonly Check[] {
  if (roles.join() === 'api') return [];
  const settings = readSettings(env);
  const writes = roles.includes('controller');
  if (settings === null) {
    return [{ what: 'gcs', run: () => [fail('gcs', 'no settings to ask with', 'Mend the settings above.')] }];
  }
  return [
    { what: 'gcs', run: (signal) => lookAtStorage({ env, settings, writes }, signal) },
    { what: 'gcs: project rights', run: (signal) => (writes ? lookAtProject(settings, signal) : []) },
    ...(roles.includes('reader') ? [{ what: 'gcs: signing key', run: () => signingFindings(env) }] : []),
  ];
}

/** Null: they are wrong, as the settings' own check says. */
function readSettings(env: Env): GcsSettings | null {
  try {
    return gcsSettings(env);
  } catch {
    return null;
  }
}

async function lookAtStorage(
  { env, settings, writes }: { readonly env: Env; readonly settings: GcsSettings; readonly writes: boolean },
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const transport = sdkTransport(settings);
  const startedAt = performance.now();
  const listed = await listOwn({ transport, settings, signal });
  const took = `${Math.round(performance.now() - startedAt)} ms`;
  if (listed.buckets === null) return listed.findings;
  const at = { transport, settings, bucket: listed.buckets[0]?.name ?? null, signal };
  return [
    ok('gcs: endpoint', `${settings.endpoint} answers in ${took}`),
    ...listed.findings,
    locationFinding(listed.buckets),
    ...(await abilityFindings({ ...at, writes }).catch((error: unknown) => [
      fail('gcs: bucket rights', noAnswer(error).message, 'Run the doctor again; the list was answered.'),
    ])),
    ...(await signedFindings(env, at).catch((error: unknown) => [
      fail('gcs: signed URL', textOf(error), 'See the lines about the signing key.'),
    ])),
  ];
}

export interface OwnBucket {
  readonly name: string;
  readonly location: string;
}

const listReply = z.looseObject({
  kind: z.literal('storage#buckets'),
  items: z.array(z.looseObject({ name: z.string(), location: z.string() })).default([]),
});

interface Listing {
  /** Null: they cannot be listed. */
  readonly buckets: readonly OwnBucket[] | null;
  readonly findings: readonly Finding[];
}

/** The operator's own buckets, at most 1,000, as one call shows them. */
export async function listOwn(at: {
  readonly transport: GcsTransport;
  readonly settings: GcsSettings;
  readonly signal: AbortSignal;
}): Promise<Listing> {
  const { project, endpoint, auth } = at.settings;
  const query = { project, prefix: 'vibn-ws-', maxResults: '1000', fields: 'kind,items(name,location)' };
  const reply = await at
    .transport({ method: 'GET', path: '/b', query }, at.signal)
    .catch((error: unknown) => noAnswer(error).message);
  if (typeof reply === 'string') {
    const remedy = 'Check VIBN_GCS_ENDPOINT, the credential (GOOGLE_APPLICATION_CREDENTIALS), proxies and firewall.';
    return { buckets: null, findings: [fail('gcs: endpoint', `${endpoint}: ${reply}`, remedy)] };
  }
  const parsed = listReply.safeParse(reply.body);
  if (refusalOf(reply) !== null || !parsed.success)
    return { buckets: null, findings: [listRefusal(reply, at.settings)] };
  const as = auth.mode === 'none' ? 'without a credential, as the local owner' : `with the ${auth.mode} credential`;
  const buckets = parsed.data.items.map(({ name, location }) => ({ name, location: location.toLowerCase() }));
  return { buckets, findings: [ok('gcs: project', `${project}: ${buckets.length} buckets of ours listed, ${as}`)] };
}

/** Why the project's buckets cannot be listed. Pure. */
export function listRefusal(
  reply: GcsReply,
  { project, endpoint, auth }: Pick<GcsSettings, 'project' | 'endpoint' | 'auth'>,
): Finding {
  const refusal = refusalOf(reply);
  if (refusal === null || !refusal.shaped) {
    return fail(
      'gcs: endpoint',
      `${endpoint} answers ${reply.status}, and not as Cloud Storage does`,
      'Check VIBN_GCS_ENDPOINT; a proxy may answer in its place.',
    );
  }
  const fact = textOf(gcsError(reply, 'buckets.list'));
  const credential =
    auth.mode === 'bearer'
      ? 'VIBN_GCP_ACCESS_TOKEN (tokens live an hour)'
      : 'the credential (GOOGLE_APPLICATION_CREDENTIALS, or the attached account)';
  if (refusal.status === 401) return fail('gcs: credential', fact, `Renew ${credential}.`);
  if (refusal.status === 403) return fail('gcs: project', `${project}: ${fact}`, bucketRemedy);
  if (refusal.status === 400 || refusal.status === 404)
    return fail('gcs: project', `${project}: ${fact}`, 'Set VIBN_GCP_PROJECT to the id of an existing project.');
  return fail('gcs: endpoint', fact, 'Run the doctor again later; see https://status.cloud.google.com.');
}

/** Whether we may create where we do, and whether what is there is where it should be (law 9). Pure. */
export function locationFinding(
  buckets: readonly OwnBucket[],
  allowed: readonly string[] = createOptions({}).gateway.locations,
): Finding {
  const lower = new Set(allowed.map((one) => one.toLowerCase()));
  if (!lower.has(bucketLocation)) {
    return fail(
      'gcs: location',
      `buckets are made in ${bucketLocation}, which is not on the allow-list`,
      `Add it to gateway.locations.`,
    );
  }
  const abroad = buckets
    .filter(({ location }) => !lower.has(location))
    .map(({ name, location }) => `${name} (${location})`);
  if (abroad.length === 0)
    return ok('gcs: location', `new buckets in ${bucketLocation}; ${buckets.length} looked at, all on the allow-list`);
  return fail(
    'gcs: location',
    `off the allow-list: ${abroad.slice(0, 5).join(', ')}`,
    'Move their objects to a bucket in Canada, and delete them.',
  );
}

const what = 'gcs: bucket rights';
/** No bucket reaches it: metagenerations count changes from 1. */
const impossibleMetageneration = '9000000000000000000';
const permissionsReply = z.looseObject({ permissions: z.array(z.string()).default([]) });

interface AtBucket {
  readonly transport: GcsTransport;
  /** Null: there is none of ours yet. */
  readonly bucket: string | null;
  readonly signal: AbortSignal;
}

/**
 * Asks what we may do with one bucket, and, where the credential must be able to write, tries a change under a condition that cannot
 * hold: it is refused, but how?
 */
export async function abilityFindings({
  transport,
  bucket,
  signal,
  writes,
}: AtBucket & { readonly writes: boolean }): Promise<readonly Finding[]> {
  if (bucket === null) return [ok(what, 'not tried: there is no bucket of ours yet')];
  const wanted = writes ? bucketPermissions : lookPermissions;
  const query = wanted.map((one) => `permissions=${one}`).join('&');
  const path = `${gcsPath`/b/${bucket}`}/iam/testPermissions?${query}`;
  const asked = permissionFinding(what, await transport({ method: 'GET', path, query: {} }, signal), wanted);
  if (!writes) return [asked];
  const dry = await transport(
    {
      method: 'PATCH',
      path: gcsPath`/b/${bucket}`,
      query: { ifMetagenerationMatch: impossibleMetageneration },
      body: {},
    },
    signal,
  );
  return [asked, dryWriteFinding(bucket, dry)];
}

/** Which of the wanted permissions an answer of testPermissions leaves out. Pure. */
export function permissionFinding(about: string, reply: GcsReply, wanted: readonly string[]): Finding {
  const parsed = permissionsReply.safeParse(reply.body);
  if (refusalOf(reply) !== null || !parsed.success) {
    const remedy =
      'Allow the question (Google: enable cloudresourcemanager.googleapis.com), or look at the account’s roles by hand.';
    return warn(about, `cannot be asked: ${textOf(gcsError(reply, 'testPermissions'))}`, remedy);
  }
  const missing = wanted.filter((one) => !parsed.data.permissions.includes(one));
  if (missing.length === 0) return ok(about, `all ${wanted.length} permissions in use`);
  return fail(about, `missing: ${missing.join(', ')}`, bucketRemedy);
}

/** A change whose precondition cannot hold must be refused for that, and for nothing else. Pure. */
export function dryWriteFinding(bucket: string, reply: GcsReply): Finding {
  const about = 'gcs: dry write';
  const refusal = refusalOf(reply);
  if (refusal === null) {
    return fail(
      about,
      `${bucket} took a change whose precondition cannot hold`,
      'This endpoint ignores preconditions: two writers would undo each other. Use another.',
    );
  }
  if (refusal.shaped && refusal.status === 412) return ok(about, `${bucket}: allowed, and preconditions hold`);
  const denied = refusal.shaped && (refusal.status === 401 || refusal.status === 403);
  const remedy = denied ? bucketRemedy : 'Run the doctor again: this says nothing about rights.';
  return fail(about, textOf(gcsError(reply, 'buckets.patch')), remedy);
}

const managerUrl = 'https://cloudresourcemanager.googleapis.com';

/** What we may do in the project, buckets that are not there yet included: only Google itself can be asked. */
async function lookAtProject(settings: GcsSettings, signal: AbortSignal): Promise<readonly Finding[]> {
  const about = 'gcs: project rights';
  if (settings.auth.mode === 'none')
    return [ok(about, 'no credential is sent: a local cloud’s owner may do everything')];
  if (settings.endpoint !== 'https://storage.googleapis.com') {
    return [warn(about, `cannot be asked at ${settings.endpoint}`, 'Look at the account’s roles by hand.')];
  }
  return [await askProject(settings, { signal, url: managerUrl })];
}

/** `projects.testIamPermissions`, with the credential that Cloud Storage is called with. */
export async function askProject(
  { project, auth }: GcsSettings,
  at: { readonly signal: AbortSignal; readonly url: string },
): Promise<Finding> {
  const about = 'gcs: project rights';
  try {
    const response = await authOf(auth).request({
      url: `${at.url}/v3/projects/${encodeURIComponent(project)}:testIamPermissions`,
      method: 'POST',
      data: { permissions: projectPermissions },
      signal: at.signal,
      validateStatus: () => true,
    });
    const reply: GcsReply = { status: response.status, headers: {}, body: response.data };
    return permissionFinding(about, reply, projectPermissions);
  } catch (error) {
    return warn(about, `cannot be asked: ${textOf(error)}`, 'Look at the account’s roles by hand.');
  }
}

function authOf(auth: GcsSettings['auth']): Pick<OAuth2Client, 'request'> {
  if (auth.mode !== 'bearer') return new GoogleAuth({ scopes: ['https://www.googleapis.com/auth/cloud-platform'] });
  const client = new OAuth2Client();
  client.setCredentials({ access_token: auth.token });
  return client;
}

const signedMs = 60_000;

/** Asks with a signed URL for an object that is not there: the answer tells whether Google knows the key. */
async function signedFindings(
  env: Env,
  { settings, bucket, signal }: AtBucket & { readonly settings: GcsSettings },
): Promise<readonly Finding[]> {
  const signing = signingSettings(env);
  if (signing === null || bucket === null) return [];
  const now = Date.now();
  const key = 'vibn-doctor/no-such-object';
  const signer = sdkSigner(settings, signing);
  const url = await signer.sign({ bucket, key, action: 'read', now, expires: now + signedMs });
  const response = await fetch(url, { signal }).catch((error: unknown) => textOf(error));
  if (typeof response === 'string') {
    return [
      warn('gcs: signed URL', `could not be tried: ${response}`, 'Open a URL of storage.presign_download by hand.'),
    ];
  }
  return [signedFinding(response.status, await response.text())];
}

/** Pure. `body`: the XML of the answer. */
export function signedFinding(status: number, body: string): Finding {
  const about = 'gcs: signed URL';
  const code = /<Code>(\w{1,64})<\/Code>/.exec(body)?.[1] ?? '';
  if (status === 404 && code === 'NoSuchKey') return ok(about, 'the key is known, and its account may read');
  if (code === 'AccessDenied') {
    return fail(
      about,
      'the key is known, but its account may not read objects',
      'Grant VIBN_SIGNING_EMAIL roles/storage.objectAdmin on the project.',
    );
  }
  return fail(
    about,
    `answered ${status} ${code}`,
    'Check that the key in VIBN_SIGNING_KEY_FILE is one of VIBN_SIGNING_EMAIL and not revoked, and this machine’s clock.',
  );
}
