import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { announceIntent } from '#controller/store/engine/announce-intent.ts';
import { answerIntent } from '#controller/store/engine/answer-intent.ts';
import { claimProbe } from '#controller/store/engine/claim-probe.ts';
import { claimRows } from '#controller/store/engine/claim-rows.ts';
import { drainTopic } from '#controller/store/engine/drain-topic.ts';
import { dueShards } from '#controller/store/engine/due-shards.ts';
import { extendLease } from '#controller/store/engine/extend-lease.ts';
import { fireTopics } from '#controller/store/engine/fire-topics.ts';
import { listOthers } from '#controller/store/engine/list-others.ts';
import { markSending } from '#controller/store/engine/mark-sending.ts';
import { readKey } from '#controller/store/engine/read-key.ts';
import { readRows } from '#controller/store/engine/read-rows.ts';
import { removalLook } from '#controller/store/engine/removal-look.ts';
import { removeRow } from '#controller/store/engine/remove-row.ts';
import { renewLeases } from '#controller/store/engine/renew-leases.ts';
import { replayAsk } from '#controller/store/engine/replay-ask.ts';
import { replayCheck } from '#controller/store/engine/replay-check.ts';
import { settleChanged } from '#controller/store/engine/settle-changed.ts';
import { settleUnchanged } from '#controller/store/engine/settle-unchanged.ts';
import type { StatementText } from '#controller/store/statement.ts';
import { shardOf } from '#resources/shard.ts';
import { createDatabase, onCitus, type TestDatabase } from '#test/support/postgres.ts';
import { seedRows } from '#test/support/seed-rows.ts';

// The plans of the hot statements over 60,000 rows, as the prepared statements have them: nothing reads a whole table.

const shard = shardOf('acme');
let db: TestDatabase;

beforeAll(async () => {
  db = await createDatabase();
  if (onCitus()) return;
  for (const workspace of ['acme', 'other']) {
    await seedRows(db.owner, { workspace, count: workspace === 'acme' ? 50_000 : 10_000, dueMsAgo: 60_000 });
  }
  await db.owner.unsafe(`
    insert into listeners select shard, 'ref:Bucket/' || workspace || '/row-' || (substr(uid, length(uid) - 5)::int % 20000), uid from resources;
    insert into topics select distinct shard, topic, 1 from listeners;
    insert into revisions (shard, uid, generation, workspace, spec, by, at)
      select shard, uid, 1, workspace, '{}', '{}', statement_timestamp() from resources;
    insert into intents (shard, uid, effect, attempt, workspace, nonce, state, args, announced_at, sent_at, give_up_at)
      select shard, uid, 'create:1', 1, workspace, uid, 'unknown', '{}', created_at, created_at, created_at from resources;
    insert into decisions (shard, uid, effect, at, workspace, outcome, evidence, by)
      select shard, uid, 'create:1', statement_timestamp(), workspace, 'happened', '', '{}' from resources;
    insert into passes (shard, uid, epoch, workspace, generation, trigger, observed_digest, plan_digest, calls, outcome, duration_ms, at)
      select shard, uid, 1, workspace, 1, 'spec', '', '', '[]', 'acted', 1, statement_timestamp() from resources;
    insert into operations (shard, uid, key, workspace, op, input, state, created_at, updated_at)
      select shard, uid, 'dump', workspace, 'start', '{}', 'waiting', statement_timestamp(), statement_timestamp() from resources;
    insert into replays (id, state, selector, rate_per_second, created_by, created_at)
      values ('r', 'running', '{}', 50, 'me', statement_timestamp());
    insert into replay_items (shard, replay, uid, rank, ready_before) select shard, 'r', uid, 0, false from resources;
    analyze;
  `);
});
afterAll(() => db[Symbol.asyncDispose]());
beforeEach(({ skip }) => {
  if (onCitus()) skip('plans of one server; those of a cluster are in citus.test.ts');
});

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Index Cond'?: string;
  readonly Plans?: readonly PlanNode[];
}

/** Every node of the generic plan of a statement, the one that a prepared statement ends up with. */
async function planOf(query: StatementText, args: readonly string[]): Promise<readonly PlanNode[]> {
  return await db.owner.begin(async (tx) => {
    await tx.unsafe('set local plan_cache_mode = force_generic_plan');
    await tx.unsafe(`prepare ${query.name} as ${query.text}`);
    const values = args.length === 0 ? '' : `(${args.join(', ')})`;
    const [row] = await tx.unsafe(`explain (format json) execute ${query.name}${values}`);
    await tx.unsafe(`deallocate ${query.name}`);
    const explained = (row?.['QUERY PLAN'] as readonly { Plan: PlanNode }[] | undefined)?.[0];
    if (explained === undefined) throw new Error('nothing was explained');
    const flat = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(flat)];
    return flat(explained.Plan);
  });
}

/** Of 64 rows, of one account each, of replays under way, of topics that drain: reading all of them is the best plan. */
const small = new Set(['shards', 'providers', 'replays', 'claims', 'topics_draining']);

/** Scans of a whole table, or of all that one shard has in it. A scan under a limit that walks an index in order stops by itself. */
function wholeReads(nodes: readonly PlanNode[]): string[] {
  const walks = new Set(nodes.filter((node) => node['Node Type'] === 'Limit').flatMap((node) => node.Plans ?? []));
  return nodes.flatMap((node) => {
    const [table = '', index = ''] = [node['Relation Name'], node['Index Name']];
    if (small.has(table) || small.has(index) || walks.has(node) || !node['Node Type'].includes('Scan')) return [];
    const seq = node['Node Type'].includes('Seq Scan');
    const cond = node['Index Cond']?.replaceAll(/\(?shard = [^()]*\)?( AND )?/g, '').replaceAll(/[()]/g, '');
    return seq || cond === '' ? [`${node['Node Type']} ${table} ${index} ${node['Index Cond'] ?? ''}`] : [];
  });
}

