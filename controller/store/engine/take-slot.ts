import { statement } from '#controller/store/statement.ts';

/**
 * Takes one free slot: $1 provider, $2 account, $3 slots there are, $4 holder, $5 lease in ms. No row: all are taken, or none was made
 * yet. A lost answer leaves a slot taken until its lease is over.
 */
export const takeSlot = statement<
  [provider: string, account: string, count: number, holder: string, leaseMs: number],
  { slot: number }
>({
  name: 'take_slot',
  text: `
with free as materialized (
  select slot from provider_slots
  where provider = $1::text and account = $2::text and slot < $3::int
    and (lease_until is null or lease_until <= statement_timestamp())
  order by slot limit 1
  for update skip locked
)
update provider_slots s set
  holder = $4::text, lease_until = statement_timestamp() + $5::int * interval '1 millisecond'
from free f
where s.provider = $1::text and s.account = $2::text and s.slot = f.slot
returning s.slot`,
});
