import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { emailFinding, keyFactFindings, signingFindings } from './signing-checks.ts';
import type { KeyFacts } from './signing-checks.ts';

const folder = mkdtempSync(join(tmpdir(), 'vibn-signing-'));
afterAll(() => rmSync(folder, { recursive: true }));

it.each([
  ['vibn-signer@my-project.iam.gserviceaccount.com', 'ok'],
  ['vibn-signer@my-project.example.com.iam.gserviceaccount.com', 'ok'],
  ['123456789012-compute@developer.gserviceaccount.com', 'ok'],
  ['my-project@appspot.gserviceaccount.com', 'ok'],
  ['someone@example.com', 'FAIL'],
  ['vibn-signer', 'FAIL'],
  ['a@my-project.iam.gserviceaccount.com', 'FAIL'],
  ['', 'FAIL'],
])('the signing account "%s" is %s', (email, verdict) => {
  expect(emailFinding(email).verdict).toBe(verdict);
});

describe('the signing key', () => {
  it.each<[string, KeyFacts, string[]]>([
    ['is private', { mode: 0o400, type: 'rsa', bits: 2_048 }, ['ok']],
    ['is its group’s', { mode: 0o440, type: 'rsa', bits: 4_096 }, ['warn']],
    ['is everybody’s', { mode: 0o644, type: 'rsa', bits: 2_048 }, ['FAIL']],
    ['does not parse', { mode: 0o600, type: null, bits: null }, ['FAIL']],
    ['is no RSA key', { mode: 0o600, type: 'ec', bits: null }, ['FAIL']],
    ['is too short, and everybody’s', { mode: 0o604, type: 'rsa', bits: 1_024 }, ['FAIL', 'FAIL']],
  ])('%s', (_what, facts, verdicts) => {
    expect(keyFactFindings('/key.pem', facts).map(({ verdict }) => verdict)).toEqual(verdicts);
  });

  it('is read from its file, and never shown', () => {
    const file = join(folder, 'key.pem');
    const pem = generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
    });
    writeFileSync(file, pem, { mode: 0o600 });
    const env = { VIBN_SIGNING_EMAIL: 'vibn-signer@my-project.iam.gserviceaccount.com', VIBN_SIGNING_KEY_FILE: file };
    const fine = signingFindings(env);
    expect(fine.map(({ verdict }) => verdict)).toEqual(['ok', 'ok']);
    expect(JSON.stringify(fine)).not.toContain('PRIVATE KEY');
    chmodSync(file, 0o644);
    writeFileSync(file, 'PRIVATE KEY, but not really');
    expect(signingFindings(env).map(({ verdict }) => verdict)).toEqual(['ok', 'FAIL', 'FAIL']);
  });

  it('is missed where only half is set, or its file is not there', () => {
    expect(signingFindings({})).toMatchObject([{ verdict: 'warn' }]);
    const email = 'vibn-signer@my-project.iam.gserviceaccount.com';
    expect(signingFindings({ VIBN_SIGNING_EMAIL: email }).map(({ verdict }) => verdict)).toEqual(['ok', 'FAIL']);
    const gone = signingFindings({ VIBN_SIGNING_EMAIL: email, VIBN_SIGNING_KEY_FILE: join(folder, 'gone.pem') });
    expect(gone.map(({ verdict }) => verdict)).toEqual(['ok', 'FAIL']);
    expect(gone[1]?.fact).toContain('ENOENT');
  });
});
