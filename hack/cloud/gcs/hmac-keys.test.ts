import { describe, expect, it } from 'vitest';
import { testCloud } from './testing.ts';

const KEYS = '/storage/v1/projects/vibn-local/hmacKeys';
const EMAIL = 'ws-acme@vibn-local.iam.gserviceaccount.com';

function cloudWithAccount() {
  const cloud = testCloud();
  cloud.model.iam.ensureDefaults();
  cloud.model.registerServiceAccountKey({ email: EMAIL, publicKeyPem: PEM, projectRoles: [] });
  const create = () => cloud.ask(`POST ${KEYS}?serviceAccountEmail=${EMAIL}`);
  return { cloud, create };
}

const PEM = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`;

describe('HMAC keys', () => {
  it('show their secret once, and a repeated create makes another key', () => {
    const { cloud, create } = cloudWithAccount();
    const made = create().json;
    expect(made.secret).toMatch(/^[A-Za-z0-9+/]{40}$/);
    expect(made.metadata).toMatchObject({ serviceAccountEmail: EMAIL, projectId: 'vibn-local', state: 'ACTIVE' });
    expect(made.metadata.accessId).toMatch(/^GOOG[A-Z0-9]{57}$/);
    expect(cloud.ask(`GET ${KEYS}/${made.metadata.accessId}`).json).toEqual(made.metadata);
    expect(create().json.metadata.accessId).not.toBe(made.metadata.accessId);
    const page = cloud.ask(`GET ${KEYS}?serviceAccountEmail=${EMAIL}&maxResults=1`).json;
    expect([page.items.length, typeof page.nextPageToken]).toEqual([1, 'string']);
    expect(cloud.ask(`GET ${KEYS}?pageToken=${page.nextPageToken}`).json.items).toHaveLength(1);
  });

  it('are deleted only when inactive, and stay readable as DELETED', () => {
    const { cloud, create } = cloudWithAccount();
    const path = `${KEYS}/${create().json.metadata.accessId}`;
    expect(cloud.ask(`DELETE ${path}`).status).toBe(400);
    expect(cloud.ask(`PUT ${path}`, { body: { state: 'ACTIVE' } }).status).toBe(400);
    expect(cloud.ask(`PUT ${path}`, { body: { state: 'INACTIVE', etag: 'CAk=' } }).status).toBe(412);
    expect(cloud.ask(`PUT ${path}`, { body: { state: 'INACTIVE' } }).json.state).toBe('INACTIVE');
    expect(cloud.ask(`DELETE ${path}`).status).toBe(204);
    expect(cloud.ask(`GET ${path}`).json.state).toBe('DELETED');
    expect(cloud.ask(`GET ${KEYS}`).json.items).toBeUndefined();
    expect(cloud.ask(`GET ${KEYS}?showDeletedKeys=true`).json.items).toHaveLength(1);
    expect(cloud.ask(`PUT ${path}`, { body: { state: 'ACTIVE' } }).status).toBe(400);
  });

  it('are limited to ten an account and need an account of the project', () => {
    const { cloud, create } = cloudWithAccount();
    expect(Array.from({ length: 11 }, () => create().status)).toEqual([...Array.from({ length: 10 }, () => 200), 400]);
    expect(cloud.ask(`POST ${KEYS}?serviceAccountEmail=none@vibn-local.iam.gserviceaccount.com`).status).toBe(404);
    expect(cloud.ask(`POST ${KEYS}`).status).toBe(400);
    expect(cloud.ask(`GET ${KEYS}/GOOG1ENONE`).status).toBe(404);
  });

  it('the storage service agent of a project has its number', () => {
    const { cloud } = cloudWithAccount();
    const { email_address: email } = cloud.ask('GET /storage/v1/projects/vibn-local/serviceAccount').json;
    expect(email).toBe(
      `service-${cloud.model.iam.projects.get('vibn-local')?.number}@gs-project-accounts.iam.gserviceaccount.com`,
    );
  });
});
