import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { AdminStore } from '#controller/store/admin-store.ts';
import { brokenAt, type AuditLink } from '#controller/store/audit-chain.ts';
import { RequestRepeated } from '#controller/store/recording.ts';
import type { Recording } from '#controller/store/recording.ts';
import type { ApiKeyRow } from '#controller/store/rows.ts';
import { createSqlAdminStore } from '#controller/store/sql-admin-store.ts';
import { createSqlProviderStore } from '#controller/store/sql-provider-store.ts';
import { createSqlReplayStore } from '#controller/store/sql-replay-store.ts';
import { createSqlEngineStore } from '#controller/store/sql-engine-store.ts';
import { platformShard, shardOf } from '#resources/shard.ts';
import { makeAudit } from '#test/support/audit.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';

const acme = { workspace: 'acme' } as const;
const beta = { workspace: 'beta1' } as const;

let db: TestDatabase;
let admin: AdminStore;
beforeAll(async () => {
  db = await createDatabase();
  const [api, platform, controller] = [db.sql('vibn_api'), db.sql('vibn_platform'), db.sql('vibn_controller')];
  admin = createSqlAdminStore({ api, platform, controller });
});
afterAll(() => db[Symbol.asyncDispose]());
beforeEach(() => db.owner`truncate api_keys, audit_log, requests, operations, plans`);

const keyOf = (id: string, workspace: string | null): ApiKeyRow => ({
  id,
  secretHash: 'ab',
  name: `key ${id}`,
  workspace,
  class: 'agent',
  scopes: ['apps:read', 'a,b"c'],
  lineage: `lin-${id}`,
  createdAt: Date.UTC(2026, 10, 20),
  expiresAt: Date.UTC(2027, 10, 20),
  revokedAt: null,
  lastUsedAt: null,
  ratePerSecond: 7,
});

