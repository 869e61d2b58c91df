import { getResource, kindsOf } from '#api/cli/context.ts';
import type { CliContext } from '#api/cli/context.ts';
import { age, print, structured, table } from '#api/cli/output.ts';
import { refsFrom } from '#api/cli/refs.ts';
import type { Condition } from '#resources/condition.ts';
import type { Resource } from '#resources/resource.ts';

/** `vibn describe kind/name`: metadata, spec, each condition with its message and remedy, and what lately happened. */
export async function describe(
  context: CliContext,
  args: readonly string[],
  options: { workspace?: string },
): Promise<void> {
  const kinds = await kindsOf(context);
  for (const key of refsFrom(args, { workspace: options.workspace, kinds })) {
    const item = await getResource(context, key);
    const passes = await context.client.call<readonly PassLine[]>('resources.passes', { ...key, limit: 5 });
    print(headText(item));
    print(`\nSpec:\n${indented(structured(item.spec, 'yaml'))}`);
    const { conditions, observedGeneration: _observed, ...status } = item.status;
    print(`\nStatus:\n${indented(structured(status, 'yaml'))}`);
    print(`\nConditions:\n${indented(conditionTable(conditions, context.now()))}`);
    for (const condition of conditions) for (const line of remedyLines(condition)) print(line);
    print(`\nPasses:\n${indented(passTable(passes, context.now()))}`);
  }
}

interface PassLine {
  readonly epoch: number;
  readonly at: string;
  readonly generation: number;
  readonly trigger: string;
  readonly outcome: string;
}

function headText(item: Resource): string {
  const { metadata, status } = item;
  const rows = [
    ['Name:', `${metadata.workspace}/${metadata.name}`],
    ['Kind:', item.kind],
    ['UID:', metadata.uid],
    ['Generation:', `${metadata.generation} (observed ${status.observedGeneration})`],
    ['Labels:', JSON.stringify(metadata.labels)],
    ['Owner:', metadata.owner === null ? '-' : `${metadata.owner.kind}/${metadata.owner.name}`],
    ['Created:', metadata.createdAt],
    ...(metadata.deletedAt === null
      ? []
      : [['Deleting since:', `${metadata.deletedAt}, undo until ${metadata.undoUntil ?? '-'}`]]),
  ];
  return rows.map(([label, value]) => `${(label ?? '').padEnd(16)}${value}`).join('\n');
}

function conditionTable(conditions: readonly Condition[], now: number): string {
  const rows = conditions.map((one) => [
    one.type,
    one.status,
    one.reason,
    age(one.lastTransitionTime, now),
    one.message,
  ]);
  return table(['TYPE', 'STATUS', 'REASON', 'SINCE', 'MESSAGE'], rows);
}

function remedyLines(condition: Condition): string[] {
  return (condition.remedy ?? []).map(
    (remedy) =>
      `  ${condition.type}, remedy ${remedy.id}${remedy.destructive ? ' (destructive)' : ''}: ${remedy.call.proc} ${JSON.stringify(remedy.call.input)}`,
  );
}

function passTable(passes: readonly PassLine[], now: number): string {
  if (passes.length === 0) return 'none recorded';
  return table(
    ['PASS', 'AGE', 'GENERATION', 'TRIGGER', 'OUTCOME'],
    passes.map((pass) => [String(pass.epoch), age(pass.at, now), String(pass.generation), pass.trigger, pass.outcome]),
  );
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, '  ');
}
