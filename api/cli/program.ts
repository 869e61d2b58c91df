import { Command, CommanderError, Option } from 'commander';
import { apply } from './commands/apply.ts';
import { describe } from './commands/describe.ts';
import { get } from './commands/get.ts';
import { plan } from './commands/plan.ts';
import { remove } from './commands/remove.ts';
import { replay } from './commands/replay.ts';
import { wait } from './commands/wait.ts';
import { kindsOf } from './context.ts';
import type { CliContext } from './context.ts';
import { CliError, exitCodes } from './exit.ts';
import { formats, print, structured, table } from './output.ts';
import type { Format } from './output.ts';

type Connect = () => CliContext;

/**
 * The command line, as data: parsing, help and options. `connect` is called by a command that needs the API, so that help works alone.
 */
export function createProgram(connect: Connect, env: CliContext['env']): Command {
  const program = new Command('vibn')
    .description(
      'Declares, shows and waits for what a SaaS needs. Talks to VIBN_URL with VIBN_API_KEY, else to the local "npm start".',
    )
    .showHelpAfterError()
    .exitOverride();
  const workspace = () => new Option('-w, --workspace <slug>', 'workspace').default(env['VIBN_WORKSPACE']);
  const output = () => new Option('-o, --output <format>', 'how to print').choices(formats).default('table');
  reads(program, { connect, workspace, output });
  writes(program, { connect, workspace, output });
  return program;
}

interface Shared {
  readonly connect: Connect;
  readonly workspace: () => Option;
  readonly output: () => Option;
}

function reads(program: Command, { connect, workspace, output }: Shared): void {
  program
    .command('get [kind] [names...]')
    .description('list, or show by name: "get", "get buckets", "get bucket/uploads"')
    .addOption(workspace())
    .addOption(output())
    .option('-l, --selector <labels>', 'label=value, several with commas')
    .action((kind: string | undefined, names: string[], options) =>
      get(connect(), kind === undefined ? [] : [kind, ...names], options),
    );
  program
    .command('describe <refs...>')
    .description('everything about a resource: spec, status, conditions with remedies, passes')
    .addOption(workspace())
    .action((refs: string[], options) => describe(connect(), refs, options));
  program
    .command('wait <refs...>')
    .description('wait for a condition; exit code 0 met, 3 stalled, 4 timeout, 5 deleted')
    .addOption(workspace())
    .option('--for <condition>', '"Ready", "Deleted" or a condition type', 'Ready')
    .option('--timeout <duration>', '30s, 5m, 1h', '5m')
    .action((refs: string[], options) => wait(connect(), refs, options));
  program
    .command('api-resources')
    .description('the kinds that can be declared')
    .addOption(output())
    .action((options: { output: Format }) => apiResources(connect(), options.output));
}

function writes(program: Command, { connect, workspace, output }: Shared): void {
  const filename = () => new Option('-f, --filename <path...>', 'file, directory or "-"').makeOptionMandatory();
  program
    .command('apply')
    .description('declare manifests; those of one workspace all or nothing')
    .addOption(filename())
    .addOption(output())
    .option('--plan-hash <hash>', 'what resources.plan answered, for one manifest')
    .action((options) => apply(connect(), options));
  program
    .command('plan')
    .description('what applying these manifests would do')
    .addOption(filename())
    .addOption(output())
    .option('--fresh', 'look at the providers first')
    .action((options) => plan(connect(), options));
  program
    .command('delete <refs...>')
    .description('ask for deletion')
    .addOption(workspace())
    .option('--confirm <name>', 'the name, quoted')
    .addOption(
      new Option('--policy <policy>', 'what becomes of the object at the provider').choices(['Delete', 'Orphan']),
    )
    .option('--plan-hash <hash>', 'what resources.plan answered')
    .option('--wait', 'until it is gone')
    .option('--timeout <duration>', '30s, 5m, 1h', '5m')
    .action((refs: string[], options) => remove(connect(), refs, options));
  program
    .command('replay')
    .description('look again at every resource of a selection, paced')
    .addOption(workspace())
    .option('--kind <kind>', 'only this kind')
    .option('-l, --selector <labels>', 'label=value, several with commas')
    .option('--rate <per-second>', 'resources asked a second, at most 1000', '50')
    .option('--timeout <duration>', '30s, 5m, 1h', '1h')
    .option('--detach', 'print the id and do not wait')
    .action((options) => replay(connect(), options));
}

interface KindLine {
  readonly kind: string;
  readonly plural: string;
  readonly lifecycle: string;
  readonly holdsData: boolean;
  readonly verbs: readonly string[];
}

async function apiResources(context: CliContext, format: Format): Promise<void> {
  const kinds = (await kindsOf(context)) as readonly KindLine[];
  if (format === 'json' || format === 'yaml') return print(structured(kinds, format));
  if (format === 'name') return kinds.forEach((one) => print(one.plural));
  print(
    table(
      ['KIND', 'NAME', 'LIFECYCLE', 'HOLDS DATA', 'VERBS'],
      kinds.map((one) => [one.kind, one.plural, one.lifecycle, String(one.holdsData), one.verbs.join(', ')]),
    ),
  );
}

/** Runs a command line; answers the exit code. Errors are one line on stderr. */
export async function runCli(args: readonly string[], connect: Connect, env: CliContext['env']): Promise<number> {
  try {
    await createProgram(connect, env).parseAsync(args, { from: 'user' });
    return exitCodes.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    process.stderr.write(`${messageOf(error)}\n`);
    return error instanceof CliError ? error.exitCode : exitCodes.failed;
  }
}

interface ApiFailure {
  readonly data?: {
    readonly code?: string;
    readonly issues?: readonly { readonly path: string; readonly message: string; readonly allowed: unknown }[];
  };
}

/** The API's message, and below it each problem with its path and what is allowed. */
function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const { data } = error as ApiFailure;
  const issues = (data?.issues ?? []).map(
    (issue) =>
      `  ${issue.path}: ${issue.message}${issue.allowed === null ? '' : ` Allowed: ${JSON.stringify(issue.allowed)}`}`,
  );
  return [`${data?.code === undefined ? 'error' : data.code}: ${message}`, ...issues].join('\n');
}
