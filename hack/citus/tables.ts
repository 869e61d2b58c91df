/**
 * Where each table of migrations/ lives on a Citus cluster. A new table needs its line here: tables.test.ts and `distribute` itself
 * refuse a table without one.
 *
 * - distributed: by `shard`, all in one colocation group, so that what one workspace needs is on one worker. In this order, since a
 *   foreign key needs its target distributed first.
 * - reference: platform-wide, read in one statement with distributed rows or kept on every node for its worth; a copy on each node,
 *   and a write is a two-phase commit over all of them. So only what is seldom written.
 * - local: on the coordinator alone. Written at every call to a provider, in a statement of its own, and harmless to lose.
 */
export type Placement = 'distributed' | 'reference' | 'local';

export const placements: Readonly<Record<string, Placement>> = {
  shards: 'distributed',
  resources: 'distributed',
  work: 'distributed',
  topics: 'distributed',
  listeners: 'distributed',
  tombstones: 'distributed',
  requests: 'distributed',
  revisions: 'distributed',
  passes: 'distributed',
  intents: 'distributed',
  decisions: 'distributed',
  plans: 'distributed',
  operations: 'distributed',
  replay_items: 'distributed',
  audit_log: 'distributed',
  secrets: 'distributed',
  quotas: 'distributed',
  approvals: 'distributed',
  ledger_entries: 'distributed',

  // settle_unchanged and settle_changed look at the breaker; replay_fill, replay_next and trim_replay_items at the replay.
  providers: 'reference',
  replays: 'reference',
  // Written by remove_row in one transaction with the row.
  claims: 'reference',
  retained: 'reference',
  // Asked for in one transaction with the breaker that closed.
  firings: 'reference',
  engines: 'reference',
  api_keys: 'reference',
  fx_rates: 'reference',

  provider_budgets: 'local',
  provider_slots: 'local',
  windows: 'local',
  schema_migrations: 'local',
};

/** Tables of one placement, in the order in which they are to be distributed. */
export const tablesOf = (placement: Placement): readonly string[] =>
  Object.keys(placements).filter((table) => placements[table] === placement);
