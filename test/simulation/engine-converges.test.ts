import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Action, Plan, Reconciler } from '#controller/contract.ts';
import { createEngine } from '#controller/engine.ts';
import { silentLogger } from '#controller/log.ts';
import { createOptions } from '#controller/options.ts';
import { createFixedRng, createVirtualClock } from '#controller/testing.ts';
import { defineKind } from '#resources/kind.ts';
import type { JsonObject } from '#resources/json.ts';
import type { ResourceRow } from '#resources/resource.ts';
import { human } from '#resources/testing.ts';
import { createMemoryDatabase } from './memory-store/database.ts';
import { createMemorySignals } from './memory-store/signals.ts';
import { createMemoryStores } from './memory-store/stores.ts';

const Note = defineKind({
  name: 'Workspace',
  plural: 'workspaces',
  area: 'notes',
  spec: { text: z.string().default('hi') },
  status: { external: z.object({ id: z.string() }).optional() },
  conditions: ['Written'],
});

interface Seen {
  readonly text: string | null;
}

/** A provider in memory: one text per uid. */
function noteReconciler(world: Map<string, string>): Reconciler<typeof Note, Seen, Action & { text?: string }> {
  return {
    kind: Note,
    timing: { resyncEveryMs: 600_000, visibilityMs: 0, maxCallMs: 30_000 },
    observe: (_desired, target, ctx) =>
      ctx.call({ provider: 'notes', account: 'a', op: 'get', mutating: false }, () =>
        Promise.resolve({ text: world.get(target.uid) ?? null }),
      ),
    plan(desired, seen): Plan<Action & { text?: string }> {
      if (desired.state === 'absent') {
        if (seen.text === null) return { verdict: 'converged' };
        return { verdict: 'act', actions: [{ type: 'erase', effect: 'delete', risk: 'guarded' }] };
      }
      const { text } = desired.spec;
      if (seen.text === text) return { verdict: 'converged' };
      const effect = seen.text === null ? 'create' : 'update';
      const changes = [{ path: 'text', have: seen.text, want: text }];
      return { verdict: 'act', actions: [{ type: 'write', effect, risk: 'free', text, changes }] };
    },
    resolve: () => 'undecided',
    // oxlint-disable-next-line eslint/max-params -- the contract's own form
    async apply(_desired, target, action, ctx) {
      await ctx.call({ provider: 'notes', account: 'a', op: 'put', mutating: true, safety: 'repeatable' }, () => {
        if (action.text === undefined) world.delete(target.uid);
        else world.set(target.uid, action.text);
        return Promise.resolve();
      });
    },
    report: (_desired, seen) => ({
      status: seen.text === null ? {} : { external: { id: `note-${seen.text}` } },
      facts: [
        {
          type: 'Written',
          status: seen.text === null ? 'False' : 'True',
          reason: seen.text === null ? 'Creating' : 'Available',
          message: 'A note.',
        },
      ],
    }),
    exists: (seen) => seen.text !== null,
    account: () => ({ provider: 'notes', account: 'a' }),
  };
}

function createWorld() {
  const clock = createVirtualClock();
  const signals = createMemorySignals();
  const db = createMemoryDatabase({ now: () => clock.now(), committed: (shard) => signals.signal([shard]) });
  const stores = createMemoryStores(db);
  const notes = new Map<string, string>();
  const engine = createEngine({
    store: stores.engine,
    providers: stores.providers,
    replays: stores.replays,
    signals,
    registry: [noteReconciler(notes)],
    clock,
    rng: createFixedRng(),
    options: createOptions(),
    log: silentLogger,
    buildId: 'test',
    holder: 'w1',
  });
  const key = { workspace: 'acme', kind: 'Workspace', name: 'acme' };
  const write = (spec: JsonObject): Promise<unknown> =>
    stores.resources.mutate({
      scope: 'platform',
      workspace: 'acme',
      reads: [key],
      follow: () => [],
      decide: (snapshot) => {
        const row = [...snapshot.rows.values()][0];
        const base = {
          key,
          labels: {},
          annotations: {},
          spec: { ...common, ...spec },
          by: human,
          approved: [],
          fires: [],
        };
        return [
          row === undefined
            ? { ...base, op: 'insert', uid: 'u1', owner: null }
            : { ...base, op: 'update', uid: row.uid, newGeneration: true },
        ];
      },
    });
  const remove = (): Promise<unknown> =>
    stores.resources.mutate({
      scope: 'platform',
      workspace: 'acme',
      reads: [key],
      follow: () => [],
      decide: () => [
        {
          op: 'delete',
          uid: 'u1',
          key,
          policy: 'Delete',
          undoForMs: 0,
          by: human,
          confirmed: true,
          approved: [],
          fires: [],
        },
      ],
    });
  const read = async (): Promise<ResourceRow | null> => (await stores.resources.get('platform', key))?.row ?? null;
  return { clock, engine, notes, write, remove, read };
}

const common = Note.spec.parse({}) as JsonObject;

const said = (row: ResourceRow | null): Record<string, string> =>
  Object.fromEntries((row?.conditions ?? []).map((one) => [one.type, `${one.status}/${one.reason}`]));

describe('an engine over a store in memory', () => {
  it('creates what is declared, says Ready, repairs it when it is changed outside, and removes it', async () => {
    const world = createWorld();
    await world.engine.start();
    await world.write({ text: 'one' });
    await world.clock.advance(2_000);
    expect(said(await world.read())).toEqual({
      InSync: 'True/Current',
      Ready: 'True/Available',
      Written: 'True/Available',
    });

    await world.write({ text: 'two' });
    await world.clock.advance(2_000);
    expect(world.notes.get('u1')).toBe('two');
    expect(await world.read()).toMatchObject({
      generation: 2,
      observedGeneration: 2,
      status: { external: { id: 'note-two' } },
    });

    const before = await world.read();
    await world.clock.advance(1_800_000);
    expect(await world.read()).toBe(before);

    world.notes.set('u1', 'from outside');
    await world.clock.advance(1_200_000);
    expect(world.notes.get('u1')).toBe('two');

    await world.remove();
    await world.clock.advance(2_000);
    expect([await world.read(), world.notes.size]).toEqual([null, 0]);
    const stopped = world.engine.stop();
    await world.clock.advance(20_000);
    await stopped;
  });
});
