import type { Resource, ResourceRow } from '#resources/resource.ts';
import { shardOf } from '#resources/shard.ts';
import { isOpen } from '#test/simulation/memory-store/intents.ts';
import type { Shard } from '#test/simulation/memory-store/database.ts';
import type { Clouds } from './clouds.ts';
import type { Effect } from './effects.ts';
import { Violation } from './performing.ts';
import { bucketsOf } from '#test/simulation/scenarios/bucket.ts';
import { workspaceName } from '#test/simulation/scenarios/scenario.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import type { BareWorld } from './bare-world.ts';

/**
 * What must hold after every step (reliability.md, Oracles). Each throws Violation.
 *
 * O2 at most one external object per uid · O3 each has a live row, an open intent or a `retained` entry · O5 nothing is created twice ·
 * O6 Ready=True(g) only if the world matched g · O7 no mutating call without the lease · O10 every location allowed ·
 * O11 no secret in what others can read. O1 and O9 are questions of the end: see suites/
 */
export interface OracleOptions {
  readonly world: BareWorld;
  readonly clouds: Clouds;
  readonly scenarios: readonly Scenario[];
  /** The cloud does things twice by itself: duplicates are allowed until they are settled. */
  readonly duplicatesAllowed: boolean;
}

const locationsAllowed = new Set(['northamerica-northeast1', 'NORTHAMERICA-NORTHEAST1']);

/** O6 for whoever reads a row. */
export interface Truth {
  /** Throws if what is shown claims more than was ever true. */
  check(shown: Resource): void;
}

/** Registers the oracles with the world. */
export function watchOracles(options: OracleOptions): Truth {
  const { world } = options;
  const truth = createTruth(options);
  const plans = createPlans(world);
  const fences = createFences(world);
  world.onExecute((effect) => fences.before(effect));
  world.observe((effect) => {
    plans.look(effect);
    if (!effect.mutating) return;
    fences.look(effect);
    if (effect.door === 'provider' || effect.op === 'engine.settleRemoval') objects(options);
    truth.look(effect);
  });
  world.onIssue((effect) => {
    if (effect.door !== 'provider' || !effect.mutating) return;
    const uid = leased(world, effect);
    plans.check(effect, uid);
  });
  return truth;
}

/** All rows of the one workspace that simulations use. */
export function tablesOf(world: BareWorld): Shard | undefined {
  return world.db.shards.get(shardOf(workspaceName));
}

export interface MarkedObject {
  readonly uid: string;
  readonly location: string;
  readonly what: string;
}

/** Everything at the providers that bears a mark of ours. */
export function markedObjects(clouds: Clouds): readonly MarkedObject[] {
  const { tiny } = clouds;
  const tokens = Array.from(tiny.tokens.entries(), ([id, { uid, location }]) => ({
    uid,
    location,
    what: `token ${id}`,
  }));
  const links = Array.from(tiny.links.entries(), ([name, { uid, location }]) => ({
    uid: uid ?? '',
    location,
    what: `link ${name}`,
  }));
  const buckets = bucketsOf(clouds).map(({ labels, location }) => ({
    uid: labels?.['vibn-uid'] ?? '',
    location,
    what: `bucket ${String(labels?.['workspace'])}`,
  }));
  return [...tokens, ...links, ...buckets].filter((one) => one.uid !== '' && one.uid !== 'somebody-else');
}

