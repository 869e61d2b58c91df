import type { ServerResponse } from 'node:http';
import { ApiError } from '#resources/errors.ts';
import type { Principal } from '#resources/resource.ts';
import type { ApiOptions } from './options.ts';
import { tenantOf } from './tenant.ts';

/**
 * Bytes of answers that their callers do not read: what the kernel does not take stays in this process. One key that asked for long lists
 * and read none of them ended the process for everyone. (A connection on which nothing moves is closed by the server's own timeout.)
 */
export interface UnreadAnswers {
  /** Counts what this answer leaves unread, until it is read or its caller gone. */
  follow(principal: Owner, answer: Pick<ServerResponse, 'writableLength' | 'once'>): void;
  /** Throws RATE_LIMITED while the answers of a tenant leave too much unread. */
  refuse(principal: Owner): void;
}

type Owner = Pick<Principal, 'keyId' | 'workspace'>;

export function createUnreadAnswers({ unreadBytesMax }: Pick<ApiOptions, 'unreadBytesMax'>): UnreadAnswers {
  const tenants = new Map<string, Set<Pick<ServerResponse, 'writableLength'>>>();
  return {
    follow(principal, answer) {
      const tenant = tenantOf(principal);
      const open = tenants.get(tenant) ?? new Set();
      tenants.set(tenant, open.add(answer));
      answer.once('close', () => {
        open.delete(answer);
        if (open.size === 0 && tenants.get(tenant) === open) tenants.delete(tenant);
      });
    },
    refuse(principal) {
      let bytes = 0;
      for (const answer of tenants.get(tenantOf(principal)) ?? []) bytes += answer.writableLength;
      if (bytes > unreadBytesMax) throw tooMuchUnread(bytes, unreadBytesMax);
    },
  };
}

function tooMuchUnread(bytes: number, max: number): ApiError {
  const message = `Answers of ${bytes} bytes wait to be read by callers of this workspace. Read them, or ask for shorter lists.`;
  return new ApiError('RATE_LIMITED', message, { allowed: { max }, current: bytes, retryAfterMs: 1_000 });
}
