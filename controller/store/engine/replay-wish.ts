import { statement } from '#controller/store/statement.ts';

/**
 * suspend, resume or cancel, where it applies: $1 id, $2 the wish. A replay that nobody is to work on is let go by its holder at the next
 * lease; resumed, it goes on filling if a shard is missing.
 */
export const replayWish = statement<[id: string, wish: string], never>({
  name: 'replay_wish',
  repeatable: true,
  text: `
update replays set
  state = case
    when $2::text = 'suspend' then 'suspended'
    when $2::text = 'cancel' then 'cancelled'
    when filled_through < 63 then 'filling'
    else 'running' end,
  finished_at = case when $2::text = 'cancel' then statement_timestamp() end
where id = $1::text and (
  $2::text in ('suspend', 'cancel') and state in ('filling', 'running')
  or $2::text in ('resume', 'cancel') and state = 'suspended')`,
});
