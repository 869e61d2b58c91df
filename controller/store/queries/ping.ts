import { statement } from '#controller/store/statement.ts';

/** Whether the database answers, and the schema is there. */
export const ping = statement<[], never>({
  name: 'ping',
  repeatable: true,
  text: `select 1 from shards where shard = 0`,
});