describe('keys', () => {
  test('are found by id before the workspace is known, whosever they are', async () => {
    await admin.createKey(acme, keyOf('k1', 'acme'));
    await admin.createKey('platform', keyOf('k2', null));
    expect(await admin.findKey('k1')).toEqual(keyOf('k1', 'acme'));
    expect(await admin.findKey('k2')).toEqual(keyOf('k2', null));
    expect(await admin.findKey('k3')).toBeNull();
    expect(await admin.findKey(`k1' or true --`)).toBeNull();
  });

  test('cannot be made for, seen by or revoked by another workspace', async () => {
    await expect(admin.createKey(acme, keyOf('k1', 'beta1'))).rejects.toMatchObject({ code: '42501' });
    await expect(admin.createKey(acme, keyOf('k1', null))).rejects.toMatchObject({ code: '42501' });
    await admin.createKey(beta, keyOf('k2', 'beta1'));
    expect((await admin.listKeys(acme, { workspace: 'beta1', limit: 10 })).items).toEqual([]);
    expect(await admin.revokeKey(acme, 'k2')).toBe(false);
    const theirs = await admin.listKeys('platform', { workspace: 'beta1', limit: 10 });
    expect(theirs.items.map((key) => key.id)).toEqual(['k2']);
    expect((await admin.findKey('k2'))?.revokedAt).toBeNull();
  });

  test('are revoked once, and a repeat keeps the time', async () => {
    await admin.createKey(acme, keyOf('k1', 'acme'));
    expect(await admin.revokeKey(acme, 'k1')).toBe(true);
    const first = (await admin.findKey('k1'))?.revokedAt;
    expect(first).toBeTypeOf('number');
    expect(await admin.revokeKey('platform', 'k1')).toBe(true);
    expect((await admin.findKey('k1'))?.revokedAt).toBe(first);
  });

  test('are made up to the limit and no further by many at once, of those that hold', async () => {
    const limited = (id: string) => {
      const recording = { workspace: 'acme', audit: makeAudit() };
      return admin.createKey(acme, keyOf(id, 'acme'), { recording, holdingMax: 3 });
    };
    await admin.createKey(acme, { ...keyOf('dead', 'acme'), expiresAt: Date.UTC(2026, 0, 1) });
    await admin.createKey(beta, keyOf('theirs', 'beta1'));
    const made = await Promise.all(Array.from({ length: 12 }, (_, n) => limited(`k${n}`)));
    expect(made.filter((holding) => holding === null)).toHaveLength(3);
    expect(made.filter((holding) => holding === 3)).toHaveLength(9);
    // What was not made is not in the log.
    expect(await db.owner`select from audit_log`).toHaveLength(3);
    const [one] = (await admin.listKeys(acme, { workspace: 'acme', limit: 500 })).items.slice(-1);
    await admin.revokeKey(acme, one?.id ?? '');
    expect(await limited('next')).toBeNull();
    expect(await limited('last')).toBe(3);
  });

  test('are listed page by page, oldest first, each once, also of one time', async () => {
    for (let n = 0; n < 7; n += 1) {
      const createdAt = Date.UTC(2026, 10, n < 5 ? 20 : 21);
      await admin.createKey(acme, { ...keyOf(`k${n}`, 'acme'), createdAt });
    }
    // Times finer than a millisecond, as no key of ours has.
    await db.owner`update api_keys set created_at = '2026-11-20T00:00:00.0004Z' where id in ('k1', 'k3')`;
    const ids: string[] = [];
    for (let more = true, after: ApiKeyRow | undefined; more;) {
      const page = await admin.listKeys(acme, {
        workspace: 'acme',
        limit: 2,
        ...(after === undefined ? {} : { after }),
      });
      ids.push(...page.items.map((key) => key.id));
      after = page.items.at(-1);
      ({ more } = page);
    }
    expect(ids).toEqual(['k0', 'k1', 'k2', 'k3', 'k4', 'k5', 'k6']);
  });

  test('are trimmed by the engine when they have been dead for long, and by nobody while they hold', async () => {
    const engine = createSqlEngineStore({ sql: db.sql('vibn_controller'), signals: { signal: () => undefined } });
    const day = 86_400_000;
    const none = { tombstoneMs: day, passMs: day, topicMs: day, doneIntentsKept: 10 };
    const states = {
      holds: `expires_at = null`,
      ends: `expires_at = statement_timestamp() + interval '1 day'`,
      expired: `expires_at = statement_timestamp() - interval '2 days'`,
      revoked: `revoked_at = statement_timestamp() - interval '2 days'`,
      lately: `revoked_at = statement_timestamp() - interval '1 hour'`,
    };
    for (const [id, state] of Object.entries(states)) {
      await admin.createKey(acme, keyOf(id, 'acme'));
      await db.owner.unsafe(`update api_keys set ${state} where id = '${id}'`);
    }
    const left = async () => (await db.owner`select id from api_keys order by id`).map((row) => row['id']);
    await engine.sweep(1, { ...none, deadKeyMs: day, batchMax: 10 });
    await engine.sweep(platformShard, { ...none, batchMax: 10 });
    expect(await left()).toHaveLength(5);
    await engine.sweep(platformShard, { ...none, deadKeyMs: day, batchMax: 1 });
    expect(await left()).toHaveLength(4);
    await engine.sweep(platformShard, { ...none, deadKeyMs: day, batchMax: 10 });
    expect(await left()).toEqual(['ends', 'holds', 'lately']);
    await db.login('vibn_controller')`delete from api_keys`;
    expect(await left()).toEqual(['ends', 'holds']);
  });

  test('note their use at most once a minute', async () => {
    await admin.createKey('platform', keyOf('k1', null));
    await admin.touchKey('k1', 'key k1');
    const [first] = await db.owner`select last_used_at, xmin from api_keys`;
    expect(first?.['last_used_at']).not.toBeNull();
    await admin.touchKey('k1', 'key k1');
    expect((await db.owner`select last_used_at, xmin from api_keys`)[0]).toEqual(first);
    await db.owner`update api_keys set last_used_at = statement_timestamp() - interval '61 s'`;
    await admin.touchKey('k1', 'key k1');
    const [third] = await db.owner`select last_used_at >= ${first?.['last_used_at']} as newer from api_keys`;
    expect(third).toEqual({ newer: true });
  });
});

