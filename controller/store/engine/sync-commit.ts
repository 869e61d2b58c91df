import { statement } from '#controller/store/statement.ts';

/** Makes the COMMIT of this transaction wait for disk (and the standby): what is about to be sent must not be forgotten. */
export const syncCommit = statement<[], never>({
  name: 'sync_commit',
  text: `set local synchronous_commit = on`,
});
