import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { storageOptions } from './sdk-transport.ts';
import { credentialDigest, gcsSettings, signingSettings } from './settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'vibn-settings-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('where Cloud Storage is', () => {
  it('is Google unless an endpoint is named, and then a project is needed', () => {
    expect(gcsSettings({ VIBN_GCP_PROJECT: 'my-project' })).toMatchObject({
      endpoint: 'https://storage.googleapis.com',
      auth: { mode: 'default' },
    });
    expect(() => gcsSettings({})).toThrow(/VIBN_GCP_PROJECT/);
  });

  it('has the project vibn-local at another endpoint', () => {
    expect(gcsSettings({ VIBN_GCS_ENDPOINT: 'http://127.0.0.1:45011' })).toEqual({
      endpoint: 'http://127.0.0.1:45011',
      project: 'vibn-local',
      auth: { mode: 'none' },
    });
  });

  it.each(['127.0.0.1:45011', 'ftp://x', 'http://x/storage/v1', 'http://x?y', 'nonsense'])(
    'refuses "%s" by name',
    (endpoint) => {
      expect(() => gcsSettings({ VIBN_GCS_ENDPOINT: endpoint })).toThrow(/VIBN_GCS_ENDPOINT/);
    },
  );

  it('never sends a token over plain HTTP, and does over HTTPS', () => {
    const at = (endpoint: string) =>
      storageOptions(gcsSettings({ VIBN_GCS_ENDPOINT: endpoint, VIBN_GCP_ACCESS_TOKEN: 't' }));
    expect(at('http://127.0.0.1:1').authClient).toBeUndefined();
    expect(at('http://127.0.0.1:1').useAuthWithCustomEndpoint).toBeUndefined();
    expect(at('https://gcs.example').useAuthWithCustomEndpoint).toBe(true);
    expect(at('https://gcs.example').authClient).toMatchObject({ credentials: { access_token: 't' } });
  });

  it('leaves retries to the engine', () => {
    expect(storageOptions(gcsSettings({ VIBN_GCP_PROJECT: 'my-project' })).retryOptions).toEqual({ autoRetry: false });
  });
});

describe('credentials', () => {
  it('are told apart without being told', () => {
    const digest = (token: string) => {
      const env = { VIBN_GCP_PROJECT: 'my-project', VIBN_GCP_ACCESS_TOKEN: token };
      return credentialDigest(gcsSettings(env), env);
    };
    expect(digest('one')).not.toBe(digest('two'));
    expect(digest('one')).toMatch(/^[0-9a-f]{64}$/);
  });

  it('follow the content of the key file', () => {
    const file = join(folder, 'adc.json');
    const env = { VIBN_GCP_PROJECT: 'my-project', GOOGLE_APPLICATION_CREDENTIALS: file };
    writeFileSync(file, 'a');
    const before = credentialDigest(gcsSettings(env), env);
    writeFileSync(file, 'b');
    expect(credentialDigest(gcsSettings(env), env)).not.toBe(before);
  });
});

describe('the signing key', () => {
  it('is optional, but its two variables belong together', () => {
    expect(signingSettings({})).toBeNull();
    expect(() => signingSettings({ VIBN_SIGNING_EMAIL: 'a@b.c' })).toThrow(/VIBN_SIGNING_KEY_FILE/);
  });

  it('is read from a PEM file, and anything else is refused by name', () => {
    const file = join(folder, 'key.pem');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const env = { VIBN_SIGNING_EMAIL: 'a@b.c', VIBN_SIGNING_KEY_FILE: file };
    expect(signingSettings(env)?.privateKey).toContain('BEGIN PRIVATE KEY');
    writeFileSync(file, 'hello');
    expect(() => signingSettings(env)).toThrow(/VIBN_SIGNING_KEY_FILE/);
  });
});