describe('the audit chain', () => {
  const entry = makeAudit({ outcome: 'denied' });
  const links = async (workspace: string): Promise<AuditLink[]> => {
    const rows = await db.owner`
      select workspace, seq::int, at, actor, lineage, procedure, outcome, target, body_digest as "bodyDigest",
        trace_id as "traceId", prev_hash as "prevHash", hash from audit_log where workspace = ${workspace} order by seq`;
    return rows.map((row) => ({ ...row, at: row['at'].getTime() }) as AuditLink);
  };

  test('is one per workspace and one for the platform, whole when many write at once', async () => {
    await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        index % 3 === 0
          ? admin.audit('platform', null, entry)
          : admin.audit(index % 3 === 1 ? acme : beta, index % 3 === 1 ? 'acme' : 'beta1', entry),
      ),
    );
    for (const workspace of ['acme', 'beta1', '-']) {
      const chain = await links(workspace);
      expect(chain).toHaveLength(10);
      expect(brokenAt(chain, null)).toBeNull();
    }
  });

  test('cannot be written into another workspace', async () => {
    await expect(admin.audit(acme, 'beta1', entry)).rejects.toMatchObject({ code: '42501' });
  });

  test('shows an edit, a deletion, a swap, an insertion and a cut tail', async () => {
    for (let n = 0; n < 6; n += 1) await admin.audit(acme, 'acme', { ...entry, target: `t${n}` });
    const chain = await links('acme');
    const at = (index: number): AuditLink => chain[index] as AuditLink;
    const head = { seq: 6, hash: at(5).hash };
    expect(brokenAt(chain, head)).toBeNull();
    expect(brokenAt(chain.with(2, { ...at(2), target: 'other' }), null)).toBe(3);
    expect(brokenAt(chain.toSpliced(2, 1), null)).toBe(3);
    expect(brokenAt(chain.with(2, at(3)).with(3, at(2)), null)).toBe(3);
    expect(brokenAt(chain.toSpliced(2, 0, at(2)), null)).toBe(4);
    expect(brokenAt(chain.slice(0, 5), head)).toBe(6);
  });
});

describe('requests that change no resource', () => {
  const audit = makeAudit({ lineage: 'lin1' });
  const id = { workspace: 'acme', lineage: 'lin1', requestId: 'r1' };
  const recording = (bodyDigest: string, workspace: string | null = 'acme'): Recording => ({
    workspace,
    audit,
    request: { lineage: 'lin1', requestId: 'r1', bodyDigest, results: { id: bodyDigest } },
  });

  const wish = (bodyDigest: string, workspace: string | null = 'acme') => ({
    recording: recording(bodyDigest, workspace),
    holdingMax: 1_000,
  });

  test('are remembered by the first, and answered to each later one', async () => {
    expect(await admin.findRequest(acme, id)).toBeNull();
    await admin.createKey(acme, keyOf('k1', 'acme'), wish('d1'));
    expect(await admin.findRequest(acme, id)).toEqual({ bodyDigest: 'd1', results: { id: 'd1' } });
    const earlier = { bodyDigest: 'd1', results: { id: 'd1' } };
    await expect(admin.createKey(acme, keyOf('k2', 'acme'), wish('d2'))).rejects.toMatchObject({ earlier });
    expect(await admin.findKey('k2')).toBeNull();
    await admin.createKey('platform', keyOf('k3', null), wish('d3', null));
  });

  test('done at once by many are carried out, remembered and audited once', async () => {
    const made = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) => admin.createKey(acme, keyOf(`k${n}`, 'acme'), wish(`d${n}`))),
    );
    const repeated = made.flatMap((one) => (one.status === 'rejected' ? [one.reason as RequestRepeated] : []));
    expect(repeated).toHaveLength(19);
    expect(new Set(repeated.map((one) => one.earlier.bodyDigest)).size).toBe(1);
    expect((await admin.listKeys(acme, { workspace: 'acme', limit: 10 })).items).toHaveLength(1);
    expect(await db.owner`select 1 from audit_log`).toHaveLength(1);
  });

  test('are neither audited nor remembered if the change fails, and the change is not made if they cannot be', async () => {
    await admin.createKey(acme, keyOf('k1', 'acme'));
    await expect(admin.createKey(acme, keyOf('k1', 'acme'), wish('d1'))).rejects.toMatchObject({ code: '23505' });
    expect(await admin.revokeKey(acme, 'absent', recording('d2'))).toBe(false);
    expect(await db.owner`select 1 from audit_log union all select 1 from requests`).toEqual([]);
    const elsewhere = { ...recording('d3'), workspace: 'beta1' };
    await expect(admin.revokeKey(acme, 'k1', elsewhere)).rejects.toMatchObject({ code: '42501' });
    expect((await admin.findKey('k1'))?.revokedAt).toBeNull();
  });

  test('of freezes, replays and their wishes are audited with the change', async () => {
    const sql = db.sql('vibn_platform');
    const providers = createSqlProviderStore({ sql });
    const replays = createSqlReplayStore({ sql, signals: { signal: () => undefined } });
    await db.owner`insert into providers (provider, account) values ('gcs', 'p')`;
    const at = { provider: 'gcs', account: 'p' };
    const freeze = () => providers.freeze({ ...at, by: 'k', why: 'w', forMs: null }, recording('f', null));
    await freeze();
    expect(await providers.thaw(at, { workspace: null, audit })).toBe(true);
    await expect(freeze()).rejects.toBeInstanceOf(RequestRepeated);
    expect(await providers.thaw(at)).toBe(false);
    const wish = { id: 'r1', selector: {}, ratePerSecond: 1, createdBy: 'lin1' };
    await replays.create(wish, { workspace: null, audit });
    await replays.setState('r1', 'cancel', { workspace: null, audit });
    expect(await db.owner`select seq::int from audit_log where workspace = '-' order by seq`).toEqual(
      [1, 2, 3, 4].map((seq) => ({ seq })),
    );
  });
});

