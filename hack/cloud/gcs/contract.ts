// The contract of Cloud Storage as this project relies on it: sentences that hold at any endpoint, asked with the official SDK unmodified
// (and plain fetch where the SDK has no word for it). The local cloud must pass them; so must a real project with the same options.

import { bucketCases } from './contract-buckets.ts';
import type { ContractCase, ContractTarget } from './contract-kit.ts';
import { objectCases } from './contract-objects.ts';
import { signedUrlCases } from './contract-signed.ts';

export type { ContractCase, ContractTarget } from './contract-kit.ts';

/** The cases against one endpoint. Independent of each other; each leaves nothing behind unless it fails. */
export function runGcsContract(target: ContractTarget): ContractCase[] {
  return [
    ...bucketCases(target),
    ...objectCases(target),
    ...(target.signer === undefined ? [] : signedUrlCases(target)),
  ];
}
