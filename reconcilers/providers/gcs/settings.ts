import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** Where Cloud Storage is and who we are there. */
export interface GcsSettings {
  /** Without a trailing slash or API path: "https://storage.googleapis.com". */
  readonly endpoint: string;
  readonly project: string;
  /**
   * `none`: no Authorization is sent (plain HTTP: a local cloud). `bearer`: this token. `default`: Application Default Credentials.
   */
  readonly auth:
    | { readonly mode: 'none' }
    | { readonly mode: 'bearer'; readonly token: string }
    | { readonly mode: 'default' };
}

/** The account that signs URLs; the reader's own. */
export interface SigningSettings {
  readonly email: string;
  /** PEM, PKCS #8. */
  readonly privateKey: string;
}

export type Env = Readonly<Record<string, string | undefined>>;

const googleEndpoint = 'https://storage.googleapis.com';
/** A project id of Google Cloud. */
const projectPattern = /^[a-z][-a-z0-9:.]{4,61}[a-z0-9]$/;

/**
 * Reads VIBN_GCS_ENDPOINT (unset: Google), VIBN_GCP_PROJECT (needed at Google; "vibn-local" elsewhere), VIBN_GCP_ACCESS_TOKEN (unset:
 * Application Default Credentials). Throws an Error that names the variable and what it allows.
 */
export function gcsSettings(env: Env): GcsSettings {
  const endpoint = endpointOf(env['VIBN_GCS_ENDPOINT']);
  const project = env['VIBN_GCP_PROJECT'] ?? (endpoint === googleEndpoint ? '' : 'vibn-local');
  if (!projectPattern.test(project)) {
    throw new Error(`VIBN_GCP_PROJECT is "${project}"; it must be a project id, e.g. "my-project-123".`);
  }
  return { endpoint, project, auth: authOf(endpoint, env['VIBN_GCP_ACCESS_TOKEN']) };
}

function endpointOf(value: string | undefined): string {
  if (value === undefined || value === '') return googleEndpoint;
  const url = URL.parse(value);
  if (url === null || !/^https?:$/.test(url.protocol) || url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw new Error(`VIBN_GCS_ENDPOINT is "${value}"; it must be http(s)://host[:port] without a path.`);
  }
  return url.origin;
}

/** A token never crosses a plain connection. */
function authOf(endpoint: string, token: string | undefined): GcsSettings['auth'] {
  if (endpoint.startsWith('http://')) return { mode: 'none' };
  return token === undefined || token === '' ? { mode: 'default' } : { mode: 'bearer', token };
}

/**
 * Reads VIBN_SIGNING_EMAIL and VIBN_SIGNING_KEY_FILE (a PEM file); null if neither is set. Throws an Error that names what is missing or
 * cannot be read.
 */
export function signingSettings(env: Env): SigningSettings | null {
  const email = env['VIBN_SIGNING_EMAIL'];
  const file = env['VIBN_SIGNING_KEY_FILE'];
  if (email === undefined && file === undefined) return null;
  if (email === undefined || file === undefined) {
    throw new Error('VIBN_SIGNING_EMAIL and VIBN_SIGNING_KEY_FILE belong together: set both or neither.');
  }
  const privateKey = readFileSync(file, 'utf8');
  if (!privateKey.includes('PRIVATE KEY')) throw new Error(`VIBN_SIGNING_KEY_FILE: ${file} is not a PEM private key.`);
  return { email, privateKey };
}

/**
 * Tells credentials apart without telling them: a controller that starts with another one wakes what had stalled on the old one. With
 * default credentials it follows the key file's content, where there is one.
 */
export function credentialDigest(settings: GcsSettings, env: Env): string {
  return createHmac('sha256', 'vibn credential digest').update(credentialText(settings, env)).digest('hex');
}

function credentialText({ auth, endpoint }: GcsSettings, env: Env): string {
  if (auth.mode === 'bearer') return auth.token;
  if (auth.mode === 'none') return `none ${endpoint}`;
  const file = env['GOOGLE_APPLICATION_CREDENTIALS'];
  return file === undefined ? 'attached' : readFileSync(file, 'utf8');
}
