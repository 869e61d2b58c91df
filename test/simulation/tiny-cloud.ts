import { CloudState } from '#hack/cloud/state.ts';
import type { Table } from '#hack/cloud/state.ts';
import type { CloudClock } from '#hack/cloud/clock.ts';

/**
 * A provider small enough to see through, with what makes real ones hard: ids that it assigns itself, a secret that it tells once,
 * names that anybody may have taken, sends that happen twice when asked twice, reads that lag.
 */
export interface TinyCloud {
  readonly state: CloudState;
  readonly tokens: Table<TinyToken>;
  readonly links: Table<TinyLink>;
  readonly letters: Table<TinyLetter>;
  /** Runs a read on the cloud as it was `ms` ago. */
  lagging<T>(ms: number, read: () => T): T;
  listTokens(uid: string): readonly TinyToken[];
  getToken(id: string): TinyToken | null;
  /** Happens as often as it is asked. The secret is in this answer and nowhere else. */
  createToken(input: Omit<TinyToken, 'id' | 'note'>): { readonly id: string; readonly secret: string };
  updateToken(id: string, fields: Partial<TinyToken>): void;
  /** Gone is done. */
  deleteToken(id: string): void;
  getLink(name: string): TinyLink | null;
  /** Names are unique. */
  createLink(input: Omit<TinyLink, 'etag' | 'note'>): TinyLink;
  /** Refused if the etag is another. */
  patchLink(name: string, etag: number, fields: Partial<TinyLink>): TinyLink;
  deleteLink(name: string, etag: number): void;
  /** Sends as often as it is asked. */
  sendLetter(input: Omit<TinyLetter, 'id'>): { readonly id: string };
  findLetter(nonce: string): TinyLetter | null;
}

export interface TinyToken {
  readonly id: string;
  /** The owner's mark. */
  readonly uid: string;
  readonly nonce: string;
  readonly label: string;
  readonly scopes: readonly string[];
  readonly location: string;
  /** Not managed by anybody but its users. */
  readonly note: string;
}

export interface TinyLink {
  readonly name: string;
  /** The owner's mark; null: none. */
  readonly uid: string | null;
  readonly target: string;
  readonly weight: number;
  readonly location: string;
  readonly etag: number;
  readonly note: string;
}

export interface TinyLetter {
  readonly id: string;
  readonly nonce: string;
  readonly uid: string;
  readonly to: string;
  readonly text: string;
}

/** How the tiny cloud refuses: the status of HTTP that would fit. */
export class TinyRefusal extends Error {
  override readonly name = 'TinyRefusal';
  readonly status: 404 | 409 | 412;
  constructor(status: 404 | 409 | 412) {
    super(`tiny cloud: ${status}`);
    this.status = status;
  }
}

/** A tiny cloud without anything in it. `clock` tells its history apart. */
export function createTinyCloud(clock: CloudClock): TinyCloud {
  const state = new CloudState(clock);
  const tokens = state.table<TinyToken>('tokens');
  const links = state.table<TinyLink>('links');
  const letters = state.table<TinyLetter>('letters');
  let ids = 0;
  const nextId = (prefix: string): string => `${prefix}-${String((ids += 1))}`;
  const found = <T>(value: T | undefined): T => {
    if (value === undefined) throw new TinyRefusal(404);
    return value;
  };
  const linkAt = (name: string, etag: number): TinyLink => {
    const link = found(links.get(name));
    if (link.etag !== etag) throw new TinyRefusal(412);
    return link;
  };
  return {
    state,
    tokens,
    links,
    letters,
    lagging: (ms, read) => (ms === 0 ? read() : state.readAt(clock.now() - ms, read)),
    listTokens: (uid) => Array.from(tokens.entries(), ([, token]) => token).filter((token) => token.uid === uid),
    getToken: (id) => tokens.get(id) ?? null,
    createToken: (input) =>
      state.transact(() => {
        const id = nextId('tok');
        tokens.set(id, { ...input, id, note: '' });
        return { id, secret: `canary-${id}` };
      }),
    updateToken: (id, fields) => state.transact(() => tokens.set(id, { ...found(tokens.get(id)), ...fields, id })),
    deleteToken: (id) => state.transact(() => tokens.delete(id)),
    getLink: (name) => links.get(name) ?? null,
    createLink: (input) =>
      state.transact(() => {
        if (links.get(input.name) !== undefined) throw new TinyRefusal(409);
        ids += 1;
        const link = { ...input, etag: ids, note: '' };
        links.set(input.name, link);
        return link;
      }),
    patchLink: (name, etag, fields) =>
      state.transact(() => {
        const link = { ...linkAt(name, etag), ...fields, etag: etag + 1 };
        links.set(name, link);
        return link;
      }),
    deleteLink: (name, etag) =>
      state.transact(() => {
        if (links.get(name) === undefined) return;
        linkAt(name, etag);
        links.delete(name);
      }),
    sendLetter: (input) =>
      state.transact(() => {
        const id = nextId('letter');
        letters.set(id, { ...input, id });
        return { id };
      }),
    findLetter: (nonce) => Array.from(letters.entries(), ([, one]) => one).find((one) => one.nonce === nonce) ?? null,
  };
}
