import { statement } from '#controller/store/statement.ts';

/** A claimed key, as the database answers it. */
export interface ClaimedRow {
  readonly uid: string;
  readonly workspace: string;
  readonly kind: string;
  readonly epoch: number;
  readonly wake_seq: number;
  readonly claimed_at: number;
}

/**
 * Claims due rows of one shard: $1 shard, $2 holder, $3 limit, $4 at most of one workspace while another waits, $5 lease in ms, $6 the kinds
 * this build knows, or null for all: beside a newer build, its rows are left to it; $7 only rows due then or later, or null for all.
 *
 * `spaces` hops from workspace to workspace over (shard, workspace, due_at), one index probe each, so 50,000 rows of one tenant cost
 * another nothing (a lateral join with order over all rows took 998 ms where hops take 1.8). `waiting` begins where the hop found the
 * first live row: under an old snapshot, dead entries of the index are passed once, not twice. It reads no row beyond what a claim
 * of this size could take: twice the limit of one workspace alone (rows that other claimers lock are skipped), less of each of many.
 * It reads without locks; `picked` then locks in the order of taking and stops at the limit, so no row is locked in vain, and a
 * row claimed meanwhile fails the repeated condition. Which are taken: first up to $4 of each workspace by due_at; slots that are
 * left over go to the rest. With $7 the hops pass what is dead before it in the index alone, without a look at its row: after 200,000
 * updates of one shard under an old snapshot that is 169 pages instead of 10,337. `+ interval '0'`: that repeated condition belongs to no index; with one, each row picked was looked for among
 * all that are due (a fifth of the statement).
 */
export const claimRows = statement<
  [
    shard: number,
    holder: string,
    limit: number,
    perWorkspaceMax: number,
    leaseMs: number,
    kinds: readonly string[] | null,
    from: number | null,
  ],
  ClaimedRow
>({
  name: 'claim_rows',
  text: `
with recursive spaces as (
  (
    select w.workspace, w.due_at from work w
    where w.shard = $1::smallint and w.due_at >= coalesce($7::timestamptz, '-infinity')
    order by w.workspace, w.due_at limit 1
  )
  union all
  select n.workspace, n.due_at
  from spaces s
  cross join lateral (
    select w.workspace, w.due_at from work w
    where w.shard = $1::smallint and w.workspace > s.workspace and w.due_at >= coalesce($7::timestamptz, '-infinity')
    order by w.workspace, w.due_at limit 1
  ) n
),
busy as materialized (
  select workspace, due_at from spaces where due_at <= statement_timestamp()
),
waiting as materialized (
  select d.uid, d.due_at, d.place
  from busy b
  cross join lateral (
    select f.uid, f.due_at, row_number() over (order by f.due_at, f.uid) as place
    from (
      select w.uid, w.due_at from work w
      where w.shard = $1::smallint and w.workspace = b.workspace
        and w.due_at between b.due_at and statement_timestamp()
        and (w.lease_until is null or w.lease_until <= statement_timestamp())
        and ($6::text[] is null or w.kind = any ($6::text[]))
      order by w.due_at
      limit (select greatest(2, case when count(*) = 1 then 2 * $3::int else 4 * $3::int / count(*) end) from busy)
    ) f
  ) d
),
picked as (
  select w.uid
  from (
    select uid, due_at, place > $4::int as spare from waiting order by spare, due_at limit 2 * $3::int
  ) p
  join work w on w.shard = $1::smallint and w.uid = p.uid
  where w.due_at + interval '0' <= statement_timestamp() and (w.lease_until is null or w.lease_until <= statement_timestamp())
  order by p.spare, p.due_at
  limit $3::int
  for update of w skip locked
)
update work w set
  lease_until = statement_timestamp() + $5::int * interval '1 millisecond',
  holder = $2::text,
  epoch = w.epoch + 1,
  claimed_at = statement_timestamp(),
  taken_over_at = case when w.holder is null then w.taken_over_at else w.lease_until end
where w.shard = $1::smallint and w.uid = any (array(select uid from picked))
returning w.uid, w.workspace, w.kind, w.epoch, w.wake_seq, w.claimed_at`,
});
