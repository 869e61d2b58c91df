import { describe, expect, it } from 'vitest';
import { ProviderError } from '#controller/contract.ts';
import { shardOf } from '#resources/shard.ts';
import { agent } from '#resources/testing.ts';
import { createBench, Errand, said, Thing, Vault, Workspace } from './engine-bench.ts';

const shard = shardOf('acme');
const minute = 60_000;
const refuse =
  (verdict: 'rejected' | 'retryable' | 'unavailable' | 'credential', outcome: 'not-done' | 'unknown') => () =>
    Promise.reject(new ProviderError('no', { verdict, reason: 'ProviderRejected', outcome, providerCode: '400' }));

describe('dependencies', () => {
  it('are waited for by their topic, and nothing is asked of the provider meanwhile', async () => {
    const { apply, clock, read, provider } = await createBench();
    await apply(Thing, 'second', { after: 'first' });
    await clock.advance(1_000);
    expect(said(await read(Thing, 'second'))).toEqual({
      DependenciesReady: 'False/DependencyNotFound',
      Ready: 'False/DependencyNotFound',
      Reconciling: 'True/DependencyNotFound',
    });
    expect(provider.reads).toBe(0);
    await apply(Thing, 'first', {});
    await clock.advance(2_000);
    expect(said(await read(Thing, 'second'))).toMatchObject({
      Ready: 'True/Available',
      DependenciesReady: 'True/Current',
    });
  });

  it('that stall take Ready away from what needs them, which is still observed', async () => {
    const { apply, clock, read, provider } = await createBench();
    await apply(Thing, 'first', {});
    await apply(Thing, 'second', { after: 'first' });
    await clock.advance(5_000);
    provider.beforeWrite = refuse('rejected', 'not-done');
    await apply(Thing, 'first', { text: 'other' });
    await clock.advance(2_000);
    expect(said(await read(Thing, 'second'))).toEqual({
      DependenciesReady: 'False/DependencyFailed',
      InSync: 'True/Current',
      Ready: 'False/DependencyFailed',
      Reconciling: 'True/DependencyFailed',
    });
  });
});

describe('children', () => {
  it('are declared in the owner’s settle, follow its spec, and go before it does', async () => {
    const { apply, clock, read, remove, db } = await createBench();
    await apply(Thing, 'owner', { parts: ['a', 'b'] });
    await clock.advance(3_000);
    expect(await read(Thing, 'part-a')).toMatchObject({ ownerUid: 'Thing-owner', slot: 'a' });
    expect(said(await read(Thing, 'part-b'))).toMatchObject({ Ready: 'True/Available' });
    expect(said(await read(Thing, 'owner'))).toMatchObject({ Ready: 'True/Available', InSync: 'True/Current' });

    await apply(Thing, 'owner', { parts: ['b'] });
    await clock.advance(3_000);
    expect(await read(Thing, 'part-a')).toBeNull();

    await remove(Thing, 'owner');
    await clock.advance(5_000);
    expect([await read(Thing, 'part-b'), await read(Thing, 'owner')]).toEqual([null, null]);
    expect(db.shards.get(shard)?.tombstones.map((one) => one.key.name)).toEqual(['part-a', 'part-b', 'owner']);
  });

  it('that are refused stall their owner, and none is written', async () => {
    const { apply, clock, read } = await createBench();
    await apply(Thing, 'owner', { parts: ['a', 'NOT A NAME'] });
    await clock.advance(3_000);
    expect(said(await read(Thing, 'owner'))).toMatchObject({ Stalled: 'True/SpecInvalid' });
    expect(await read(Thing, 'part-a')).toBeNull();
  });
});

