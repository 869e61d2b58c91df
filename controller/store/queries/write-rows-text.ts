import { declaredDueAt, hearers, locked, marks, wokenDueAt } from '#controller/store/engine/fragments.ts';
import { appendAuditText } from './append-audit-text.ts';

/** A row's own columns on insert. The API may not name an owner: it has no grant on those columns. */
const ownColumns =
  'shard, uid, workspace, kind, name, generation, version, labels, annotations, spec, created_by, created_at, updated_at';
const ownValues =
  '$1::smallint, uid, workspace, kind, name, generation, version, labels, annotations, spec, by, $3::timestamptz, $3::timestamptz';

/** Who is to be woken, and the lock on all of it. */
const heard = `
rows as materialized (select uid from writes where declares and op <> 'insert'),
${hearers},
${locked},
`;

const changed = `
changed as (
  update resources r set
    spec = w.spec, labels = w.labels, annotations = w.annotations, generation = w.generation, version = w.version,
    deleted_at = w.deleted_at, deletion_policy = w.deletion_policy, undo_until = w.undo_until, updated_at = $3::timestamptz
  from writes w
  where w.op <> 'insert' and r.shard = $1::smallint and r.uid = w.uid and r.uid = any (array(select uid from writes))
),
`;

const woken = `
woken as (
  update work w set
    wake_seq = w.wake_seq + 1,
    priority = case when w.uid in (select uid from rows) then 'user' else w.priority end,
    due_at = least(w.due_at, case when w.uid in (select uid from rows) then t.declared_at else t.woken_at end)
  from (select ${declaredDueAt} as declared_at, ${wokenDueAt} as woken_at) t
  where w.shard = $1::smallint and w.uid = any (array(select uid from locked))
),
`;

/** As `marks`, where nobody listens: nothing is left draining. */
const quietMarks = `
marks as (
  insert into topics (shard, topic, fired_version)
  select $1::smallint, f.topic, $2::bigint from fired f order by f.topic
  on conflict (shard, topic) do update set fired_version = excluded.fired_version, draining = null
)`;

/**
 * The one statement that writes declared rows, under the shard's lock: $1 shard, $2 the shard's version after it, $3 time,
 * $4 JSON array of write-docs.ts, $5 topics fired, $6 JSON array of remembered requests, $7 of audit entries.
 * Each insert returns something: without, Citus would COPY, which row-level security refuses.
 * `owned`: inserted rows may have an owner. `wakes`: there may be changed rows, or listeners.
 * All rows of `work` that it touches, its own and woken listeners, are locked in order of uid first.
 */
export const writeRowsText = ({ owned, wakes }: { readonly owned: boolean; readonly wakes: boolean }): string => `
with writes as materialized (
  select * from jsonb_to_recordset($4::text::jsonb) as w(
    op text, uid text, workspace text, kind text, name text, owner_uid text, slot text, generation bigint, version bigint,
    labels jsonb, annotations jsonb, spec jsonb, by jsonb, deleted_at timestamptz, deletion_policy text, undo_until timestamptz,
    declares boolean, request_id text, approved text[], confirmed boolean)
),
asked as materialized (select topic from unnest($5::text[]) as f(topic)),
fired as (select topic from asked),
${wakes ? heard : ''}bumped as (update shards set version = $2::bigint where shard = $1::smallint and version < $2::bigint),
inserted as (
  insert into resources (${ownColumns}${owned ? ', owner_uid, slot' : ''})
  select ${ownValues}${owned ? ', owner_uid, slot' : ''} from writes where op = 'insert'
  returning 1
),
${wakes ? changed : ''}queued as (
  insert into work (shard, uid, workspace, kind, priority, due_at)
  select $1::smallint, uid, workspace, kind, 'user', ${declaredDueAt} from writes where op = 'insert'
  returning 1
),
${wakes ? woken : ''}${wakes ? marks('$2::bigint') : quietMarks},
declared as (
  insert into revisions (shard, uid, generation, workspace, spec, by, request_id, approved, confirmed, at)
  select $1::smallint, uid, generation, workspace, spec, by, request_id, approved, confirmed, $3::timestamptz
  from writes where declares
  returning 1
),
remembered as (
  insert into requests (shard, workspace, lineage, request_id, body_digest, results, at)
  select $1::smallint, workspace, lineage, "requestId", "bodyDigest", results, $3::timestamptz
  from jsonb_to_recordset($6::text::jsonb) as q(workspace text, lineage text, "requestId" text, "bodyDigest" text, results jsonb)
  returning 1
),
audited as (${appendAuditText('jsonb_to_recordset($7::text::jsonb)')}
)
select 1 where false`;

/** Parameters of all statements made of this text. */
export type WriteRowsParams = [
  shard: number,
  version: number,
  at: number,
  docs: string,
  fires: readonly string[],
  requests: string,
  audits: string,
];
