import type postgres from 'postgres';

/**
 * An eye in the database on every change of a lease: which session made it, and what it changed. Sessions are told apart by
 * application_name, which is the worker's name.
 */
export interface LeaseChange {
  readonly n: number;
  /** Name of the session that wrote. */
  readonly app: string;
  readonly uid: string;
  readonly oldHolder: string | null;
  readonly newHolder: string | null;
  readonly oldEpoch: number;
  readonly newEpoch: number;
  /** ms that the old lease still had; negative: it was over. Null: nobody held the row. */
  readonly leftMs: number | null;
  /** ms that the row had been due. */
  readonly dueForMs: number;
}

/** Installs the eye. `owner` must be the owner of the tables. */
export async function watchLeases(owner: postgres.Sql): Promise<void> {
  await owner.unsafe(`
    create table lease_changes (n bigserial primary key, app text, uid text, old_holder text, new_holder text,
      old_epoch bigint, new_epoch bigint, left_ms float8, due_for_ms float8);
    create function note_lease() returns trigger language plpgsql security definer as $$
    begin
      insert into lease_changes (app, uid, old_holder, new_holder, old_epoch, new_epoch, left_ms, due_for_ms)
      values (current_setting('application_name'), new.uid, old.holder, new.holder, old.epoch, new.epoch,
        extract(epoch from old.lease_until - statement_timestamp()) * 1000,
        extract(epoch from statement_timestamp() - old.due_at) * 1000);
      return null;
    end $$;
    create trigger note_lease after update on work for each row
      when (old.holder is distinct from new.holder or old.epoch <> new.epoch or old.lease_until is distinct from new.lease_until)
      execute function note_lease();`);
}

/** What the eye has seen, in order. */
export async function leaseChanges(owner: postgres.Sql): Promise<readonly LeaseChange[]> {
  return await owner<LeaseChange[]>`
    select n::int as n, app, uid, old_holder as "oldHolder", new_holder as "newHolder", old_epoch::int as "oldEpoch",
      new_epoch::int as "newEpoch", left_ms as "leftMs", due_for_ms as "dueForMs"
    from lease_changes order by n`;
}

const isClaim = (change: LeaseChange): boolean => change.newEpoch === change.oldEpoch + 1;
const isOf = (change: LeaseChange, holder: string | null): boolean => holder?.startsWith(`${change.app}/`) === true;

/** Writes to a lease that nobody but its holder may do and another did: a worker of an old epoch that was not fenced off. */
export function foreignWrites(changes: readonly LeaseChange[]): readonly LeaseChange[] {
  return changes.filter((change) => !isClaim(change) && !isOf(change, change.oldHolder));
}

/** Claims of rows whose holder's lease was not over. */
export function earlySteals(changes: readonly LeaseChange[]): readonly LeaseChange[] {
  return changes.filter((change) => isClaim(change) && change.oldHolder !== null && (change.leftMs ?? 0) > 0);
}

/** Claims of rows that somebody else had left behind. */
export function takeovers(changes: readonly LeaseChange[]): readonly LeaseChange[] {
  return changes.filter((change) => isClaim(change) && change.oldHolder !== null && !isOf(change, change.oldHolder));
}