describe('deletion', () => {
  it('waits for what needs the row, and goes on by itself when that is gone', async () => {
    const { apply, clock, read, remove, provider } = await createBench();
    await apply(Thing, 'first', {});
    await apply(Thing, 'second', { after: 'first' });
    await clock.advance(5_000);
    await remove(Thing, 'first');
    await clock.advance(2_000);
    expect(said(await read(Thing, 'first'))).toMatchObject({
      DeletionBlocked: 'True/HasDependents',
      Ready: 'False/Deleting',
    });
    expect(provider.objects.has('Thing-first')).toBe(true);
    await remove(Thing, 'second');
    await clock.advance(3_000);
    expect([await read(Thing, 'first'), provider.objects.size]).toEqual([null, 0]);
  });

  it('of a Workspace waits for every row in it', async () => {
    const { apply, clock, read, remove } = await createBench();
    await apply(Thing, 'one', {});
    await clock.advance(2_000);
    await remove(Workspace, 'acme');
    await clock.advance(2_000);
    expect(said(await read(Workspace, 'acme'))).toMatchObject({ DeletionBlocked: 'True/HasDependents' });
    await remove(Thing, 'one');
    await clock.advance(3_000);
    expect(await read(Workspace, 'acme')).toBeNull();
  });

  it('destroys no data inside the undo window, and does after it', async () => {
    const { apply, clock, read, remove, provider } = await createBench();
    await apply(Vault, 'gold', {});
    await clock.advance(2_000);
    await remove(Vault, 'gold', 5 * minute);
    await clock.advance(4 * minute);
    expect(said(await read(Vault, 'gold'))).toMatchObject({ DeletionBlocked: 'True/InUndoWindow' });
    expect(await read(Vault, 'gold')).toMatchObject({ finalizingAt: null });
    await clock.advance(2 * minute);
    expect([await read(Vault, 'gold'), provider.objects.size]).toEqual([null, 0]);
  });

  it('of an observed row takes the row alone', async () => {
    const { apply, clock, read, remove, provider } = await createBench();
    await apply(Thing, 'one', {});
    await clock.advance(2_000);
    await apply(Thing, 'one', { managementPolicy: 'Observe' });
    await remove(Thing, 'one');
    await clock.advance(2_000);
    expect([await read(Thing, 'one'), provider.objects.size]).toEqual([null, 1]);
  });

  it('stops after 20 rows of a workspace in ten minutes, and goes on in the next', async () => {
    const { apply, clock, remove, provider } = await createBench();
    const names = Array.from({ length: 25 }, (_, index) => `t${index}`);
    for (const name of names) await apply(Thing, name, {});
    await clock.advance(5_000);
    for (const name of names) await remove(Thing, name);
    await clock.advance(9 * minute);
    expect(provider.objects.size).toBe(5);
    await clock.advance(15 * minute);
    expect(provider.objects.size).toBe(0);
  });
});

describe('brakes', () => {
  it('make again what vanished, and freeze the account when too much vanishes at once', async () => {
    const { apply, clock, read, provider, stores } = await createBench();
    const names = ['a', 'b', 'c', 'd', 'e'];
    for (const name of names) await apply(Thing, name, {});
    await clock.advance(5_000);
    provider.objects.clear();
    await clock.advance(40 * minute);
    // Those that were let through before the freeze need one more pass, and the freeze stops that too.
    expect(provider.objects.size).toBeLessThanOrEqual(3);
    expect((await stores.providers.providers())[0]?.frozen?.by).toBe('engine');
    const rows = await Promise.all(names.map((name) => read(Thing, name)));
    expect(rows.map((row) => said(row)['Suspended'])).toContain('True/ProviderFrozen');
    await stores.providers.thaw({ provider: 'things', account: 'a' });
    await clock.advance(15 * minute);
    expect(provider.objects.size).toBe(5);
  });

  it('never make again empty what held data, until that is asked for', async () => {
    const { apply, clock, read, provider } = await createBench();
    await apply(Vault, 'gold', {});
    await clock.advance(2_000);
    provider.objects.clear();
    await clock.advance(30 * minute);
    expect(said(await read(Vault, 'gold'))).toEqual({
      DependenciesReady: 'True/Current',
      InSync: 'False/DeletedOutside',
      Ready: 'False/DeletedOutside',
      Stalled: 'True/DeletedOutside',
    });
    expect(provider.writes).toEqual(['write gold']);
    // The remedy works as it stands.
    const stalled = (await read(Vault, 'gold'))?.conditions.find((condition) => condition.type === 'Stalled');
    expect(stalled?.remedy?.map(({ id, call }) => [id, call.proc])).toEqual([
      ['recreate-empty', 'resources.patch'],
      ['look-again', 'replays.create'],
    ]);
    const input = stalled?.remedy?.[0]?.call.input as { patch: { recreate_requested_at: string } } | undefined;
    await apply(Vault, 'gold', input?.patch ?? {});
    await clock.advance(2_000);
    expect(said(await read(Vault, 'gold'))).toMatchObject({ Ready: 'True/Available' });
    provider.objects.clear();
    await clock.advance(30 * minute);
    expect(said(await read(Vault, 'gold'))).toMatchObject({ Stalled: 'True/DeletedOutside' });
  });

  it('stop a change that does not last', async () => {
    const { apply, clock, read, provider } = await createBench();
    await apply(Thing, 'one', {});
    await clock.advance(2_000);
    provider.afterWrite = (uid) => Promise.resolve(void provider.objects.set(uid, 'changed back'));
    await apply(Thing, 'one', { text: 'new' });
    await clock.advance(30 * minute);
    expect(said(await read(Thing, 'one'))).toMatchObject({ Stalled: 'True/DriftLoop', InSync: 'False/DriftLoop' });
    expect(provider.writes).toHaveLength(4);
  });
});

