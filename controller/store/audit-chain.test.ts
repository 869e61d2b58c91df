import { describe, expect, it } from 'vitest';
import { brokenAt, brokenIn, nextLink, type AuditLink, type ChainHead } from './audit-chain.ts';

/** Every way to tamper with a chain is noticed, where it was done. `VIBN_AUDIT_EVENTS` sets its length (default 2,000; 10⁵ takes 10 s). */
const events = Number(process.env['VIBN_AUDIT_EVENTS'] ?? '2000');
const middle = Math.floor(events / 2);

function chainOf(length: number): readonly AuditLink[] {
  const links: AuditLink[] = [];
  let head: ChainHead = null;
  for (let n = 0; n < length; n += 1) {
    const entry = {
      actor: `key-${n % 7}`,
      lineage: 'l',
      procedure: 'resources.apply',
      outcome: 'ok',
      target: `Bucket/acme/b-${n}`,
      bodyDigest: `d${n}`,
      traceId: `t${n}`,
    };
    const link = nextLink(head, { workspace: 'acme', at: 1_800_000_000_000 + n }, entry);
    links.push(link);
    head = { seq: link.seq, hash: link.hash };
  }
  return links;
}

const chain = chainOf(events);
const at = (index: number): AuditLink => chain[index] as AuditLink;
const last = at(events - 1);
const head = { seq: last.seq, hash: last.hash };

describe(`an audit chain of ${events} events`, () => {
  it('is whole as it was written', () => {
    expect(brokenAt(chain, head)).toBeNull();
  });

  it.each(['actor', 'lineage', 'procedure', 'outcome', 'target', 'bodyDigest', 'traceId', 'workspace'] as const)(
    'shows an edited %s, wherever it is',
    (field) => {
      for (const index of [0, middle, events - 1])
        expect(brokenAt(chain.with(index, { ...at(index), [field]: 'other' }), null)).toBe(index + 1);
    },
  );

  it('shows an edited time', () => {
    expect(brokenAt(chain.with(7, { ...at(7), at: at(7).at + 1 }), null)).toBe(8);
  });

  it('shows a deletion, a swap and an insertion where they were made', () => {
    expect(brokenAt(chain.toSpliced(777, 1), head)).toBe(778);
    expect(brokenAt(chain.with(10, at(11)).with(11, at(10)), head)).toBe(11);
    expect(brokenAt(chain.toSpliced(500, 0, at(500)), head)).toBe(502);
  });

  it('shows a deletion whose place in the count was taken by the next', () => {
    const closed = chain.toSpliced(777, 1).map((link, index) => ({ ...link, seq: index + 1 }));
    expect(brokenAt(closed, null)).toBe(778);
  });

  it('is checked in part too, as it is kept for a time only: what precedes the part is trusted', () => {
    const part = chain.slice(middle);
    expect(brokenIn(part)).toBeNull();
    expect(brokenIn(part.with(3, { ...at(middle + 3), target: 'other' }))).toBe(middle + 4);
    expect(brokenIn(part.toSpliced(3, 1))).toBe(middle + 4);
    expect(brokenIn([])).toBeNull();
  });

  it('shows a cut tail, and a chain written anew, against a head that was kept elsewhere', () => {
    expect(brokenAt(chain.slice(0, -1), head)).toBe(events);
    expect(brokenAt([], head)).toBe(events);
    const rewritten = chain.slice(0, 10);
    let end: ChainHead = { seq: 10, hash: at(9).hash };
    for (const { hash: _hash, seq: _seq, prevHash: _prev, workspace, at: time, ...entry } of chain.slice(10)) {
      const forged = entry.target === 'Bucket/acme/b-10' ? { ...entry, target: 'Bucket/acme/other' } : entry;
      const link = nextLink(end, { workspace, at: time }, forged);
      rewritten.push(link);
      end = { seq: link.seq, hash: link.hash };
    }
    // Whoever can write all of it leaves no seam: only the head that he could not reach tells.
    expect(brokenAt(rewritten, null)).toBeNull();
    expect(brokenAt(rewritten, head)).toBe(events);
  });
});