const s = String(shard);
const uid = `'acme-000001'`;
const uids = `array[${uid}]`;
const doc = `'{"uid":"acme-000001","epoch":1,"holder":"h","listeners":["a:b"],"fires":["a:b"]}'`;

const hot: Record<string, readonly [query: { readonly statement: StatementText }, args: readonly string[]]> = {
  claim_rows: [claimRows, [s, `'h'`, '64', '32', '15000', `'{Bucket}'`, 'null']],
  due_shards: [dueShards, []],
  read_rows: [readRows, [s, uids]],
  read_key: [readKey, [s, `'acme'`, `'Bucket'`, `'row-1'`]],
  renew_leases: [renewLeases, [s, `'h'`, uids, '15000']],
  extend_lease: [extendLease, [s, uid, '1', `'h'`, '1000']],
  settle_unchanged: [
    settleUnchanged,
    [
      s,
      uids,
      'array[1]',
      `array['h']`,
      'array[0]',
      'array[1]',
      'array[0]',
      `array['user']`,
      'array[0]',
      'array[0]',
      'array[null]::text[]',
      'array[null]::text[]',
    ],
  ],
  settle_changed: [settleChanged, [s, '0', `array[${doc}]`]],
  announce_intent: [announceIntent, [s, uid, '1', `'h'`, `'create:2'`, `'n'`, `'{}'`]],
  mark_sending: [markSending, [s, uid, '1', `'h'`, `'n'`, '1000', '3000']],
  answer_intent: [answerIntent, [s, uid, `'n'`, `'done'`, `'null'`]],
  fire_topics: [fireTopics, [s, '1', `array['a:b']`, '0']],
  drain_topic: [drainTopic, [s, '500']],
  claim_probe: [claimProbe, [s, `'provider:gcs/p'`, `'h'`, '15000', `array['Bucket']`]],
  removal_look: [removalLook, [s, uid, '1', `'h'`]],
  remove_row: [removeRow, [s, doc, `'[]'`, 'null', '1']],
  replay_ask: [replayAsk, [s, `'r'`, uids]],
  replay_check: [replayCheck, [s, `'r'`, `''`, '1000']],
};

describe('the plan of', () => {
  test.for(Object.keys(hot))('%s reads no whole table', async (name) => {
    const [query, args] = hot[name] ?? [];
    if (query === undefined || args === undefined) throw new Error('no such statement');
    const nodes = await planOf(query.statement, args);
    expect(wholeReads(nodes)).toEqual([]);
  });

  test('claim_rows hops over workspaces in their index and locks by primary key', async () => {
    const nodes = await planOf(claimRows.statement, hot['claim_rows']?.[1] ?? []);
    const scans = nodes.filter((node) => node['Relation Name'] === 'work' && node['Index Name'] !== undefined);
    const byIndex = (index: string): number => scans.filter((node) => node['Index Name'] === index).length;
    expect([byIndex('work_by_workspace'), byIndex('work_by_due')]).toEqual([3, 0]);
    expect(nodes.map((node) => node['Node Type'])).toContain('Recursive Union');
    expect(nodes.map((node) => node['Node Type'])).toContain('LockRows');
  });

  test('a statement that has no index of its own reads a whole table or shard: the control', async () => {
    for (const where of ['verified_at is not null', 'shard = $1::smallint and verified_at is not null']) {
      const nodes = await planOf({ name: 'control', text: `select from work where ${where}`, repeatable: true }, [s]);
      expect(wholeReads(nodes)).not.toEqual([]);
    }
  });
});

/** Pages that a statement reads. */
async function pagesRead(query: StatementText, args: readonly string[]): Promise<number> {
  const [row] = await db.owner.begin(async (tx) => {
    await tx.unsafe('set local plan_cache_mode = force_generic_plan');
    await tx.unsafe(`prepare ${query.name} as ${query.text}`);
    const explained = await tx.unsafe(
      `explain (analyze, buffers, timing off, format json) execute ${query.name}(${args.join(', ')})`,
    );
    await tx.unsafe(`deallocate ${query.name}`);
    return explained;
  });
  type Costs = { Plan: { 'Shared Hit Blocks': number; 'Shared Read Blocks': number } };
  const plan = (row?.['QUERY PLAN'] as readonly Costs[] | undefined)?.[0]?.Plan ?? null;
  return plan === null ? Infinity : plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
}

describe('50,000 rows of one tenant', () => {
  test('that are due cost a claim no more than a few times the rows it takes', async () => {
    await db.owner.unsafe(`vacuum analyze work`);
    // 64 rows taken, at most 128 looked at, each a few pages of heap and index; the table alone has more than 1,000.
    expect(await pagesRead(claimRows.statement, [s, `'h'`, '64', '32', '15000', `'{Bucket}'`, 'null'])).toBeLessThan(
      2_000,
    );
  });

  test('cost the look for dependents one probe for each of their kinds that can be none', async () => {
    expect(await pagesRead(listOthers.statement, [s, `'acme'`, `'{Bucket}'`, `''`, '500'])).toBeLessThan(20);
  });
});
