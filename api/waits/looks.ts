import type { ChangePage } from '#controller/store/resource-store.ts';
import type { ResourceView } from '#resources/resource.ts';
import { wantedMax } from '#api/shared-looks.ts';
import { evaluate } from './evaluate.ts';
import { groupsOf, uidsIn, workspacesOf } from './groups.ts';
import type { Group, Line } from './groups.ts';
import type { Parked, ParkedWaitsDeps, WaitAnswer } from './parked.ts';
import type { Registry } from './registry.ts';

/** When a line looks, and what comes of it. The invariants stand in parked-waits.ts. */
export interface Looks {
  /** Something may have changed for a line, or somebody's time is up. */
  wake(line: Line<Parked>): void;
  /** A group is to be evaluated, whether or not its rows change. */
  ask(line: Line<Parked>, group: Group<Parked>): void;
  /** Wakes a line of each shard at which none has looked for so long. */
  poll(): void;
}

/** After this version there are no changes: such a read answers the shard's version alone. */
const newest = Number.MAX_SAFE_INTEGER;

export function createLooks(deps: ParkedWaitsDeps, registry: Registry): Looks {
  const { clock, options, feed } = deps;
  const { shards } = registry.groups;
  const lookedAt = new Map<number, number>();

  const wake = (line: Line<Parked>): void => {
    line.again = true;
    if (line.state !== 'idle') return;
    line.state = 'pausing';
    const pauseMs = options.feedGapMs - (clock.monotonic() - line.lookedAt);
    if (pauseMs > 0) clock.after(pauseMs, () => void run(line));
    else void run(line);
  };
  const ask = (line: Line<Parked>, group: Group<Parked>): void => {
    line.asked.add(group);
    wake(line);
  };
  const run = async (line: Line<Parked>): Promise<void> => {
    Object.assign(line, { state: 'looking', again: false, lookedAt: clock.monotonic() });
    lookedAt.set(line.shard, line.lookedAt);
    try {
      await look(line, registry.last());
    } catch (error) {
      for (const group of groupsOf(line)) registry.tell(group.members, { error });
    }
    line.state = 'idle';
    if (line.again && line.groups.size > 0) wake(line);
  };
  const look = async (line: Line<Parked>, upTo: number): Promise<void> => {
    const { asked, due, version } = line;
    Object.assign(line, { asked: new Set(), due: new Set() });
    const page = await feed.readBare(line.scope, line.workspace, version ?? newest);
    const lost = version !== null && (version < page.trimmedThrough || version > page.version);
    const touched = lost
      ? groupsOf(line)
      : new Set([...asked, ...[...due].map((one) => one.group), ...changedIn(line, page)]);
    const views = await viewsOf(deps, { line, touched, page });
    line.version = page.full ? (page.changes.at(-1)?.version ?? page.version) : page.version;
    line.again ||= page.full;
    for (const group of touched) {
      if (answer(group, { views, due, upTo })) ask(line, group);
    }
    for (const other of shards.get(line.shard) ?? []) {
      // The version is the shard's: a line that is at it has missed nothing. One that has looked since knows better.
      const behind = other.version !== null && other.version !== page.version && other.lookedAt < line.lookedAt;
      if (other !== line && behind) wake(other);
    }
  };
  /** Whether the group is decided but has members who asked too late to hear it. */
  const answer = (group: Group<Parked>, { views, due, upTo }: Look): boolean => {
    const { outcome, results } = evaluate(group.fixed, views, group.until);
    const members = [...group.members];
    const some = outcome === null ? members.filter((one) => due.has(one)) : members.filter((one) => one.number <= upTo);
    if (some.length === 0) return outcome !== null && members.length > 0;
    const value: WaitAnswer = { outcome: outcome ?? 'timeout', results, cursor: group.cursor };
    let text: string | null = null;
    registry.tell(some, { answer: value, text: () => (text ??= JSON.stringify(value)) });
    return outcome !== null && some.length < members.length;
  };
  return {
    wake,
    ask,
    poll() {
      const now = clock.monotonic();
      for (const [shard, [line]] of shards) {
        if (line !== undefined && now - (lookedAt.get(shard) ?? now) >= options.feedPollMs) wake(line);
      }
    },
  };
}

interface Look {
  readonly views: ReadonlyMap<string, ResourceView>;
  /** Whose time is up. */
  readonly due: ReadonlySet<Parked>;
  /** Who was parked when it began. */
  readonly upTo: number;
}

function changedIn(line: Line<Parked>, page: ChangePage): Group<Parked>[] {
  return page.changes.flatMap((change) => {
    const uid = change.type === 'row' ? change.view.row.uid : change.uid;
    return [...(line.groups.get(uid) ?? [])];
  });
}

/** The rows of the groups touched: those that the page has, and the others as they are now. */
async function viewsOf(
  { resources, lane }: ParkedWaitsDeps,
  {
    line,
    touched,
    page,
  }: { readonly line: Line<Parked>; readonly touched: ReadonlySet<Group<Parked>>; readonly page: ChangePage },
): Promise<ReadonlyMap<string, ResourceView>> {
  const views = new Map<string, ResourceView>();
  for (const change of page.changes) if (change.type === 'row') views.set(change.view.row.uid, change.view);
  const all = [...touched];
  for (const workspace of new Set(all.flatMap(workspacesOf))) {
    const uids = [...new Set(all.flatMap((group) => uidsIn(group, workspace)))].filter((uid) => !views.has(uid));
    for (let from = 0; from < uids.length; from += wantedMax) {
      const some = uids.slice(from, from + wantedMax);
      const found = await lane.run(workspace, () => resources.bareByUid(line.scope, workspace, some));
      for (const view of found) views.set(view.row.uid, view);
    }
  }
  return views;
}
