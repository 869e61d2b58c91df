import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LoginRole } from '#controller/store/roles.ts';

/** What `npm start` makes up once and keeps in `secrets.json` (mode 0600), so that restarts and other replicas agree. */
export interface UpSecrets {
  readonly postgresPassword: string;
  /** One for each login: the API's process can not log in as the controller. */
  readonly rolePasswords: Readonly<Record<LoginRole, string>>;
  readonly internalToken: string;
  readonly keyHmacSecret: string;
  /** 32 bytes, base64. */
  readonly secretsKey: string;
}

/** Reads the secrets, or makes them. Written beside and renamed, so that a killed start leaves no half file. */
export function loadSecrets(dataDir: string): UpSecrets {
  const file = join(dataDir, 'secrets.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as UpSecrets;
  const token = (): string => randomBytes(24).toString('hex');
  const secrets: UpSecrets = {
    postgresPassword: token(),
    rolePasswords: { vibn_api: token(), vibn_platform: token(), vibn_controller: token() },
    internalToken: token(),
    keyHmacSecret: token(),
    secretsKey: randomBytes(32).toString('base64'),
  };
  writePrivate(file, JSON.stringify(secrets));
  return secrets;
}

/** The reader's RSA key for signed URLs: a PEM file, made once. Answers its path and the public key. */
export function loadSigningKey(dataDir: string): { readonly file: string; readonly publicKeyPem: string } {
  const file = join(dataDir, 'signing-key.pem');
  const publicFile = join(dataDir, 'signing-key.pub.pem');
  if (!existsSync(file) || !existsSync(publicFile)) {
    const pair = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    writePrivate(publicFile, pair.publicKey);
    writePrivate(file, pair.privateKey);
  }
  return { file, publicKeyPem: readFileSync(publicFile, 'utf8') };
}

/** Writes a file that only its owner may read, in one step. */
export function writePrivate(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
