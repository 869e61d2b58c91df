import { randomUUID } from 'node:crypto';
import { kindsOf } from '#api/cli/context.ts';
import type { CliContext } from '#api/cli/context.ts';
import { CliError, exitCodes } from '#api/cli/exit.ts';
import { print } from '#api/cli/output.ts';
import { durationMs, refsFrom } from '#api/cli/refs.ts';
import type { ResourceKey } from '#resources/resource.ts';
import { waitFor } from './wait.ts';

export interface RemoveOptions {
  readonly workspace?: string;
  readonly confirm?: string;
  readonly policy?: string;
  readonly planHash?: string;
  readonly wait?: boolean;
  readonly timeout: string;
}

/** `vibn delete kind/name --confirm <name>`: asks for deletion, and with --wait for its end. */
export async function remove(context: CliContext, args: readonly string[], options: RemoveOptions): Promise<void> {
  const kinds = await kindsOf(context);
  const [key, ...more] = refsFrom(args, { workspace: options.workspace, kinds });
  if (key === undefined || more.length > 0)
    throw new CliError('Delete one thing at a time: each is confirmed by its own name.', exitCodes.usage);
  await context.client.call('resources.delete', { ...key, ...wishOf(key, options), requestId: randomUUID() });
  print(`${key.kind.toLowerCase()}/${key.name} is being deleted`);
  if (options.wait === true)
    await waitFor(context, { refs: [key], until: 'Deleted', timeoutMs: durationMs(options.timeout) });
}

function wishOf(key: ResourceKey, options: RemoveOptions): object {
  if (options.confirm === undefined) {
    throw new CliError(
      `To delete ${key.kind.toLowerCase()}/${key.name}, quote its name: --confirm ${key.name}`,
      exitCodes.usage,
    );
  }
  return {
    confirm: options.confirm,
    ...(options.policy === undefined ? {} : { policy: options.policy }),
    ...(options.planHash === undefined ? {} : { planHash: options.planHash }),
  };
}
