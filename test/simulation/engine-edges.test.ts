import { describe, expect, it } from 'vitest';
import { ProviderError } from '#controller/contract.ts';
import { StoreUnavailable } from '#controller/store/sql-errors.ts';
import { shardOf } from '#resources/shard.ts';
import { createBench, Errand, Place, said, Thing, Workspace } from './engine-bench.ts';

const shard = shardOf('acme');
const minute = 60_000;

describe('a row that others need', () => {
  it('keeps its object however many other rows come before those', async () => {
    const { apply, clock, read, remove, provider, db } = await createBench();
    await apply(Thing, 'first', {});
    await apply(Thing, 'zz-needs-it', { after: 'first' });
    await clock.advance(5_000);
    const tables = db.shards.get(shard);
    const row = await read(Thing, 'first');
    if (tables === undefined || row === null) throw new Error('the bench is empty');
    // Rows that refer to nothing and are due never; by uid all of them come before the one that matters.
    for (let index = 0; index < 1_000; index += 1) {
      const uid = `A${index}`;
      tables.rows.set(uid, { ...row, uid, name: `other-${index}` });
    }
    await remove(Thing, 'first');
    await clock.advance(5_000);
    expect(provider.objects.has('Thing-first')).toBe(true);
    expect(said(await read(Thing, 'first'))).toMatchObject({ DeletionBlocked: 'True/HasDependents' });
  });
});

describe('a name that exists once in the world', () => {
  it('goes to who waits for it, of whichever shard, as soon as its row is gone', async () => {
    const { apply, clock, read, remove, declarerIn } = await createBench();
    const beta = declarerIn('beta');
    expect(shardOf('beta')).not.toBe(shard);
    await apply(Place, 'spot', {});
    await clock.advance(2_000);
    await beta.apply(Workspace, 'beta', {});
    await beta.apply(Place, 'spot', {});
    await clock.advance(2_000);
    expect(said(await beta.read(Place, 'spot'))).toMatchObject({ Stalled: 'True/NameTaken' });
    await remove(Place, 'spot');
    await clock.advance(10_000);
    expect(await read(Place, 'spot')).toBeNull();
    expect(said(await beta.read(Place, 'spot'))).toMatchObject({ Ready: 'True/Available' });
  });
});

describe('an observed row that is deleted', () => {
  it('while a send of it is open is looked at until that is known, and goes then', async () => {
    const { apply, clock, read, remove, provider } = await createBench();
    provider.afterWrite = () =>
      Promise.reject(
        new ProviderError('no', {
          verdict: 'retryable',
          reason: 'ProviderTimeout',
          outcome: 'unknown',
          providerCode: '',
        }),
      );
    provider.beforeRead = () => (provider.writes.length > 0 ? new Promise(() => undefined) : Promise.resolve());
    await apply(Errand, 'run', {});
    await clock.advance(1_000);
    expect(provider.writes).toEqual(['write run']);
    await apply(Errand, 'run', { managementPolicy: 'Observe' });
    await remove(Errand, 'run');
    await clock.advance(minute);
    expect(await read(Errand, 'run')).not.toBeNull();
    provider.beforeRead = () => Promise.resolve();
    await clock.advance(5 * minute);
    expect(await read(Errand, 'run')).toBeNull();
  });
});

describe('an effect that was done so long ago that no pass sees it', () => {
  it('is not done again, and the row says that the plan is wrong', async () => {
    const { apply, clock, read, provider, db } = await createBench();
    await apply(Errand, 'run', {});
    const tables = db.shards.get(shard);
    const row = await read(Errand, 'run');
    if (tables === undefined || row === null) throw new Error('the bench is empty');
    const at = clock.now() - minute;
    const done = { effect: 'run', attempt: 1, nonce: 'n1', args: {}, result: null, contradicts: false } as const;
    const times = { announcedAt: at, sentAt: at, giveUpAt: at, answeredAt: at };
    tables.intents.set(row.uid, [{ ...done, ...times, state: 'done' }]);
    tables.archived.add('n1');
    await clock.advance(5 * minute);
    expect(provider.writes).toEqual([]);
    expect(said(await read(Errand, 'run'))).toMatchObject({ Stalled: 'True/InvariantViolated' });
  });
});

describe('a store that refuses', () => {
  it('the children of a row leaves it Stalled as InternalError, not claimed again and again', async () => {
    const { apply, clock, read, stores, db } = await createBench();
    stores.engine.settleDeclare = () => Promise.reject(new Error('duplicate key value violates unique constraint'));
    await apply(Thing, 'owner', { parts: ['a'] });
    await clock.advance(minute);
    expect(said(await read(Thing, 'owner'))).toMatchObject({ Stalled: 'True/InternalError' });
    expect(db.shards.get(shard)?.work.get('Thing-owner')).toMatchObject({ holder: null, takenOverAt: null });
  });

  it('the removal of a row leaves it Stalled as InternalError', async () => {
    const { apply, clock, read, remove, stores } = await createBench();
    await apply(Thing, 'one', {});
    await clock.advance(2_000);
    stores.engine.settleRemoval = () => Promise.reject(new Error('no such column'));
    await remove(Thing, 'one');
    await clock.advance(minute);
    expect(said(await read(Thing, 'one'))).toMatchObject({ Stalled: 'True/InternalError' });
  });
});

describe('a store that does not answer', () => {
  it('while tokens are leased is no bug of ours: the row is tried again and nobody is told otherwise', async () => {
    const { apply, clock, read, stores, provider } = await createBench();
    const takeTokens = stores.providers.takeTokens.bind(stores.providers);
    let silent = true;
    stores.providers.takeTokens = (input) =>
      silent ? Promise.reject(new StoreUnavailable('take_tokens', null)) : takeTokens(input);
    await apply(Thing, 'one', {});
    await clock.advance(2_000);
    expect(said(await read(Thing, 'one'))).not.toHaveProperty('Stalled');
    silent = false;
    await clock.advance(20_000);
    expect(said(await read(Thing, 'one'))).toMatchObject({ Ready: 'True/Available' });
    expect(provider.writes).toEqual(['write one']);
  });
});

describe('a pass that outlives its time while a change is under way', () => {
  it('does not give its row back before nothing of it can land any more', async () => {
    const { apply, clock, read, provider } = await createBench();
    let look = (): void => undefined;
    let land = (): void => undefined;
    provider.beforeLook = () => new Promise((resolve) => (look = resolve));
    provider.beforeWrite = () => new Promise((resolve) => (land = resolve));
    await apply(Thing, 'one', { text: 'first' });
    await clock.advance(50_000);
    look();
    await clock.advance(12_000);
    // Its minute is over, and its call has another 18 s. An edit comes, and what the first call does takes effect after that.
    provider.beforeLook = () => Promise.resolve();
    provider.beforeWrite = () => Promise.resolve();
    await apply(Thing, 'one', { text: 'second' });
    await clock.advance(5_000);
    land();
    await clock.advance(3 * minute);
    expect(provider.objects.get('Thing-one')).toBe('second');
    expect(said(await read(Thing, 'one'))).toMatchObject({ Ready: 'True/Available' });
  });
});
