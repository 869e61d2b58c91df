import { createHash } from 'node:crypto';
import { canonicalJson } from '#resources/json.ts';
import type { AuditEntry } from './recording.ts';

/** The workspace under which the platform's own entries stand. */
export const platformWorkspace = '-';

/** A link of a workspace's audit chain, as stored. `at` in ms, database clock. */
export interface AuditLink extends AuditEntry {
  readonly workspace: string;
  /** From 1, without gaps. */
  readonly seq: number;
  readonly at: number;
  /** Hash of the link before; empty for the first. */
  readonly prevHash: string;
  readonly hash: string;
}

/** The last link of a chain; null: the chain is empty. */
export type ChainHead = { readonly seq: number; readonly hash: string } | null;

/** The next link of a chain. Pure. */
export function nextLink(
  head: ChainHead,
  at: { readonly workspace: string; readonly at: number },
  entry: AuditEntry,
): AuditLink {
  const { actor, lineage, procedure, outcome, target, bodyDigest, traceId } = entry;
  const words = { actor, lineage, procedure, outcome, target, bodyDigest, traceId };
  const link = { ...words, workspace: at.workspace, at: at.at, seq: (head?.seq ?? 0) + 1, prevHash: head?.hash ?? '' };
  return { ...link, hash: hashOf(link) };
}

/**
 * The first seq at which a chain, given in order from its start, is not what was written: an edit, a deletion, a swap or an insertion.
 * Null: whole. A cut tail shows only against a head that was kept elsewhere: pass it as `head`.
 */
export function brokenAt(links: readonly AuditLink[], head: ChainHead): number | null {
  const [first] = links;
  if (first !== undefined && (first.seq !== 1 || first.prevHash !== '')) return 1;
  const broken = brokenIn(links);
  if (broken !== null || head === null) return broken;
  const kept = links[head.seq - 1];
  return kept === undefined || kept.hash !== head.hash ? head.seq : null;
}

/** The same of a part of a chain, whose first link is trusted to follow what is not there. Null: whole. */
export function brokenIn(links: readonly AuditLink[]): number | null {
  const from = links[0]?.seq ?? 1;
  for (const [index, link] of links.entries()) {
    const { hash, ...rest } = link;
    const before = links[index - 1];
    const follows = before === undefined || link.prevHash === before.hash;
    if (link.seq !== from + index || !follows || hash !== hashOf(rest)) return from + index;
  }
  return null;
}

function hashOf(link: Omit<AuditLink, 'hash'>): string {
  return createHash('sha256').update(canonicalJson(link)).digest('hex');
}