describe('operations', () => {
  test('are listed by row, and one under way can be wished cancelled by its own workspace alone', async () => {
    const shard = shardOf('acme');
    await db.owner`
      insert into operations (shard, uid, key, workspace, op, input, state, created_at, updated_at) values
      (${shard}, 'u1', 'dump', 'acme', 'start', '{"a":1}', 'running', statement_timestamp(), statement_timestamp()),
      (${shard}, 'u1', 'old', 'acme', 'start', '{}', 'done', statement_timestamp() - interval '1 h', statement_timestamp())`;
    const listed = await admin.listOperations(acme, { workspace: 'acme', uid: 'u1', limit: 5 });
    expect(listed.map((operation) => operation.key)).toEqual(['dump', 'old']);
    expect(listed[0]).toMatchObject({
      uid: 'u1',
      state: 'running',
      input: { a: 1 },
      progress: null,
      cancelRequestedAt: null,
    });
    expect(await admin.cancelOperation(beta, { workspace: 'acme', uid: 'u1', key: 'dump' })).toBe(false);
    expect(await admin.cancelOperation(acme, { workspace: 'acme', uid: 'u1', key: 'old' })).toBe(false);
    expect(await admin.cancelOperation(acme, { workspace: 'acme', uid: 'u1', key: 'dump' })).toBe(true);
    const one = await admin.getOperation(acme, { workspace: 'acme', uid: 'u1', key: 'dump' });
    expect(one?.cancelRequestedAt).toBeTypeOf('number');
    expect(await admin.getOperation(beta, { workspace: 'acme', uid: 'u1', key: 'dump' })).toBeNull();
  });
});

describe('plans', () => {
  test('are written by the reader’s login, several under one hash, and again', async () => {
    const plan = (name: string) => ({
      hash: 'h1',
      workspace: 'acme',
      ref: { workspace: 'acme', kind: 'Bucket', name },
      baseGeneration: 2,
      desiredDigest: 'dd',
      actions: [{ digest: 'x', risk: 'guarded' }],
      expiresAt: Date.UTC(2030, 0, 1),
    });
    await admin.writePlans('acme', [plan('a'), plan('b')]);
    await admin.writePlans('acme', [plan('a')]);
    const stored = await db.owner`select name, base_generation::int, actions, expires_at from plans order by name`;
    expect(stored.map((row) => row['name'])).toEqual(['a', 'b']);
    expect(stored[0]).toMatchObject({ base_generation: 2, actions: [{ digest: 'x', risk: 'guarded' }] });
  });
});

test('ping answers while the database does', async () => {
  await expect(admin.ping()).resolves.toBeUndefined();
});
