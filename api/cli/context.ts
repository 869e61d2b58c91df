import type { VibnClient } from '#api/client.ts';
import type { Resource, ResourceKey } from '#resources/resource.ts';
import type { KnownKind } from './refs.ts';

/** What every command is handed: the client, the time, and the global options. */
export interface CliContext {
  readonly client: VibnClient;
  readonly now: () => number;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The kinds the API knows. */
export async function kindsOf(context: CliContext): Promise<readonly KnownKind[]> {
  return await context.client.call<readonly KnownKind[]>('kinds.list', {});
}

/** One resource; throws the API's NOT_FOUND. */
export async function getResource(context: CliContext, key: ResourceKey): Promise<Resource> {
  return await context.client.call<Resource>('resources.get', key);
}

/** All pages of a list. `limitMax` bounds what is held in memory. */
export async function listResources(context: CliContext, query: object, limitMax = 100_000): Promise<Resource[]> {
  const items: Resource[] = [];
  let cursor: string | null = null;
  do {
    const page: { items: Resource[]; nextCursor: string | null } = await context.client.call('resources.list', {
      ...query,
      limit: 500,
      ...(cursor === null ? {} : { cursor }),
    });
    items.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== null && items.length < limitMax);
  return items;
}
