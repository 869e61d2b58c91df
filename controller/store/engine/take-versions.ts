import { statement } from '#controller/store/statement.ts';

/**
 * First statement of a versioned settle or firing: locks the shard's row until COMMIT and takes $2 versions; the answer is the last
 * of them. $1 shard.
 */
export const takeVersions = statement<[shard: number, count: number], { version: number }>({
  name: 'take_versions',
  text: `update shards set version = version + $2::int where shard = $1::smallint returning version`,
});