function objects({ world, clouds, duplicatesAllowed }: OracleOptions): void {
  const tables = tablesOf(world);
  const byUid = new Map<string, string>();
  for (const { uid, location, what } of markedObjects(clouds)) {
    const other = byUid.get(uid);
    if (other !== undefined && !duplicatesAllowed) throw new Violation(`O2: ${other} and ${what} are both of ${uid}`);
    byUid.set(uid, what);
    const isKnown =
      tables?.rows.has(uid) === true ||
      (tables?.intents.get(uid) ?? []).some(isOpen) ||
      // Only observed: its row goes without an action (architecture, Deletion).
      tables?.revisions.get(uid)?.at(-1)?.spec['managementPolicy'] === 'Observe' ||
      world.db.retained.some((one) => one.uid === uid);
    if (!isKnown) throw new Violation(`O3: ${what} of ${uid} has no row, no open intent and is not retained`);
    if (!locationsAllowed.has(location)) throw new Violation(`O10: ${what} is in ${location}`);
  }
  const sent = new Map<string, number>();
  for (const [, { uid }] of clouds.tiny.letters.entries()) sent.set(uid, (sent.get(uid) ?? 0) + 1);
  for (const [uid, count] of sent) {
    if (count > 1 && !duplicatesAllowed) throw new Violation(`O5: ${String(count)} letters were sent for ${uid}`);
  }
}

/** The rows that a provider effect may be for: tiny calls name the uid, Cloud Storage the bucket. */
function rowsOfEffect(world: BareWorld, effect: Effect): readonly ResourceRow[] {
  const tables = tablesOf(world);
  if (!effect.op.startsWith('gcs.')) return present([tables?.rows.get(effect.subject)]);
  const uid = world.db.claims.get(`Bucket\u0000${effect.subject}`)?.uid ?? '';
  const deletions = effect.op.includes('/o/') ? [...(tables?.rows.values() ?? [])].filter(isObjectDeletion) : [];
  return present([tables?.rows.get(uid), ...deletions]);
}

const isObjectDeletion = (row: ResourceRow): boolean => row.kind === 'ObjectDeletion';

function present(rows: readonly (ResourceRow | undefined)[]): readonly ResourceRow[] {
  return rows.filter((row) => row !== undefined);
}

/** O7: whoever calls holds the row. Answers its uid. */
function leased(world: BareWorld, effect: Effect): string {
  const rows = rowsOfEffect(world, effect);
  const works = rows.map((row) => ({ uid: row.uid, work: tablesOf(world)?.work.get(row.uid) }));
  const held = works.find(({ work }) => work?.holder === effect.worker && (work.leaseUntil ?? 0) > world.now());
  if (held !== undefined) return held.uid;
  const holders = works.map(({ work }) => `${String(work?.holder)} until ${String(work?.leaseUntil)}`).join(', ');
  throw new Violation(
    `O7: ${effect.worker} calls ${effect.op} for ${effect.subject}, held by ${holders}, now ${String(world.now())}`,
  );
}

/** Decisions that need the claim's epoch (architecture §2, law 13). */
const fenced =
  /^engine\.(settle|settleDeclare|settleRemoval|announce|markSending|extend|beginFinalizing|clearFinalizing|beginRecreate)$/;

/** O7: a fenced write of somebody who did not hold the row has changed nothing of it. */
function createFences(world: BareWorld): { before(effect: Effect): void; look(effect: Effect): void } {
  const before = new Map<string, { readonly holder: string | null; readonly row: unknown; readonly work: unknown }>();
  return {
    // Right before, and not after the effect before this one: the agent's own edits come in between.
    before({ op, subject }) {
      before.clear();
      if (!fenced.test(op)) return;
      const tables = tablesOf(world);
      for (const uid of subject.split(',')) {
        const work = tables?.work.get(uid);
        if (work !== undefined) before.set(uid, { holder: work.holder, row: tables?.rows.get(uid), work });
      }
    },
    look({ op, worker }) {
      const tables = tablesOf(world);
      for (const [uid, was] of before) {
        if (was.holder === worker) continue;
        if (tables?.rows.get(uid) === was.row && tables?.work.get(uid) === was.work) continue;
        throw new Violation(`O7: ${op} of ${worker} was accepted for ${uid}, which ${String(was.holder)} held`);
      }
    },
  };
}

/**
 * Stale plans are not applied: when the lease for a call was granted, the row was at the generation that the worker had read. (An edit in
 * the two seconds between the grant and the send is not seen by anybody.)
 */
