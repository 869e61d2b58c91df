import { createPrivateKey } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Env } from '#controller/process/env.ts';
import { fail, ok, textOf, warn } from './check.ts';
import type { Finding } from './check.ts';

/** What can be seen of the signing key's file, without the key. */
export interface KeyFacts {
  /** Permission bits, e.g. 0o600. */
  readonly mode: number;
  /** "rsa", "ec"; null: it does not parse. */
  readonly type: string | null;
  /** Null where the type has none. */
  readonly bits: number | null;
}

const what = 'gcs: signing key';
/** A user-managed, a Compute default or an App Engine default service account (IAM, Service accounts). */
const emailPattern =
  /^([a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z][a-z0-9-]{4,28}[a-z0-9](\.[a-z0-9.-]+)?\.iam|\d{6,20}-compute@developer|[a-z][a-z0-9-]{4,28}[a-z0-9]@appspot)\.gserviceaccount\.com$/;

/** The reader's key for signed URLs: its file, its form, and the account's address. */
export function signingFindings(env: Env): readonly Finding[] {
  const [email, file] = [env['VIBN_SIGNING_EMAIL'] ?? '', env['VIBN_SIGNING_KEY_FILE'] ?? ''];
  if (email === '' && file === '') {
    const remedy = 'Set VIBN_SIGNING_EMAIL and VIBN_SIGNING_KEY_FILE for the reader.';
    return [warn(what, 'not set: presigned URLs are UNAVAILABLE', remedy)];
  }
  return [emailFinding(email), ...keyFindings(file)];
}

/** Pure. */
export function emailFinding(email: string): Finding {
  const about = 'gcs: signing account';
  if (emailPattern.test(email)) return ok(about, email);
  return fail(
    about,
    `VIBN_SIGNING_EMAIL is "${email}"`,
    'Use a service account: <name>@<project>.iam.gserviceaccount.com.',
  );
}

function keyFindings(file: string): readonly Finding[] {
  if (file === '') return [fail(what, 'VIBN_SIGNING_KEY_FILE is not set', 'Set it beside VIBN_SIGNING_EMAIL.')];
  try {
    return keyFactFindings(file, { mode: statSync(file).mode & 0o777, ...formOf(readFileSync(file, 'utf8')) });
  } catch (error) {
    return [fail(what, textOf(error), 'Mount the file where the reader’s account may read it.')];
  }
}

function formOf(pem: string): Pick<KeyFacts, 'type' | 'bits'> {
  try {
    const key = createPrivateKey(pem);
    return { type: key.asymmetricKeyType ?? null, bits: key.asymmetricKeyDetails?.modulusLength ?? null };
  } catch {
    return { type: null, bits: null };
  }
}

const bitsMin = 2_048;

/** Pure. */
export function keyFactFindings(file: string, { mode, type, bits }: KeyFacts): readonly Finding[] {
  const remedy = `chmod 600 ${file} (a mounted secret: defaultMode 0400, or 0440 with fsGroup)`;
  const shown = mode.toString(8).padStart(4, '0');
  const findings: Finding[] = [];
  if ((mode & 0o007) !== 0) findings.push(fail(what, `${file} has mode ${shown}: anybody here may read it`, remedy));
  else if ((mode & 0o070) !== 0) findings.push(warn(what, `${file} has mode ${shown}: its group may use it`, remedy));
  if (type === null) {
    findings.push(
      fail(what, `${file} holds no private key that parses`, 'Use the unencrypted PEM (PKCS #8) of the account’s key.'),
    );
  } else if (type !== 'rsa' || (bits ?? 0) < bitsMin) {
    const fact = `${file} is ${type}${bits === null ? '' : ` of ${bits} bits`}`;
    findings.push(
      fail(what, fact, `Google signs with RSA of ${bitsMin} bits or more: make such a key for the account.`),
    );
  }
  return findings.length > 0 ? findings : [ok(what, `${file}, mode ${shown}, ${type} of ${bits} bits`)];
}