describe('gates', () => {
  it('observe a suspended row and change nothing, until it is resumed', async () => {
    const { apply, clock, read, provider } = await createBench();
    const suspend = { reason: 'holiday' };
    await apply(Thing, 'one', { suspend });
    await clock.advance(2_000);
    expect(said(await read(Thing, 'one'))).toMatchObject({
      Ready: 'False/SuspendedByUser',
      Suspended: 'True/SuspendedByUser',
    });
    expect(provider.writes).toEqual([]);
    await apply(Thing, 'one', {});
    await clock.advance(2_000);
    expect(said(await read(Thing, 'one'))).toEqual({
      DependenciesReady: 'True/Current',
      InSync: 'True/Current',
      Ready: 'True/Available',
    });
  });

  it('hold back what an agent’s generation does not approve', async () => {
    const { apply, clock, read, provider, stores } = await createBench();
    await apply(Thing, 'one', {}, agent);
    await clock.advance(2_000);
    const key = { workspace: 'acme', kind: 'Thing', name: 'one' };
    await stores.resources.mutate({
      scope: 'platform',
      workspace: 'acme',
      reads: [],
      follow: () => [],
      decide: () => [
        {
          op: 'delete',
          uid: 'Thing-one',
          key,
          policy: 'Delete',
          undoForMs: 0,
          by: agent,
          confirmed: true,
          approved: [],
          fires: [],
        },
      ],
    });
    await clock.advance(2_000);
    expect(said(await read(Thing, 'one'))).toMatchObject({ DeletionBlocked: 'True/ApprovalRequired' });
    expect(provider.objects.size).toBe(1);
  });
});

describe('failures', () => {
  it('back off and heal without a restart', async () => {
    const { apply, clock, read, provider } = await createBench();
    provider.beforeWrite = refuse('retryable', 'not-done');
    await apply(Thing, 'one', {});
    await clock.advance(2 * minute);
    expect(said(await read(Thing, 'one'))).toMatchObject({ Ready: 'False/BackingOff', Reconciling: 'True/BackingOff' });
    provider.beforeWrite = () => Promise.resolve();
    await clock.advance(5 * minute);
    expect(said(await read(Thing, 'one'))).toMatchObject({ Ready: 'True/Available' });
  });

  it('of availability park all rows on the breaker, are probed, and end together', async () => {
    const { apply, clock, read, provider } = await createBench();
    provider.beforeRead = refuse('unavailable', 'not-done');
    const names = Array.from({ length: 10 }, (_, index) => `t${index}`);
    for (const name of names) await apply(Thing, name, {});
    await clock.advance(minute);
    expect(said(await read(Thing, 't3'))).toMatchObject({ Reconciling: 'True/ProviderUnavailable' });
    const before = provider.reads;
    await clock.advance(minute);
    expect(provider.reads - before).toBeLessThanOrEqual(13);
    provider.beforeRead = () => Promise.resolve();
    // They become due one after the other, by the account's rate, so that this bench's poll finds them: once a minute.
    await clock.advance(20_000 + minute);
    const rows = await Promise.all(names.map((name) => read(Thing, name)));
    expect(rows.map((row) => said(row)['Ready'])).toEqual(names.map(() => 'True/Available'));
  });

  it('by an unknown outcome are looked up before anything is sent again', async () => {
    const { apply, clock, read, provider } = await createBench();
    provider.afterWrite = refuse('retryable', 'unknown');
    await apply(Thing, 'one', {});
    await clock.advance(2_000);
    expect(said(await read(Thing, 'one'))).toMatchObject({
      Ready: 'Unknown/CreateOutcomeUnknown',
      Reconciling: 'True/CreateOutcomeUnknown',
    });
    await clock.advance(20_000);
    expect(said(await read(Thing, 'one'))).toMatchObject({ Ready: 'True/Available' });
    expect(provider.writes).toEqual(['write one']);
  });

  it('by a call that is never answered end at its deadline, and hold up nobody else', async () => {
    const { apply, clock, read, provider } = await createBench();
    provider.beforeRead = (uid) => (uid === 'Thing-poison' ? new Promise(() => undefined) : Promise.resolve());
    await apply(Thing, 'poison', {});
    await apply(Thing, 'fine', {});
    await clock.advance(2_000);
    expect(said(await read(Thing, 'fine'))).toMatchObject({ Ready: 'True/Available' });
    await clock.advance(minute);
    expect(said(await read(Thing, 'poison'))).toMatchObject({ Ready: 'False/BackingOff' });
  });

  it('by a pass that never ends are Stalled, and what that pass still tries is not sent', async () => {
    const { apply, clock, read, provider } = await createBench();
    let goOn = (): void => undefined;
    provider.beforeLook = () => new Promise((resolve) => (goOn = resolve));
    await apply(Thing, 'poison', {});
    await clock.advance(minute + 1_000);
    expect(said(await read(Thing, 'poison'))).toMatchObject({
      Ready: 'False/DeadlineExceeded',
      Stalled: 'True/DeadlineExceeded',
    });
    goOn();
    await clock.advance(1_000);
    expect([provider.reads, provider.writes]).toEqual([0, []]);
  });

  it('by a throw of our own are Stalled, and heal by a good look', async () => {
    const { apply, clock, read, provider } = await createBench();
    provider.beforeRead = () => Promise.reject(new TypeError('undefined is not a function'));
    await apply(Thing, 'one', {});
    await clock.advance(2_000);
    expect(said(await read(Thing, 'one'))).toMatchObject({
      Ready: 'False/InternalError',
      Stalled: 'True/InternalError',
    });
    provider.beforeRead = () => Promise.resolve();
    await clock.advance(5 * minute);
    expect(said(await read(Thing, 'one'))).toMatchObject({ Ready: 'True/Available' });
  });
});

