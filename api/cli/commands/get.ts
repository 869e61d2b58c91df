import { getResource, kindsOf, listResources } from '#api/cli/context.ts';
import type { CliContext } from '#api/cli/context.ts';
import { printResources } from '#api/cli/output.ts';
import type { Format } from '#api/cli/output.ts';
import { kindNamed, labelsFrom, refsFrom } from '#api/cli/refs.ts';

export interface GetOptions {
  readonly workspace?: string;
  readonly selector?: string;
  readonly output: Format;
}

/** `vibn get [kind] [name …]` or `vibn get kind/name …`: without a name the list, without a workspace all that the key may see. */
export async function get(context: CliContext, args: readonly string[], options: GetOptions): Promise<void> {
  const [first] = args;
  const kinds = await kindsOf(context);
  if (first !== undefined && (args.length > 1 || first.includes('/'))) {
    const keys = refsFrom(args, { workspace: options.workspace, kinds });
    return printResources(
      await Promise.all(keys.map((key) => getResource(context, key))),
      options.output,
      context.now(),
    );
  }
  const labels = labelsFrom(options.selector);
  const items = await listResources(context, {
    ...(options.workspace === undefined ? {} : { workspace: options.workspace }),
    ...(first === undefined ? {} : { kind: kindNamed(first, kinds) }),
    ...(labels === undefined ? {} : { labels }),
  });
  printResources(items, options.output, context.now());
}
