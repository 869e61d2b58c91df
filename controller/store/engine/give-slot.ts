import { statement } from '#controller/store/statement.ts';

/** Gives a slot back if it is still the holder's: $1 provider, $2 account, $3 slot, $4 holder. */
export const giveSlot = statement<[provider: string, account: string, slot: number, holder: string], never>({
  name: 'give_slot',
  repeatable: true,
  text: `
update provider_slots set holder = null, lease_until = null
where provider = $1::text and account = $2::text and slot = $3::int and holder = $4::text`,
});
