import { readConfig } from '#api/config.ts';
import { readControllerConfig, readReaderConfig } from '#controller/process/config.ts';
import { ConfigError } from '#controller/process/env.ts';
import type { ConfigProblem, Env } from '#controller/process/env.ts';
import { createRegistry } from '#reconcilers/registry.ts';
import { fail, ok, warn } from './check.ts';
import type { Check, Finding } from './check.ts';
import type { RoleName, Subject } from './environment.ts';

/** What can be said without asking anybody: Node, each role's settings, secrets, proxies. */
export function settingsChecks({ env, roles, local }: Subject): readonly Check[] {
  return [
    { what: 'node', run: () => [nodeFinding(process.versions.node)] },
    ...roles.map((role) => ({ what: `settings: ${role}`, run: () => settingsFindings(role, env) })),
    { what: 'settings: listeners', run: () => listenerFindings(env, roles) },
    { what: 'settings: api alone', run: () => (roles.join() === 'api' && !local ? strayFindings(env) : []) },
    { what: 'secrets', run: () => secretFindings(env, roles) },
    { what: 'proxy', run: () => [proxyFinding(env)] },
  ];
}

/** The image has Node 26; 24 is the oldest that knows all the syntax in use. */
export function nodeFinding(version: string): Finding {
  const major = Number(version.split('.')[0]);
  if (major >= 26) return ok('node', version);
  const remedy = 'Use Node 26, as the Dockerfile does.';
  return major >= 24 ? warn('node', `${version} is not what is tested`, remedy) : fail('node', version, remedy);
}

const readerOf = {
  controller: readControllerConfig,
  reader: readReaderConfig,
} as const;

/** Every problem that the role itself would find when it starts. */
export function settingsFindings(role: RoleName, env: Env): readonly Finding[] {
  const what = `settings: ${role}`;
  if (role === 'api') {
    const config = readConfig(env);
    return 'problems' in config ? config.problems.map((one) => sentenceFinding(what, one)) : [ok(what, 'complete')];
  }
  try {
    readerOf[role](env, (all) => createRegistry({ env: all }));
    return [ok(what, 'complete')];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((problem) => problemFinding(what, problem));
  }
}

/** "X is not set: use …" is a fact and its remedy. */
function sentenceFinding(what: string, sentence: string): Finding {
  const [, fact, remedy] = /^(.+?): (.+)$/s.exec(sentence) ?? [];
  return fail(what, fact ?? sentence, remedy ?? 'See README.md, Production.');
}

function problemFinding(what: string, { variable, value, allowed, remedy }: ConfigProblem): Finding {
  if (allowed === null) return fail(what, remedy, `Mend ${variable}; see README.md, Production.`);
  const is = value === null ? variable : `${variable} is "${value.slice(0, 100)}"`;
  return fail(what, `${is}: must be ${allowed}`, remedy);
}

const isLoopback = (host: string): boolean => /^(localhost|127(\.\d+){3}|\[?::1\]?)$/.test(host);

/** Who is asked from elsewhere must not listen on loopback only. */
export function listenerFindings(env: Env, roles: readonly RoleName[]): readonly Finding[] {
  const listeners = [
    { role: 'api', url: 'VIBN_URL', host: 'VIBN_API_HOST' },
    { role: 'reader', url: 'VIBN_READER_URL', host: 'VIBN_PRIVATE_HOST' },
  ] as const;
  return listeners.flatMap(({ role, url, host }): Finding[] => {
    const asked = URL.parse(env[url] ?? '')?.hostname;
    const bound = env[host] ?? '127.0.0.1';
    if (!roles.includes(role) || asked === undefined || isLoopback(asked) || !isLoopback(bound)) return [];
    const remedy = `Unless something beside it forwards: ${host}=0.0.0.0 (the reader: a private network only).`;
    return [warn('settings: listeners', `${role} is asked at ${asked} but listens on ${bound} only`, remedy)];
  });
}

