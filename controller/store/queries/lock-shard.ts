import { statement } from '#controller/store/statement.ts';

/**
 * First statement of a mutation: serialises the shard's writers, so that versions become visible in order and without gaps (R1, R3).
 * It takes the row lock only; the closing statement (write_rows) bumps the version under it, since how many rows are written is
 * decided in between. That leaves one dead tuple, where `set version = version + 0` and a bump would leave two.
 */
export const lockShard = statement<[shard: number], { version: number }>({
  name: 'lock_shard',
  text: `select version from shards where shard = $1::smallint for no key update`,
});
