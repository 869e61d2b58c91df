/** Number of shards. It never changes: rows are stored under it. */
export const shardCount = 64;

/** Shard of what belongs to no workspace (platform requests, audit). */
export const platformShard = 0;

/** The shard of a workspace: FNV-1a (32 bit) of the slug's UTF-16 code units, modulo 64. Stable for ever. */
export function shardOf(workspace: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < workspace.length; index += 1) {
    hash = Math.imul(hash ^ workspace.charCodeAt(index), 0x01000193) >>> 0;
  }
  return hash % shardCount;
}
