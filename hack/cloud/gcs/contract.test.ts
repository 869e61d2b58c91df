import { generateKeyPairSync } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { startCloud } from '#hack/cloud/server.ts';
import { runGcsContract, type ContractTarget } from './contract.ts';

// GCS_CONTRACT_ENDPOINT (and GCS_CONTRACT_PROJECT) point the same sentences elsewhere; signed URLs then need an account and are left out.
const elsewhere = process.env['GCS_CONTRACT_ENDPOINT'];
const cloud = elsewhere === undefined ? await startCloud({ gcs: { rates: 'off' } }) : undefined;

function ownTarget(running: NonNullable<typeof cloud>): ContractTarget {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const email = 'contract-signer@vibn-local.iam.gserviceaccount.com';
  running.iam.registerServiceAccountKey({ email, publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }) });
  const signer = { email, privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) };
  return { endpoint: running.index.gcs, projectId: 'vibn-local', signer };
}

const target =
  cloud === undefined
    ? { endpoint: elsewhere ?? '', projectId: process.env['GCS_CONTRACT_PROJECT'] ?? 'vibn-local' }
    : ownTarget(cloud);

describe('the Cloud Storage contract', () => {
  afterAll(() => cloud?.close());
  it.each(runGcsContract(target))('$name', { timeout: 30_000 }, async (contractCase) => {
    await expect(contractCase.run()).resolves.toBeUndefined();
  });
});
