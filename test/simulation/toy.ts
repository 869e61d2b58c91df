import type { Claim, Settle } from '#controller/store/rows.ts';
import { tinyLocation } from '#test/simulation/kinds/tiny-client.ts';
import type { TinyCloud } from './tiny-cloud.ts';
import type { Boot, Ports } from './bare-world.ts';

/**
 * A worker of a few lines for the world's own tests: claims, creates a link under the row's name, settles. It has no brain: `catch` and
 * `finally` are there to show that a crash runs neither.
 */
export function toyBoot(cloud: TinyCloud, notes: string[] = []): Boot {
  return (ports) => ({ start: () => loop(ports, { cloud, notes }), stop: async () => undefined });
}

interface Toy {
  readonly cloud: TinyCloud;
  readonly notes: string[];
}

async function loop(ports: Ports, toy: Toy): Promise<void> {
  const { store, clock, worker } = ports;
  for (;;) {
    for (const shard of await store.dueShards()) {
      const claims = await store.claim({ shard, holder: worker, limit: 10, perWorkspaceMax: 10, leaseMs: 15_000 });
      for (const claim of claims) await pass(ports, toy, claim);
    }
    await clock.sleep(1_000);
  }
}

async function pass({ worker, store, call, log, rng }: Ports, { cloud, notes }: Toy, claim: Claim): Promise<void> {
  const { shard, uid } = claim;
  try {
    log(`${worker} ${uid} ${String(rng.int(1_000))}`);
    const { rows } = await store.readRows(shard, [uid]);
    const name = rows[0]?.row.name ?? '';
    const link = { name, uid, target: '', weight: 0, location: tinyLocation };
    const execute = () => cloud.getLink(name) ?? cloud.createLink(link);
    await call({ op: 'tiny.links.create', mutating: true, subject: uid, execute });
    await store.settle(shard, [settleOf(claim, worker)]);
  } catch (error) {
    notes.push(`${worker} caught ${String(error)}`);
  } finally {
    notes.push(`${worker} finally`);
  }
}

function settleOf({ shard, uid, epoch, wakeSeq, claimedAt }: Claim, holder: string): Settle {
  const fence = { shard, uid, epoch, holder, wakeSeq, claimedAt, generation: 1, readVersion: 0 };
  const when = { dueInMs: 60_000, priority: 'replay', attempts: 0 } as const;
  const facts = { verified: true, materialized: true, clearTakenOver: true };
  return { ...fence, ...when, ...facts, fires: [], intents: [], dropAnnounced: [], decided: [], operations: [] };
}