describe('a once row', () => {
  it('is done once, is never looked at again, and is gone after its seven days', async () => {
    const { apply, clock, read, provider, db } = await createBench();
    await apply(Errand, 'run', {});
    await clock.advance(2_000);
    expect(said(await read(Errand, 'run'))).toMatchObject({ Ready: 'True/Available' });
    provider.objects.clear();
    const { reads } = provider;
    await clock.advance(6 * 24 * 60 * minute);
    expect([provider.reads, provider.writes]).toEqual([reads, ['write run']]);
    expect(said(await read(Errand, 'run'))).toMatchObject({ Ready: 'True/Available' });
    await clock.advance(2 * 24 * 60 * minute);
    expect(await read(Errand, 'run')).toBeNull();
    expect(db.shards.get(shard)?.revisions.get('Errand-run')).toHaveLength(1);
  });

  it('whose answer was lost is looked up, and is not sent again', async () => {
    const { apply, clock, read, provider } = await createBench();
    provider.afterWrite = refuse('retryable', 'unknown');
    await apply(Errand, 'run', {});
    await clock.advance(2 * minute);
    expect(said(await read(Errand, 'run'))).toMatchObject({ Ready: 'True/Available' });
    expect(provider.writes).toEqual(['write run']);
  });
});

describe('a spec that moves under its pass', () => {
  it('stops it before its next effect, and the new one is what stands', async () => {
    const { apply, clock, read, provider } = await createBench();
    let edited = false;
    provider.beforeRead = async () => {
      if (edited) return;
      edited = true;
      await apply(Thing, 'one', { text: 'second' });
    };
    await apply(Thing, 'one', { text: 'first' });
    await clock.advance(2_000);
    expect(provider.objects.get('Thing-one')).toBe('second');
    expect(provider.writes).toEqual(['write one']);
    expect(await read(Thing, 'one')).toMatchObject({ generation: 2, observedGeneration: 2 });
  });
});

describe('a graceful stop', () => {
  it('gives back what sent nothing, at once, and lets another replica go on', async () => {
    const { apply, clock, read, provider, engine, engineOf, db } = await createBench();
    provider.beforeRead = () => new Promise(() => undefined);
    await apply(Thing, 'one', {});
    await clock.advance(1_000);
    const stopped = engine.stop();
    await clock.advance(11_000);
    await stopped;
    expect(db.shards.get(shard)?.work.get('Thing-one')).toMatchObject({ holder: null, takenOverAt: null });
    provider.beforeRead = () => Promise.resolve();
    const second = engineOf('w2');
    await second.start();
    await clock.advance(3_000);
    expect(said(await read(Thing, 'one'))).toMatchObject({ Ready: 'True/Available' });
  });

  it('keeps the lease of a row whose change is under way', async () => {
    const { apply, clock, provider, engine, db } = await createBench();
    provider.beforeWrite = () => new Promise(() => undefined);
    await apply(Thing, 'one', {});
    await clock.advance(1_000);
    const stopped = engine.stop();
    await clock.advance(11_000);
    await stopped;
    expect(db.shards.get(shard)?.work.get('Thing-one')?.holder).toBe('w1');
  });
});
