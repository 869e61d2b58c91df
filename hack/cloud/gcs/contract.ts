// The contract of Cloud Storage as this project relies on it: sentences that hold at any endpoint, asked with the official SDK unmodified
// (and plain fetch where the SDK has no word for it). The local cloud must pass them; so must a real project with the same options.

import { bucketCases } from './contract-buckets.ts';
import { hmacCases } from './contract-hmac.ts';
import type { ContractCase, ContractTarget } from './contract-kit.ts';
import { listCases } from './contract-lists.ts';
import { objectCases } from './contract-objects.ts';
import { protectionCases } from './contract-protection.ts';
import { preflightCases, signedUrlCases } from './contract-signed.ts';

export type { ContractCase, ContractTarget } from './contract-kit.ts';

/** The cases against one endpoint. Independent of each other; each leaves nothing behind unless it fails, but for one locked object. */
export function runGcsContract(target: ContractTarget): ContractCase[] {
  const { account, signer } = target;
  return [
    ...bucketCases(target),
    ...objectCases(target),
    ...listCases(target),
    ...protectionCases(target),
    ...preflightCases(target),
    ...(account === undefined ? [] : hmacCases({ ...target, account })),
    ...(signer === undefined ? [] : signedUrlCases(target)),
  ];
}

/** The capabilities for want of which a case is skipped; empty: it runs. */
export function lackedBy(target: ContractTarget, contractCase: ContractCase): readonly string[] {
  return contractCase.needs.filter((capability) => target.lacks.has(capability));
}
