import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { GcsReply, GcsRequest } from '#reconcilers/providers/gcs/transport.ts';
import {
  abilityFindings,
  askProject,
  bucketPermissions,
  dryWriteFinding,
  gcsChecks,
  listOwn,
  listRefusal,
  locationFinding,
  permissionFinding,
  signedFinding,
} from './gcs-checks.ts';

const signal = new AbortController().signal;
const settings = { project: 'my-project', endpoint: 'https://gcs.example', auth: { mode: 'default' } } as const;
const answer = (status: number, body: unknown): GcsReply => ({ status, headers: {}, body });
const refused = (code: number, reason: string): GcsReply =>
  answer(code, { error: { code, message: reason, errors: [{ reason }] } });

/** A transport that gives these answers in order; an Error is no answer. */
function scripted(...replies: readonly (GcsReply | Error)[]) {
  const asked: GcsRequest[] = [];
  const transport = (request: GcsRequest): Promise<GcsReply> => {
    const reply = replies[asked.push(request) - 1] ?? new Error('not scripted');
    return reply instanceof Error ? Promise.reject(reply) : Promise.resolve(reply);
  };
  return { transport, asked };
}

describe('listing our buckets', () => {
  it('shows their places, in lower case', async () => {
    const items = [{ name: 'vibn-ws-acme', location: 'NORTHAMERICA-NORTHEAST1' }];
    const { transport, asked } = scripted(answer(200, { kind: 'storage#buckets', items }));
    const { buckets, findings } = await listOwn({ transport, settings, signal });
    expect(buckets).toEqual([{ name: 'vibn-ws-acme', location: 'northamerica-northeast1' }]);
    expect(findings.map(({ verdict }) => verdict)).toEqual(['ok']);
    expect(asked[0]).toMatchObject({ method: 'GET', query: { project: 'my-project', prefix: 'vibn-ws-' } });
  });

  it('says that nobody answers', async () => {
    const { transport } = scripted(Object.assign(new Error('x'), { code: 'ENOTFOUND' }));
    const { buckets, findings } = await listOwn({ transport, settings, signal });
    expect(buckets).toBeNull();
    expect(findings).toMatchObject([{ what: 'gcs: endpoint', verdict: 'FAIL' }]);
    expect(findings[0]?.fact).toContain('ENOTFOUND');
  });

  it.each<[string, GcsReply, { what: string; remedy: RegExp }]>([
    ['a page of a proxy', answer(200, '<html>'), { what: 'gcs: endpoint', remedy: /proxy/ }],
    ['a page of a proxy that refuses', answer(403, '<html>'), { what: 'gcs: endpoint', remedy: /proxy/ }],
    [
      'a credential that ran out',
      refused(401, 'authError'),
      { what: 'gcs: credential', remedy: /GOOGLE_APPLICATION_CREDENTIALS/ },
    ],
    ['a credential without rights', refused(403, 'forbidden'), { what: 'gcs: project', remedy: /storage\.admin/ }],
    ['a project that is not there', refused(404, 'notFound'), { what: 'gcs: project', remedy: /VIBN_GCP_PROJECT/ }],
    ['a project that never was one', refused(400, 'invalid'), { what: 'gcs: project', remedy: /VIBN_GCP_PROJECT/ }],
    ['a bad day', refused(503, 'backendError'), { what: 'gcs: endpoint', remedy: /again/ }],
  ])('tells apart %s', (_what, reply, { what, remedy }) => {
    const finding = listRefusal(reply, settings);
    expect(finding).toMatchObject({ what, verdict: 'FAIL' });
    expect(finding.remedy).toMatch(remedy);
  });
});

describe('places', () => {
  const canada = { name: 'a', location: 'northamerica-northeast1' };
  it('are on the allow-list, or named', () => {
    expect(locationFinding([canada]).verdict).toBe('ok');
    expect(locationFinding([canada, { name: 'b', location: 'us' }])).toMatchObject({
      verdict: 'FAIL',
      fact: 'off the allow-list: b (us)',
    });
    expect(locationFinding([], ['ca-central-1'])).toMatchObject({ verdict: 'FAIL' });
  });
});

