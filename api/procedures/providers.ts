import { z } from 'zod';
import type { Recording } from '#controller/store/recording.ts';
import type { ProviderRow } from '#controller/store/rows.ts';
import { notFound } from '#resources/errors.ts';
import type { Ms } from '#resources/resource.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { doOnce } from '#api/requests.ts';
import { requireClass, requirePlatform, requireScope } from '#api/scopes.ts';
import { requestIdInput, storable } from './inputs.ts';

/** Provider accounts: breakers and freezes. For platform keys of class human or sre. */
const account = { provider: storable(64).min(1), account: storable(256).min(1) };

export const freezeInput = z.strictObject({
  ...account,
  why: storable(256).min(1),
  /** Null: until thawed. At most 30 days. */
  forMs: z
    .int()
    .min(1_000)
    .max(30 * 86_400_000)
    .nullable()
    .default(null),
  requestId: requestIdInput.optional(),
});

export const thawInput = z.strictObject({ ...account, requestId: requestIdInput.optional() });

/** A provider account as it stands. Times are ISO-8601. */
export interface ProviderAnswer {
  readonly provider: string;
  readonly account: string;
  readonly breaker: 'closed' | 'open';
  readonly cause: 'unavailable' | 'credential' | null;
  readonly failures: number;
  readonly openedAt: string | null;
  readonly blockedUntil: string | null;
  readonly frozen: { readonly by: string; readonly why: string; readonly until: string | null } | null;
}

export async function listProviders(deps: ApiDeps, call: Call): Promise<{ readonly items: readonly ProviderAnswer[] }> {
  mayManage(call, 'read');
  return { items: (await deps.stores.providers.providers()).map(providerAnswer) };
}

/** Stops all changes at a provider account that a controller knows; looking goes on. */
export async function freeze(
  deps: ApiDeps,
  call: Call,
  input: z.output<typeof freezeInput>,
): Promise<ProviderAnswer & { readonly replayed: boolean }> {
  const { provider, account, why, forMs } = input;
  await mustExist(deps, call, input);
  return change(deps, call, {
    input,
    act: (recording) =>
      deps.stores.providers.freeze({ provider, account, by: call.principal.keyId, why, forMs }, recording),
  });
}

export async function thaw(
  deps: ApiDeps,
  call: Call,
  input: z.output<typeof thawInput>,
): Promise<ProviderAnswer & { readonly replayed: boolean }> {
  const { provider, account } = input;
  await mustExist(deps, call, input);
  return change(deps, call, {
    input,
    act: (recording) => deps.stores.providers.thaw({ provider, account }, recording),
  });
}

async function mustExist(deps: ApiDeps, call: Call, at: { provider: string; account: string }): Promise<void> {
  mayManage(call, 'write');
  if ((await find(deps, at)) === undefined) throw notFound();
}

/** A repeat changes nothing: what was thawed since stays thawed. */
async function change(
  deps: ApiDeps,
  call: Call,
  {
    input,
    act,
  }: {
    input: { provider: string; account: string; requestId?: string | undefined };
    act: (recording: Recording) => Promise<unknown>;
  },
): Promise<ProviderAnswer & { readonly replayed: boolean }> {
  mayManage(call, 'write');
  const { repeated } = await doOnce(deps, call, { workspace: null, requestId: input.requestId, input, act });
  const row = await find(deps, input);
  if (row === undefined) throw notFound();
  return { ...providerAnswer(row), replayed: repeated };
}

async function find(deps: ApiDeps, at: { provider: string; account: string }): Promise<ProviderRow | undefined> {
  const rows = await deps.stores.providers.providers();
  return rows.find((row) => row.provider === at.provider && row.account === at.account);
}

function mayManage(call: Call, action: 'read' | 'write'): void {
  requirePlatform(call.principal);
  requireClass(call.principal, ['human', 'sre']);
  requireScope(call.principal, 'providers', action);
}

function providerAnswer(row: ProviderRow): ProviderAnswer {
  const iso = (ms: Ms | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  const { provider, account, breaker, cause, failures, frozen } = row;
  return {
    provider,
    account,
    breaker,
    cause,
    failures,
    openedAt: iso(row.openedAt),
    blockedUntil: iso(row.blockedUntil),
    frozen: frozen === null ? null : { by: frozen.by, why: frozen.why, until: iso(frozen.until) },
  };
}
