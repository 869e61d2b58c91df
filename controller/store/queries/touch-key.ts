import { statement } from '#controller/store/statement.ts';

/** Notes a key's use, at most once a minute: most calls change nothing. */
export const touchKey = statement<[id: string], never>({
  name: 'touch_key',
  repeatable: true,
  text: `
update api_keys set last_used_at = statement_timestamp()
where id = $1::text and (last_used_at is null or last_used_at < statement_timestamp() - interval '1 minute')`,
});
