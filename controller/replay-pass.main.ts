import { createRegistry } from '#reconcilers/registry.ts';
import type { ResourceRow } from '#resources/resource.ts';
import { shardCount } from '#resources/shard.ts';
import { systemClock, systemRng } from './clock.ts';
import { readControllerConfig } from './process/config.ts';
import type { Desired } from './contract.ts';
import { ConfigError } from './process/env.ts';
import { silentLogger } from './log.ts';
import { createMetrics } from './metrics.ts';
import { replayPass } from './replay/replay.ts';
import type { Comparison } from './replay/replay.ts';
import { createSqlEngineStore } from './store/sql-engine-store.ts';
import { createSqlResourceStore } from './store/sql-resource-store.ts';
import type { Revision, StoredPass } from './store/rows.ts';
import { connectStores } from './process/stores.ts';

/**
 * `node controller/replay-pass.main.ts <uid> <epoch>`: runs today's plan on the observation of a recorded pass and compares. Needs the
 * database and no provider credential. Prints one JSON object; code 0 if the plans are the same, else 1.
 */
const usage = 'Usage: node controller/replay-pass.main.ts <uid> <epoch>   (resources.passes shows both)';
const revisionsMax = 500;

/** Providers are named and never called: settings that only a call would need have a stand-in. */
const environment = { VIBN_GCP_PROJECT: 'offline-replay', ...process.env };

interface Recorded {
  readonly pass: StoredPass;
  readonly row: ResourceRow;
  readonly revision: Revision;
}

/** What the pass worked towards. A revision that quoted the name is that of a deletion. */
function desiredOf({ row, revision }: Recorded): Desired {
  const { spec, confirmed } = revision;
  if (!confirmed) return { state: 'present', spec };
  return { state: 'absent', policy: row.deletionPolicy ?? 'Delete', spec };
}

async function main(uid: string, epoch: number): Promise<Comparison | string> {
  const config = readControllerConfig(environment, (env) => createRegistry({ env }));
  const [clock, rng] = [systemClock, systemRng];
  const { sql, signals, service } = connectStores({ config, clock, rng, log: silentLogger, metrics: createMetrics() });
  const engine = createSqlEngineStore({ sql, signals });
  const resources = createSqlResourceStore({ api: sql, platform: sql, signals });
  try {
    const shards = Array.from({ length: shardCount }, (_, shard) => shard);
    for (const shard of shards) {
      const [pass] = await engine.passes({ shard, uid, limit: 1, epoch });
      if (pass === undefined) continue;
      const row = (await engine.readRows(shard, [uid])).rows[0]?.row;
      if (row === undefined) return `The row ${uid} is gone, and what it declared went with it.`;
      const asked = { workspace: row.workspace, uid, limit: revisionsMax };
      const revisions = await resources.revisions('platform', asked);
      const revision = revisions.find((one) => one.generation === pass.generation);
      if (revision === undefined)
        return `The revision of generation ${pass.generation} is not among the newest ${revisionsMax}.`;
      const reconciler = config.registry.reconcilers.find((one) => one.kind.name === row.kind);
      if (reconciler === undefined) return `No reconciler of the kind ${row.kind} is built in.`;
      return replayPass({ reconciler, pass, desired: desiredOf({ pass, row, revision }) });
    }
    return `There is no recorded pass ${epoch} of ${uid}.`;
  } finally {
    await service.stop();
  }
}

/** Prints what came of it; answers the exit code. */
function print(comparison: Comparison | string): number {
  if (typeof comparison === 'string') {
    process.stderr.write(`${comparison}\n`);
    return 1;
  }
  process.stdout.write(`${JSON.stringify(comparison, null, 2)}\n`);
  return comparison.result === 'same' ? 0 : 1;
}

const [uid = '', epoch = ''] = process.argv.slice(2);
try {
  const wellFormed = uid !== '' && /^\d{1,15}$/.test(epoch);
  process.exitCode = print(wellFormed ? await main(uid, Number(epoch)) : usage);
} catch (error) {
  process.exitCode = print(error instanceof ConfigError ? error.message : String(error));
}
