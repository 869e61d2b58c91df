import { sameJson } from '#resources/json.ts';
import type { JsonObject } from '#resources/json.ts';
import type { Clouds } from '#test/simulation/clouds.ts';
import { linkName } from '#test/simulation/kinds/link.ts';
import { tinyLocation } from '#test/simulation/kinds/tiny-client.ts';
import type { TinyLink, TinyToken } from '#test/simulation/tiny-cloud.ts';
import { keyOf, workspaceName } from './scenario.ts';
import type { Drift, Named, Scenario } from './scenario.ts';

const token = (clouds: Clouds, row: Named): TinyToken | undefined => clouds.tiny.listTokens(row.uid)[0];
const link = (clouds: Clouds, row: Named): TinyLink | null => clouds.tiny.getLink(linkName(row.workspace, row.name));

function changeToken(name: string, fields: Partial<TinyToken>): Drift {
  return {
    name,
    mutate(clouds, row) {
      const found = token(clouds, row);
      if (found !== undefined) clouds.tiny.updateToken(found.id, fields);
    },
  };
}

function changeLink(name: string, fields: Partial<TinyLink>): Drift {
  return {
    name,
    mutate(clouds, row) {
      const found = link(clouds, row);
      if (found !== null) clouds.tiny.patchLink(found.name, found.etag, fields);
    },
  };
}

function plantForeign(clouds: Clouds, name: string, uid: string | null): () => boolean {
  const made = clouds.tiny.createLink({ name, uid, target: 'theirs', weight: 5, location: tinyLocation });
  return () => sameJson(clouds.tiny.getLink(name), made);
}

/** The kinds of test/simulation/kinds. */
export const tinyScenarios: readonly Scenario[] = [
  {
    kind: 'Token',
    title: 'Token',
    needs: [],
    sample: { label: 'first', scopes: ['read'] },
    update: { label: 'second', scopes: ['read', 'write'] },
    objects: (clouds, row) => clouds.tiny.listTokens(row.uid).length,
    matches: (clouds, row, spec) =>
      token(clouds, row)?.label === spec['label'] && sameJson(token(clouds, row)?.scopes, spec['scopes']),
    drifts: [changeToken('label', { label: 'meddled' }), changeToken('scopes', { scopes: ['admin'] })],
    unmanaged: [
      { ...changeToken('note', { note: 'mine' }), kept: (clouds, row) => token(clouds, row)?.note === 'mine' },
    ],
    foreign: null,
    whenGone: 'recreated',
    destroy: (clouds, row) => clouds.tiny.listTokens(row.uid).forEach((one) => clouds.tiny.deleteToken(one.id)),
    untraceable: false,
    lagMs: 50_000,
    sameCounts: false,
  },
  {
    kind: 'Link',
    title: 'Link',
    needs: [{ key: keyOf('Token', 'target'), spec: { label: 'target', scopes: [] } }],
    sample: { token: 'target', weight: 1 },
    update: { token: 'target', weight: 7 },
    objects: (clouds, row) => (link(clouds, row)?.uid === row.uid ? 1 : 0),
    matches(clouds, row, spec) {
      const found = link(clouds, row);
      // Which token is the spec's is told by its own row; that it is one is enough to see meddling.
      return found?.uid === row.uid && found.weight === spec['weight'] && clouds.tiny.getToken(found.target) !== null;
    },
    drifts: [changeLink('weight', { weight: 99 }), changeLink('target', { target: 'elsewhere' })],
    unmanaged: [{ ...changeLink('note', { note: 'mine' }), kept: (clouds, row) => link(clouds, row)?.note === 'mine' }],
    foreign: {
      'without a mark': (clouds, key) => plantForeign(clouds, linkName(key.workspace, key.name), null),
      'of somebody else': (clouds, key) => plantForeign(clouds, linkName(key.workspace, key.name), 'somebody-else'),
    },
    whenGone: 'recreated',
    destroy(clouds, row) {
      const found = link(clouds, row);
      if (found !== null) clouds.tiny.deleteLink(found.name, found.etag);
    },
    untraceable: false,
    lagMs: 50_000,
    sameCounts: true,
  },
  letter('Letter', true),
  letter('Letter, untraceable', false),
  {
    kind: 'Fleet',
    title: 'Fleet',
    needs: [],
    sample: { size: 2, label: 'crew' },
    update: { size: 3, label: 'crew' },
    own: (name) => ({ label: name }),
    objects: () => 0,
    matches: (clouds, _row, spec) => crew(clouds, spec['label']).length === spec['size'],
    drifts: [],
    unmanaged: [],
    foreign: null,
    whenGone: 'nothing',
    destroy: null,
    untraceable: false,
    lagMs: 50_000,
    sameCounts: false,
  },
];

function crew(clouds: Clouds, label: unknown): readonly TinyToken[] {
  return Array.from(clouds.tiny.tokens.entries(), ([, one]) => one).filter((one) => one.label === label);
}

function letter(title: string, traceable: boolean): Scenario {
  const sample: JsonObject = { to: 'someone', text: 'hello', traceable };
  const sent = (clouds: Clouds, row: Named): number =>
    Array.from(clouds.tiny.letters.entries()).filter(([, one]) => one.uid === row.uid).length;
  return {
    kind: 'Letter',
    title,
    needs: [],
    sample,
    update: null,
    objects: sent,
    matches: (clouds, row) => sent(clouds, row) === 1,
    drifts: [],
    unmanaged: [],
    foreign: null,
    whenGone: 'nothing',
    destroy: null,
    untraceable: !traceable,
    lagMs: 50_000,
    sameCounts: true,
  };
}

export const workspaceKey = keyOf('Workspace', workspaceName);
