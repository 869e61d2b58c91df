import { dueShiftMs } from '#controller/store/rows.ts';
import { shardCount } from '#resources/shard.ts';

/**
 * Common table expressions that several statements share, in the order in which they build on each other. Each statement that
 * wakes rows locks ALL rows of `work` it will touch in one `locked`, in order of uid: two groups, one after the other, would deadlock
 * with renewals (architecture §4, Lock order).
 */

/** Listeners of one topic that are woken in the firing transaction; the rest is drained in chunks. */
export const wokenAtOnceMax = 500;

/** due_at of a row woken as a dependency. Unlike a delay it lies in the past: urgent rows sort first. */
export const wokenDueAt = `statement_timestamp() + interval '${dueShiftMs.dependency} milliseconds'`;
/** due_at of a row whose declaration moved while its pass ran. */
export const declaredDueAt = `statement_timestamp() + interval '${dueShiftMs.user} milliseconds'`;

/** Who hears the topics that `asked(topic)` names: one more than is woken, to know whether to drain. */
export const hearers = `
hearers as materialized (
  select a.topic, l.uid, row_number() over (partition by a.topic order by l.uid) as place
  from (select distinct topic from asked) a
  cross join lateral (
    select l.uid from listeners l where l.shard = $1::smallint and l.topic = a.topic order by l.uid limit ${wokenAtOnceMax + 1}
  ) l
)`;

/** Locks the rows of `rows(uid)` and of all hearers, in order of uid. */
export const locked = `
locked as materialized (
  select w.uid, w.workspace, w.epoch, w.holder, w.wake_seq from work w
  where w.shard = $1::smallint and w.uid = any (array(
    select uid from rows union select uid from hearers where place <= ${wokenAtOnceMax}))
  order by w.uid for update
)`;

/** Hearers of the topics that do fire: `fired(topic)`. */
export const woken = `
woken as materialized (
  select distinct h.uid from hearers h join fired using (topic) where h.place <= ${wokenAtOnceMax}
)`;

/** Wakes all but the settled rows, whose own due_at takes the firing into account. A wake never makes due_at later (E3). */
export const wakes = `
wakes as (
  update work w set wake_seq = w.wake_seq + 1, due_at = least(w.due_at, ${wokenDueAt})
  where w.shard = $1::smallint and w.uid = any (array(select uid from woken except select uid from held))
)`;

/**
 * Notes the firing of `fired(topic)` at a version. A topic with more listeners than were woken is left draining. `rowMs`: their due times
 * go on at that distance (0: at once).
 */
export const marks = (version: string, rowMs?: string): string => `
marks as (
  insert into topics (shard, topic, fired_version, draining${rowMs === undefined ? '' : ', spread_version, spread_at, spread_row_ms'})
  select $1::smallint, f.topic, ${version}, (
    select max(h.uid) filter (where h.place = ${wokenAtOnceMax}) from hearers h
    where h.topic = f.topic having count(*) > ${wokenAtOnceMax})${
      rowMs === undefined
        ? ''
        : `,
    case when ${rowMs} > 0 then ${version} end,
    statement_timestamp() + ${wokenAtOnceMax} * ${rowMs} * interval '1 millisecond', ${rowMs}`
    }
  from fired f order by f.topic
  on conflict (shard, topic) do update set fired_version = excluded.fired_version, draining = excluded.draining${
    rowMs === undefined
      ? ''
      : `,
    spread_version = excluded.spread_version, spread_at = excluded.spread_at, spread_row_ms = excluded.spread_row_ms`
  }
)`;

/**
 * Asks for what `causes(topic, rate, now)` names to be fired in all shards. On its way already, it goes on where and when it would, and once
 * round from there: begun anew each time, it would never come to the last shards of an account whose breaker opens and closes.
 */
export const asksFiring = `
insert into firings (topic, rate_per_second, next_at)
select c.topic, c.rate, c.now from causes c
on conflict (topic) do update set
  rate_per_second = excluded.rate_per_second, round = firings.round + 1,
  last_shard = (firings.next_shard + ${shardCount - 1}) % ${shardCount}, last_round = firings.round + 1
returning topic`;

/**
 * What a settled pass leaves beside its row: closed intents, applied decisions, the journal. Reads `held`. `any (array(…))` says once more
 * which rows: without it the planner may read all open intents of the shard.
 */
export const facts = `
closed as (
  update intents i set
    state = c.state,
    was_retired = i.was_retired or c.state = 'retired',
    contradicts = false,
    answered_at = coalesce(i.answered_at, h.now)
  from held h cross join jsonb_to_recordset(h.intents) as c(nonce text, state text, contradicted boolean)
  where i.shard = $1::smallint and i.uid = h.uid and i.nonce = c.nonce
    and case when c.contradicted then i.contradicts or i.state = 'done' and c.state = 'retired'
      else i.state in ('sending', 'unknown') end
    and i.uid = any (array(select uid from rows))
),
dropped as (
  delete from intents i using held h
  where i.shard = $1::smallint and i.uid = h.uid and i.nonce = any (h.dropped) and i.state = 'announced'
    and i.uid = any (array(select uid from rows))
),
decided as (
  update decisions d set applied_at = statement_timestamp()
  from held h
  where d.shard = $1::smallint and d.uid = h.uid and d.workspace = h.workspace and d.effect = any (h.decided) and d.applied_at is null
    and d.uid = any (array(select uid from rows))
),
journal as (
  insert into passes (shard, uid, epoch, workspace, generation, trigger, observed, observed_digest, plan, plan_digest,
    calls, outcome, duration_ms, trace_id, at)
  select $1::smallint, h.uid, h.epoch, h.workspace, p.generation, p.trigger, p.observed, p."observedDigest", p.plan, p."planDigest",
    p.calls, p.outcome, p."durationMs", p."traceId", statement_timestamp()
  from held h
  cross join jsonb_to_record(h.pass) as p(generation bigint, trigger text, observed jsonb, "observedDigest" text, plan jsonb,
    "planDigest" text, calls jsonb, outcome text, "durationMs" bigint, "traceId" text)
  where h.pass is not null
  on conflict (shard, uid, epoch) do nothing
)`;
