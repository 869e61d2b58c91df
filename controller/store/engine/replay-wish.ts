import { statement } from '#controller/store/statement.ts';

/**
 * suspend, resume or cancel, where it applies: $1 id, $2 the wish. A replay that nobody is to work on is let go by its holder at the next
 * lease; resumed, it goes on filling if a shard is missing. Writes state alone, all that the API's role may: the time of a cancellation is
 * noted by the next replay_lease.
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
    else 'running' end
where id = $1::text and (
  $2::text in ('suspend', 'cancel') and state in ('filling', 'running')
  or $2::text in ('resume', 'cancel') and state = 'suspended')`,
});
