/**
 * Topics: the one wake mechanism (architecture §4, Wakes). A topic says "look again", never what happened.
 * Tenant-bound topics live in the tenant's shard; `provider`, `credential`, `claim` and `engine` span shards and are fired shard by shard.
 */
export type Topic = string;

export const topic = {
  /** Existence, deletion, stored Ready or outputs of the named row changed. */
  ref: (kind: string, workspace: string, name: string): Topic => `ref:${kind}/${workspace}/${name}`,
  /** A row that refers to the named row came, went or changed. */
  refers: (kind: string, workspace: string, name: string): Topic => `refers:${kind}/${workspace}/${name}`,
  /** A row owned by `ownerUid`, of that kind, came, went or changed. */
  list: (kind: string, ownerUid: string): Topic => `list:${kind}/${ownerUid}`,
  funds: (workspace: string): Topic => `funds:${workspace}`,
  quota: (workspace: string): Topic => `quota:${workspace}`,
  approval: (uid: string): Topic => `approval:${uid}`,
  decision: (uid: string): Topic => `decision:${uid}`,
  operation: (uid: string): Topic => `operation:${uid}`,
  claim: (kind: string, externalName: string): Topic => `claim:${kind}/${externalName}`,
  provider: (name: string, account: string): Topic => `provider:${name}/${account}`,
  credential: (name: string, account: string): Topic => `credential:${name}/${account}`,
  /** A controller started with a build not seen before. */
  engine: 'engine',
  /** Implied: a spec write makes its own row due. Shown in clearsOn, never stored as a listener. */
  spec: (uid: string): Topic => `spec:${uid}`,
} as const;

/** Whether a topic is stored with its listeners. `spec:` is implied by every spec write. */
export function isStoredTopic(name: Topic): boolean {
  return !name.startsWith('spec:');
}