function createPlans(world: BareWorld): { look(effect: Effect): void; check(effect: Effect, uid: string): void } {
  const read = new Map<string, number>();
  const stale = new Map<string, boolean>();
  const generationOf = (uid: string): number | undefined => tablesOf(world)?.rows.get(uid)?.generation;
  return {
    look({ op, worker, subject }) {
      if (op === 'engine.readRows') {
        for (const uid of subject.split(',')) read.set(`${worker}/${uid}`, generationOf(uid) ?? 0);
      } else if (op === 'engine.extend' || op === 'engine.markSending') {
        const key = `${worker}/${subject.split(',')[0] ?? ''}`;
        stale.set(key, read.get(key) !== generationOf(subject.split(',')[0] ?? ''));
      }
    },
    check({ op, worker }, uid) {
      if (stale.get(`${worker}/${uid}`) !== true) return;
      throw new Violation(`plan = apply: ${worker} calls ${op} for ${uid} by the plan of an older generation`);
    },
  };
}

/** O6: remembers when the world last matched each generation, and judges each Ready=True by it. */
function createTruth({ world, clouds, scenarios }: OracleOptions): Truth & { look(effect: Effect): void } {
  const matchedAt = new Map<string, number>();
  const judged = new Map<string, number>();
  const scenarioOf = (row: ResourceRow): Scenario | undefined =>
    scenarios.find(
      (one) => one.kind === row.kind && (row.kind !== 'Letter' || one.untraceable !== row.spec['traceable']),
    );
  const isMatched = (row: ResourceRow, generation: number): boolean => {
    const spec = tablesOf(world)
      ?.revisions.get(row.uid)
      ?.find((one) => one.generation === generation)?.spec;
    const scenario = scenarioOf(row);
    return scenario === undefined || spec === undefined || scenario.matches(clouds, row, spec);
  };
  const note = (row: ResourceRow): void => {
    if (isMatched(row, row.generation)) matchedAt.set(`${row.uid}/${String(row.generation)}`, world.now());
  };
  return {
    check({ kind, metadata, status }) {
      const ready = status.conditions.find((one) => one.type === 'Ready');
      const isSimulated = scenarios.some((one) => one.kind === kind);
      if (ready?.status !== 'True' || !isSimulated || wasTrue(metadata.uid, metadata.generation)) return;
      throw new Violation(
        `O6: ${kind} ${metadata.name} is shown as Ready for generation ${metadata.generation}, which never was`,
      );
    },
    look(effect) {
      if (effect.door === 'provider') {
        rowsOfEffect(world, effect).forEach(note);
        return;
      }
      if (!effect.op.startsWith('engine.settle')) return;
      for (const row of tablesOf(world)?.rows.values() ?? []) {
        if (judged.get(row.uid) === row.version) continue;
        judged.set(row.uid, row.version);
        judge(row);
      }
    },
  };

  function wasTrue(uid: string, generation: number): boolean {
    return matchedAt.has(`${uid}/${String(generation)}`);
  }

  function judge(row: ResourceRow): void {
    const ready = row.conditions.find((one) => one.type === 'Ready');
    if (ready?.status !== 'True') return;
    note(row);
    const generation = ready.observedGeneration;
    if (wasTrue(row.uid, generation) || isMatched(row, generation)) return;
    throw new Violation(
      `O6: ${row.kind} ${row.name} says Ready=True for generation ${String(generation)}, which never was`,
    );
  }
}

/** O11: the secrets that the tiny cloud told. */
export function checkSecrets(world: BareWorld): void {
  const tables = tablesOf(world);
  for (const row of tables?.rows.values() ?? []) {
    const left = [tables?.passes, tables?.intents, tables?.operations].map((table) => table?.get(row.uid) ?? []);
    const shown = JSON.stringify([row.status, row.conditions, ...left]);
    if (shown.includes('canary-'))
      throw new Violation(`O11: a secret is in what was stored of ${row.kind} ${row.name}`);
  }
  if (world.logged().some((line) => line.includes('canary-'))) throw new Violation('O11: a secret was logged');
}