describe('what we may do', () => {
  const granted = answer(200, { permissions: [...bucketPermissions] });

  it('is asked, and a change is tried that cannot happen', async () => {
    const { transport, asked } = scripted(granted, refused(412, 'conditionNotMet'));
    const findings = await abilityFindings({ transport, bucket: 'b', signal, writes: true });
    expect(findings.map(({ verdict }) => verdict)).toEqual(['ok', 'ok']);
    expect(asked.map(({ method }) => method)).toEqual(['GET', 'PATCH']);
    expect(asked[1]).toMatchObject({ body: {}, query: { ifMetagenerationMatch: '9000000000000000000' } });
  });

  it('is only to look, for the reader', async () => {
    const { transport, asked } = scripted(answer(200, { permissions: ['storage.buckets.get'] }));
    const findings = await abilityFindings({ transport, bucket: 'b', signal, writes: false });
    expect(findings.map(({ fact }) => fact)).toEqual(['missing: storage.objects.list, storage.objects.get']);
    expect(asked).toHaveLength(1);
  });

  it('is not tried without a bucket: none is made', async () => {
    const { transport, asked } = scripted();
    await expect(abilityFindings({ transport, bucket: null, signal, writes: true })).resolves.toHaveLength(1);
    expect(asked).toEqual([]);
  });

  it.each<[string, GcsReply, string]>([
    ['all', granted, 'ok'],
    ['not all', answer(200, { permissions: ['storage.buckets.get'] }), 'FAIL'],
    ['nothing', answer(200, {}), 'FAIL'],
    ['not to be asked', refused(403, 'SERVICE_DISABLED'), 'warn'],
  ])('is %s', (_what, reply, verdict) => {
    expect(permissionFinding('x', reply, bucketPermissions).verdict).toBe(verdict);
  });

  it.each<[string, GcsReply, { verdict: string; remedy: RegExp }]>([
    ['refused for its precondition', refused(412, 'conditionNotMet'), { verdict: 'ok', remedy: /^$/ }],
    ['refused for want of rights', refused(403, 'forbidden'), { verdict: 'FAIL', remedy: /storage\.admin/ }],
    ['refused on a bad day', refused(503, 'backendError'), { verdict: 'FAIL', remedy: /again/ }],
    ['taken', answer(200, { kind: 'storage#bucket' }), { verdict: 'FAIL', remedy: /another/ }],
  ])('a dry write is %s', (_what, reply, { verdict, remedy }) => {
    const finding = dryWriteFinding('b', reply);
    expect(finding.verdict).toBe(verdict);
    expect(finding.remedy ?? '').toMatch(remedy);
  });
});

describe('the project', () => {
  it('is asked with the token of the environment', async () => {
    const seen: string[] = [];
    const server = createServer((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.authorization}`);
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ permissions: ['storage.buckets.list'] }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const finding = await askProject({ ...settings, auth: { mode: 'bearer', token: 't' } }, { signal, url });
    await new Promise((resolve) => server.close(resolve));
    expect(seen).toEqual(['POST /v3/projects/my-project:testIamPermissions Bearer t']);
    expect(finding.verdict).toBe('FAIL');
    expect(finding.fact).toContain('storage.buckets.create');
    expect(finding.fact).not.toContain('storage.buckets.list,');
  });
});

describe('a signed URL', () => {
  const xml = (code: string): string => `<?xml version='1.0'?><Error><Code>${code}</Code></Error>`;
  it.each([
    [404, xml('NoSuchKey'), 'ok'],
    [403, xml('SignatureDoesNotMatch'), 'FAIL'],
    [403, xml('AccessDenied'), 'FAIL'],
    [400, xml('ExpiredToken'), 'FAIL'],
    [404, '<html>', 'FAIL'],
    [200, 'hello', 'FAIL'],
  ])('answered %i %s is %s', (status, body, verdict) => {
    expect(signedFinding(status, body).verdict).toBe(verdict);
  });
});

it('the API alone asks no provider', () => {
  const subject = { text: '', local: false, env: { VIBN_GCP_PROJECT: 'my-project' } };
  expect(gcsChecks({ ...subject, roles: ['api'] })).toEqual([]);
  expect(gcsChecks({ ...subject, roles: ['controller'] }).length).toBeGreaterThan(0);
});
