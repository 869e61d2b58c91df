import type { EngineStore } from '#controller/store/engine-store.ts';
import type { ProviderStore } from '#controller/store/provider-store.ts';
import type { ReplayStore } from '#controller/store/replay-store.ts';
import type { ResourceStore } from '#controller/store/resource-store.ts';
import type { MemoryDatabase } from './database.ts';
import { createMemoryEngineStore } from './engine-store.ts';
import { createMemoryProviderStore } from './provider-store.ts';
import { createMemoryReplayStore } from './replay-store.ts';
import { createMemoryResourceStore } from './resource-store.ts';

export interface MemoryStores {
  readonly engine: EngineStore;
  readonly resources: ResourceStore;
  readonly providers: ProviderStore;
  readonly replays: ReplayStore;
}

/** All stores over one database. */
export function createMemoryStores(db: MemoryDatabase): MemoryStores {
  return {
    engine: createMemoryEngineStore(db),
    resources: createMemoryResourceStore(db),
    providers: createMemoryProviderStore(db),
    replays: createMemoryReplayStore(db),
  };
}
