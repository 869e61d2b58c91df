import { projectResource } from '#resources/conditions.ts';
import { notFound } from '#resources/errors.ts';
import type { RememberedRequest } from '#resources/mutation.ts';
import { keyText } from '#resources/reference.ts';
import type { Resource, ResourceKey, ResourceView } from '#resources/resource.ts';
import type { Admitted } from './admission/chain.ts';
import type { ApiDeps, Call } from './context.ts';

/** The resource after a mutation, or as it is now when the request is a repeat. */
export interface MutationAnswer extends Resource {
  /** Sticky fields that were omitted and kept. */
  readonly kept: readonly string[];
  readonly replayed: boolean;
  /** On a repeat: the generation that the first request made. */
  readonly replayedGeneration?: number;
}

/** What a repeat answers when its row is gone. */
export interface GoneAnswer {
  readonly replayed: true;
  readonly gone: true;
  readonly uid: string | null;
  readonly generation: number | null;
}

export type Answer = MutationAnswer | GoneAnswer;

/** What one key of a mutation came to: `kept` is of that manifest alone. */
interface Named {
  readonly key: ResourceKey;
  readonly kept: readonly string[];
}

/** Answers for each key, in order. `named` tells the kept fields once the mutation is done. */
export async function answersOf<Result>(
  deps: ApiDeps,
  call: Call,
  input: {
    readonly workspace: string;
    readonly keys: readonly ResourceKey[];
    readonly admitted: Admitted<Result>;
    readonly kept: (result: Result) => readonly (readonly string[])[];
  },
): Promise<readonly Answer[]> {
  const { admitted, keys } = input;
  if (!admitted.done) return replayedAnswers(deps, call, { ...input, earlier: admitted.earlier });
  const kept = input.kept(admitted.result);
  const written = byKey(admitted.outcome.views);
  const unwritten = keys.filter((key) => !written.has(keyText(key)));
  const left = await rowsNow(deps, call, { workspace: input.workspace, keys: unwritten });
  return keys.map((key, index) => {
    const view = written.get(keyText(key)) ?? left.get(keyText(key));
    if (view === undefined) throw notFound();
    return fresh(view, { key, kept: kept[index] ?? [] });
  });
}

/** The rows as they are now, by key: one statement however many there are. */
async function rowsNow(
  deps: ApiDeps,
  call: Call,
  { workspace, keys }: { readonly workspace: string; readonly keys: readonly ResourceKey[] },
): Promise<ReadonlyMap<string, ResourceView>> {
  return byKey(keys.length === 0 ? [] : await deps.stores.resources.getByKeys(call.scope, workspace, keys));
}

function byKey(views: readonly ResourceView[]): ReadonlyMap<string, ResourceView> {
  return new Map(views.map((view) => [keyText(view.row), view]));
}

function fresh(view: ResourceView, named: Named): MutationAnswer {
  return { ...projectResource(view), kept: named.kept, replayed: false };
}

/** A request that wrote each of its keys remembers them in order; one that left some as they were is answered by key. */
async function replayedAnswers(
  deps: ApiDeps,
  call: Call,
  input: { workspace: string; keys: readonly ResourceKey[]; earlier: RememberedRequest },
): Promise<readonly Answer[]> {
  const { resources } = deps.stores;
  const { results } = input.earlier;
  const uids = results.map((result) => result.uid);
  const now = new Map(
    (await resources.getByUid(call.scope, input.workspace, uids)).map((view) => [view.row.uid, view]),
  );
  if (results.length >= input.keys.length) return results.map((result) => repeated(now.get(result.uid), result));
  const named = await rowsNow(deps, call, input);
  return input.keys.map((key) => {
    const view = named.get(keyText(key));
    const result = results.find((one) => one.uid === view?.row.uid);
    return repeated(view, result ?? { uid: null, generation: view?.row.generation ?? null });
  });
}

function repeated(
  view: ResourceView | undefined,
  result: { readonly uid: string | null; readonly generation: number | null },
): Answer {
  if (view === undefined) return { replayed: true, gone: true, uid: result.uid, generation: result.generation };
  const replayedGeneration = result.generation ?? view.row.generation;
  return { ...projectResource(view), kept: [], replayed: true, replayedGeneration };
}

/** The only answer of a mutation of one row. */
export function single(answers: readonly Answer[]): Answer {
  const [answer] = answers;
  if (answer === undefined) throw notFound();
  return answer;
}
