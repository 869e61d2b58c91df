import type { ServerResponse } from 'node:http';
import { ApiError } from '#resources/errors.ts';
import type { Principal } from '#resources/resource.ts';
import type { ApiOptions } from './options.ts';
import { tenantOf } from './tenant.ts';

/**
 * What calls keep in this process until they are over: what they sent, and what of their answers their callers do not read and the kernel
 * does not take. One key that asked for long lists and read none of them, or sent long manifests faster than they are written, ended the
 * process for everyone. (A connection on which nothing moves is closed by the server's own timeout.)
 */
export interface UnreadAnswers {
  /** Counts a call of so many bytes until it is answered and read, or its caller gone. Throws RATE_LIMITED if its tenant has too much open. */
  admit(principal: Owner, answer: Answer, bytes: number): void;
  /** Throws RATE_LIMITED while the calls of a tenant keep too much. */
  refuse(principal: Owner): void;
}

type Owner = Pick<Principal, 'keyId' | 'workspace'>;
type Answer = Pick<ServerResponse, 'writableLength' | 'once'>;

export function createUnreadAnswers(options: Pick<ApiOptions, 'unreadBytesMax' | 'callsPerTenantMax'>): UnreadAnswers {
  const { unreadBytesMax, callsPerTenantMax } = options;
  /** Bytes asked by answer, of each tenant. */
  const tenants = new Map<string, Map<Pick<ServerResponse, 'writableLength'>, number>>();
  const refuse = (tenant: string): void => {
    let bytes = 0;
    for (const [answer, asked] of tenants.get(tenant) ?? []) bytes += asked + answer.writableLength;
    if (bytes > unreadBytesMax) throw tooMuchOpen(bytes, unreadBytesMax);
  };
  return {
    admit(principal, answer, bytes) {
      const tenant = tenantOf(principal);
      refuse(tenant);
      const open = tenants.get(tenant) ?? new Map();
      if (open.size >= callsPerTenantMax) throw tooManyOpen(callsPerTenantMax);
      tenants.set(tenant, open.set(answer, bytes));
      answer.once('close', () => {
        open.delete(answer);
        if (open.size === 0 && tenants.get(tenant) === open) tenants.delete(tenant);
      });
    },
    refuse: (principal) => refuse(tenantOf(principal)),
  };
}

function tooMuchOpen(bytes: number, max: number): ApiError {
  const message = `Calls of this workspace keep ${bytes} bytes, sent and not read. Read the answers, send fewer calls at once, or ask for shorter lists.`;
  return new ApiError('RATE_LIMITED', message, { allowed: { max }, current: bytes, retryAfterMs: 1_000 });
}

function tooManyOpen(max: number): ApiError {
  const message = `${max} calls of this workspace are under way. Let one end, then call again.`;
  return new ApiError('RATE_LIMITED', message, { allowed: { max }, retryAfterMs: 1_000 });
}
