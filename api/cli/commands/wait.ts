import { kindsOf } from '#api/cli/context.ts';
import type { CliContext } from '#api/cli/context.ts';
import { CliError, exitCodes } from '#api/cli/exit.ts';
import { print } from '#api/cli/output.ts';
import { durationMs, refsFrom } from '#api/cli/refs.ts';
import type { Condition } from '#resources/condition.ts';
import type { ResourceKey } from '#resources/resource.ts';

/** What resources.wait answers. */
interface WaitAnswer {
  readonly outcome: 'met' | 'stalled' | 'deleted' | 'timeout';
  readonly results: readonly {
    readonly ref: ResourceKey;
    readonly met: boolean;
    readonly condition: Condition | null;
  }[];
  readonly cursor: string;
}

export interface WaitOptions {
  readonly workspace?: string;
  readonly for: string;
  readonly timeout: string;
}

/** One call of resources.wait lasts at most this. */
const oneCallMsMax = 60_000;

/** `vibn wait`: exit code 0 met, 3 stalled, 4 timeout, 5 deleted. */
export async function wait(context: CliContext, args: readonly string[], options: WaitOptions): Promise<void> {
  const kinds = await kindsOf(context);
  const refs = refsFrom(args, { workspace: options.workspace, kinds });
  await waitFor(context, { refs, until: options.for, timeoutMs: durationMs(options.timeout) });
}

/** Waits as long as asked, in calls of at most a minute that continue each other. Prints what each row came to. */
export async function waitFor(
  context: CliContext,
  wish: { refs: readonly ResourceKey[]; until: string; timeoutMs: number },
): Promise<void> {
  const deadline = context.now() + wish.timeoutMs;
  let cursor: string | undefined;
  for (;;) {
    const timeoutMs = Math.max(1, Math.min(oneCallMsMax, deadline - context.now()));
    const answer: WaitAnswer = await context.client.call('resources.wait', {
      refs: wish.refs,
      until: wish.until,
      timeoutMs,
      ...(cursor === undefined ? {} : { cursor }),
    });
    if (answer.outcome !== 'timeout' || context.now() >= deadline) return finish(answer, wish.until);
    cursor = answer.cursor;
  }
}

function finish(answer: WaitAnswer, until: string): void {
  for (const { ref, met, condition } of answer.results) {
    const why =
      condition === null ? '' : `: ${condition.type}=${condition.status} ${condition.reason}. ${condition.message}`;
    print(`${ref.kind.toLowerCase()}/${ref.name} ${met ? `is ${until}` : `is not ${until}${why}`}`);
  }
  if (answer.outcome === 'met') return;
  const codes = { stalled: exitCodes.stalled, timeout: exitCodes.timeout, deleted: exitCodes.deleted };
  throw new CliError(`${answer.outcome} while waiting for ${until}`, codes[answer.outcome]);
}
