import { randomUUID } from 'node:crypto';
import { Presets, SingleBar } from 'cli-progress';
import { kindsOf } from '#api/cli/context.ts';
import type { CliContext } from '#api/cli/context.ts';
import { CliError, exitCodes } from '#api/cli/exit.ts';
import { print } from '#api/cli/output.ts';
import { durationMs, kindNamed, labelsFrom } from '#api/cli/refs.ts';

/** What replays.* answer, as far as the bar shows it. */
interface Replay {
  readonly id: string;
  readonly state: 'filling' | 'running' | 'suspended' | 'done' | 'cancelled';
  readonly total: number;
  readonly done: number;
  readonly healed: number;
  readonly unchanged: number;
  readonly failing: readonly { readonly reason: string; readonly count: number }[];
}

export interface ReplayOptions {
  readonly workspace?: string;
  readonly kind?: string;
  readonly selector?: string;
  readonly rate: string;
  readonly timeout: string;
  readonly detach?: boolean;
}

const pollMs = 200;

/** `vibn replay`: looks again at every row of the selection, with a progress bar. Exit code 3 if some are failing at the end. */
export async function replay(context: CliContext, options: ReplayOptions): Promise<void> {
  const labels = labelsFrom(options.selector);
  const selector = {
    ...(options.workspace === undefined ? {} : { workspace: options.workspace }),
    ...(options.kind === undefined ? {} : { kind: kindNamed(options.kind, await kindsOf(context)) }),
    ...(labels === undefined ? {} : { labels }),
  };
  const created = await context.client.call<Replay>('replays.create', {
    selector,
    ratePerSecond: Number(options.rate),
    requestId: randomUUID(),
  });
  if (options.detach === true) return print(created.id);
  const ended = await followed(context, created, context.now() + durationMs(options.timeout));
  print(
    `replay ${ended.id} ${ended.state}: ${ended.done} looked at, ${ended.healed} healed, ${ended.unchanged} unchanged`,
  );
  for (const { reason, count } of ended.failing) print(`  ${count} failing: ${reason}`);
  if (ended.failing.length > 0) throw new CliError('some rows are failing', exitCodes.stalled);
}

async function followed(context: CliContext, started: Replay, deadline: number): Promise<Replay> {
  const bar = new SingleBar(
    {
      format: '{bar} {percentage}% {value}/{total} | healed {healed} | {eta_formatted}',
      stream: process.stderr,
      noTTYOutput: false,
    },
    Presets.shades_classic,
  );
  bar.start(Math.max(started.total, 1), 0, { healed: 0 });
  try {
    for (let current = started; ;) {
      bar.setTotal(Math.max(current.total, 1));
      bar.update(current.done, { healed: current.healed });
      if (current.state === 'done' || current.state === 'cancelled') return current;
      if (context.now() > deadline)
        throw new CliError(
          `replay ${current.id} is still ${current.state}: ${current.done} of ${current.total}`,
          exitCodes.timeout,
        );
      await new Promise((resolve) => setTimeout(resolve, pollMs));
      current = await context.client.call<Replay>('replays.get', { id: current.id });
    }
  } finally {
    bar.stop();
  }
}