/** What the API's process must not hold (law 1). The owner's URL may be there for the doctor's own sake. */
export function strayFindings(env: Env): readonly Finding[] {
  const what = 'settings: api alone';
  const isSet = (name: string): boolean => (env[name] ?? '') !== '';
  const names = [
    'DATABASE_URL_CONTROLLER',
    'GOOGLE_APPLICATION_CREDENTIALS',
    'VIBN_GCP_ACCESS_TOKEN',
    'VIBN_SECRETS_KEY',
    'VIBN_SIGNING_KEY_FILE',
  ].filter(isSet);
  if (names.length > 0) {
    return [fail(what, `${names.join(', ')} is set`, 'Take it from the API: its process must only be able to wish.')];
  }
  if (!isSet('DATABASE_URL')) return [ok(what, 'holds no credential of another role')];
  const remedy = 'For the doctor that is fine; give the API DATABASE_URL_API and DATABASE_URL_PLATFORM instead.';
  return [warn(what, 'DATABASE_URL, the owner’s login, is set', remedy)];
}

const secretVariables: Readonly<Record<string, readonly RoleName[]>> = {
  VIBN_KEY_HMAC_SECRET: ['api'],
  VIBN_INTERNAL_TOKEN: ['api', 'reader'],
  VIBN_SECRETS_KEY: ['controller', 'reader'],
};
const secretCharsMin = 32;
/** Of 32 random digits of hex, fewer than 10 are different once in 370,000 times; of "changeme" repeated, always. */
const differentCharsMin = 10;

/** Length, form and strength of what must not be guessed. The values are never shown. */
export function secretFindings(env: Env, roles: readonly RoleName[]): readonly Finding[] {
  const wanted = Object.entries(secretVariables).filter(([, holders]) => holders.some((one) => roles.includes(one)));
  const findings = wanted.map(([name]) => secretFinding(name, env[name] ?? ''));
  const values = wanted.map(([name]) => env[name] ?? '').filter((value) => value !== '');
  if (new Set(values).size === values.length) return findings;
  return [...findings, fail('secrets', 'two of them are the same', 'Make each by itself: openssl rand -hex 32.')];
}

function secretFinding(name: string, value: string): Finding {
  const what = `secrets: ${name}`;
  const isKey = name === 'VIBN_SECRETS_KEY';
  const remedy = `${name}=$(openssl rand ${isKey ? '-base64' : '-hex'} 32), the same in every replica, kept for ever.`;
  if (value === '') {
    // No kind of today seals a value; the first that does will need it.
    return isKey ? warn(what, 'is not set: no secret can be sealed', remedy) : fail(what, 'is not set', remedy);
  }
  if (isKey && !/^[A-Za-z0-9+/]{43}=$/.test(value)) return fail(what, 'is not 32 bytes in base64', remedy);
  if (value.length < secretCharsMin)
    return fail(what, `has ${value.length} characters of at least ${secretCharsMin}`, remedy);
  const different = new Set(value).size;
  if (different < differentCharsMin) return fail(what, `has only ${different} different characters`, remedy);
  return ok(what, isKey ? '32 bytes' : `${value.length} characters`);
}

const proxyVariables = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy'] as const;
const endpointVariables = ['VIBN_GCS_ENDPOINT', 'VIBN_READER_URL', 'VIBN_URL'] as const;

/** Google's SDK sends even loopback calls through a proxy of the environment, unless NO_PROXY names the host: no "*", no ranges. */
export function proxyFinding(env: Env): Finding {
  const proxy = proxyVariables.find((name) => (env[name] ?? '') !== '');
  if (proxy === undefined) return ok('proxy', 'none in the environment');
  const rules = (env['NO_PROXY'] ?? env['no_proxy'] ?? '').split(',').map((rule) => rule.trim());
  const bare = endpointVariables.filter((name) => {
    const url = URL.parse(env[name] ?? '');
    return url !== null && isLoopback(url.hostname) && !rules.some((rule) => isSpared(url, rule));
  });
  if (bare.length === 0) return ok('proxy', `${proxy} is set; no loopback endpoint goes through it`);
  const hosts = [...new Set(bare.map((name) => URL.parse(env[name] ?? '')?.hostname))].join(',');
  return warn(
    'proxy',
    `${proxy} is set and ${bare.join(', ')} is on loopback`,
    `NO_PROXY=${hosts} (names only: "*" and ranges are not understood by every library).`,
  );
}

function isSpared(url: URL, rule: string): boolean {
  if (rule.startsWith('.') || rule.startsWith('*.')) return url.hostname.endsWith(rule.replace(/^\*/, ''));
  return rule === url.hostname || rule === url.origin;
}
