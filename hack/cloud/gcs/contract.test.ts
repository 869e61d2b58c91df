import { generateKeyPairSync } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { startCloud } from '#hack/cloud/server.ts';
import { parseLacks } from './contract-capabilities.ts';
import { lackedBy, runGcsContract, type ContractTarget } from './contract.ts';

/**
 * Another server under the same sentences:
 *
 *   GCS_CONTRACT_ENDPOINT=http://127.0.0.1:9000 GCS_CONTRACT_LACKS=holds,cors vitest run --project unit hack/cloud/gcs/contract
 *
 * GCS_CONTRACT_PROJECT names the project (default vibn-local) and GCS_CONTRACT_ACCOUNT a service account of it, for HMAC keys.
 * GCS_CONTRACT_LACKS names what the server does not have (contract-capabilities.ts); those cases are skipped, with that
 * reason. Signed URLs need an account's private key and are left out elsewhere. What known servers lack (2026-11):
 *
 * storage-testbench: soft-delete-off,error-words,bucket-defaults,location-rules,empty-patch,bucket-configuration,lifecycle-rules,
 *   bucket-emptiness,iam-policies,bucket-restore,object-metadata,empty-objects,upload-sessions,versions,copies,list-pages,
 *   retention-policies,retention-locks,holds,object-retention,hmac-keys,cors
 * fake-gcs-server 1.56.1: error-words,bucket-defaults,location-rules,bucket-patch,lifecycle-rules,bucket-emptiness,iam-policies,
 *   bucket-restore,object-metadata,upload-sessions,generation-conditions,versions,copies,list-pages,soft-delete,retention-policies,
 *   retention-locks,holds,object-retention,hmac-keys,cors
 */
const { GCS_CONTRACT_ENDPOINT: elsewhere, GCS_CONTRACT_LACKS: lacks } = process.env;
const cloud = elsewhere === undefined ? await startCloud({ gcs: { rates: 'off' } }) : undefined;

function ownTarget(running: NonNullable<typeof cloud>): ContractTarget {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const email = 'contract-signer@vibn-local.iam.gserviceaccount.com';
  running.iam.registerServiceAccountKey({ email, publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }) });
  const signer = { email, privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) };
  return { endpoint: running.index.gcs, projectId: 'vibn-local', lacks: new Set(), account: email, signer };
}

const target: ContractTarget =
  cloud === undefined
    ? {
        endpoint: elsewhere ?? '',
        projectId: process.env['GCS_CONTRACT_PROJECT'] ?? 'vibn-local',
        lacks: parseLacks(lacks ?? ''),
        account: process.env['GCS_CONTRACT_ACCOUNT'],
      }
    : ownTarget(cloud);

describe('the Cloud Storage contract', () => {
  afterAll(() => cloud?.close());
  it.for(runGcsContract(target))('$name', { timeout: 30_000 }, async (contractCase, { skip }) => {
    const lacked = lackedBy(target, contractCase);
    skip(lacked.length > 0, `the server lacks ${lacked.join(', ')}`);
    await expect(contractCase.run()).resolves.toBeUndefined();
  });
});

describe('what another server lacks', () => {
  it('is named by capability; a name that is none is refused with those there are', () => {
    expect([...parseLacks(' holds, cors,')]).toEqual(['holds', 'cors']);
    expect(() => parseLacks('hold')).toThrow(/"hold" is not a capability\. Use .*\bholds\b/);
  });
});
