import { tablesOf } from '#hack/citus/tables.ts';

/**
 * What one shard of a Citus cluster can be asked, as rules over the text of a statement. Each was taught by a refusal of Citus 13.2, or by
 * a plan of it that asked all shards; test/shard-ready.test.ts shows each one losing. hack/citus/README.md has the messages.
 */
export interface Rule {
  readonly title: string;
  /** Pieces of the statement that break the rule. */
  readonly offences: (sql: string) => readonly string[];
}

/** One query of a statement: a common table expression or what follows them. */
interface Part {
  readonly verb: 'select' | 'insert' | 'update' | 'delete';
  readonly text: string;
  readonly top: boolean;
}

const sharded = tablesOf('distributed').join('|');
const kept = [...tablesOf('distributed'), ...tablesOf('reference')].join('|');

/** SQL without comments, and with empty string literals. */
export const bare = (text: string): string =>
  text
    .replaceAll(/\/\*.*?\*\/|--[^\n]*/gs, '')
    .replaceAll(/'[^']*'/g, "''")
    .trim();

/** Whether a statement reads or writes a table that is spread over shards. */
export const isSharded = (sql: string): boolean =>
  new RegExp(`\\b(from|join|update|into|using|,)\\s+(${sharded})\\b`).test(sql);

/** Whether it writes one. */
export const writesSharded = (sql: string): boolean =>
  new RegExp(`\\b(update|insert into|delete from)\\s+(${sharded})\\b`).test(sql);

/** Rules for statements that touch a sharded table and are not among the known exceptions. */
export const oneShardRules: readonly Rule[] = [
  {
    // A join tells Citus the shard only if it is an inner one; a subquery never learns it. The rest is asked on all shards.
    title: 'each use of a table names the shard itself',
    offences: (sql) => {
      const use = new RegExp(`\\b(?:from|join|update|using)\\s+(${sharded})\\s+(?:as\\s+)?(\\w+)`, 'g');
      return [...sql.matchAll(use)].flatMap(([, table = '', word = '']) => {
        const alias = /^(set|where|on|order|using|limit|left|join|cross|group|for)$/.test(word) ? table : word;
        const own = alias === table ? String.raw`(?:${alias}\.|[^.\w])` : String.raw`\b${alias}\.`;
        return new RegExp(String.raw`${own}shard = (\$1::smallint|\d+)`).test(sql) ? [] : [`${table} ${alias}`];
      });
    },
  },
  {
    title: 'an INSERT takes the shard from the first parameter',
    offences: (sql) =>
      partsOf(sql)
        .filter((part) => part.verb === 'insert' && writesSharded(part.text))
        .filter(
          (part) =>
            !/^insert into \w+(?: as \w+)? \(shard,[^)]*\)\s+(?:select|values \()\s*\$1::smallint,/.test(part.text),
        )
        .map((part) => part.text.slice(0, 60)),
  },
];

/** Rules for every statement that writes a table known to Citus. */
export const writeRules: readonly Rule[] = [
  {
    // "non-IMMUTABLE functions are not allowed in CASE or COALESCE statements": take the time in a FROM, or a CTE, before.
    title: 'an UPDATE or DELETE has no clock in a CASE or COALESCE',
    offences: (sql) =>
      changes(sql).flatMap((text) =>
        [...text.matchAll(/\bcase\b.*?\bend\b|\bcoalesce\([^()]*(?:\([^()]*\)[^()]*)*\)/gs)]
          .map(([piece]) => piece)
          .filter((piece) => clock.test(piece)),
      ),
  },
  {
    // "STABLE functions used in UPDATE queries cannot be called with column references": time plus interval depends on the time zone.
    title: 'an UPDATE or DELETE does not reckon time with a column',
    offences: (sql) =>
      changes(sql)
        .flatMap((text) => text.replaceAll('statement_timestamp()', '').split(/[(),=<>]|\band\b|\bor\b/))
        .filter(
          (piece) => /[-+].*\binterval\b/s.test(piece) && /[a-z]/.test(piece.replaceAll(/::\w+|\binterval\b/g, '')),
        ),
  },
  {
    // "non-IMMUTABLE functions are not allowed in the RETURNING clause"; and so in DO UPDATE SET.
    title: 'neither RETURNING nor DO UPDATE has a clock',
    offences: (sql) =>
      partsOf(sql)
        .filter((part) => part.verb !== 'select' && writesKept(part.text))
        .flatMap((part) => [after(part.text, ' returning '), after(part.text, ' do update set ')])
        .filter((text) => clock.test(text)),
  },
  {
    // "could not create distributed plan", once it has parameters: let a CTE insert, and select from that.
    title: 'an INSERT behind WITH is a CTE itself',
    offences: (sql) => {
      const parts = partsOf(sql);
      const top = parts.find((part) => part.top);
      return parts.length > 1 && top?.verb === 'insert' ? [top.text.slice(0, 60)] : [];
    },
  },
  {
    // "COPY FROM not supported with row-level security": what Citus fills a table with, unless the rows must come back or may conflict.
    title: 'an INSERT from a SELECT returns something, or says what a conflict does',
    offences: (sql) =>
      partsOf(sql)
        .filter(
          (part) =>
            part.verb === 'insert' && writesKept(part.text) && !/^insert into[^(]*\([^)]*\)\s+values\b/.test(part.text),
        )
        .filter((part) => !/\breturning\b|\bon conflict\b/.test(part.text))
        .map((part) => part.text.slice(0, 60)),
  },
];

const clock = /statement_timestamp\(\)|::timestamptz\b/;
const writesKept = (text: string): boolean =>
  new RegExp(`^(update|insert into|delete from)\\s+(${kept})\\b`).test(text);
const after = (text: string, word: string): string => (text.includes(word) ? text.slice(text.indexOf(word)) : '');

/** What an UPDATE or DELETE assigns and compares, without what its subqueries and its FROM compute: that Citus leaves to the worker. */
function changes(sql: string): readonly string[] {
  return partsOf(sql)
    .filter((part) => (part.verb === 'update' || part.verb === 'delete') && writesKept(part.text))
    .map((part) => {
      const text = withoutSubqueries(part.text);
      const [head = '', condition = ''] = text.split(/\bwhere\b/);
      return `${(head.split(/\bset\b/)[1] ?? '').split(/\bfrom\b/)[0]}, ${condition.split(/\breturning\b/)[0]}`;
    });
}

function withoutSubqueries(text: string): string {
  let result = text;
  for (let at = result.search(/\(\s*select\b/); at !== -1; at = result.search(/\(\s*select\b/)) {
    result = `${result.slice(0, at)}?${result.slice(closing(result, at) + 1)}`;
  }
  return result;
}

/** The queries of a statement, CTEs first. White space is one blank each. */
function partsOf(sql: string): readonly Part[] {
  const text = sql.replaceAll(/\s+/g, ' ').trim();
  const parts: Part[] = [];
  let rest = text;
  const cte = /^(?:with (?:recursive )?|, )\w+ as (?:materialized )?\(/;
  for (let match = cte.exec(rest); match !== null; match = cte.exec(rest)) {
    const open = match[0].length - 1;
    const end = closing(rest, open);
    parts.push(...partOf(rest.slice(open + 1, end).trim(), false));
    rest = rest
      .slice(end + 1)
      .trim()
      .replace(/^,\s*/, ', ');
  }
  return [...parts, ...partOf(rest, true)];
}

function partOf(text: string, top: boolean): readonly Part[] {
  const verb = /^\(*\s*(select|insert|update|delete)\b/.exec(text)?.[1] as Part['verb'] | undefined;
  return verb === undefined ? [] : [{ verb, text, top }];
}

/** Index of the parenthesis that closes the one at `open`. */
function closing(text: string, open: number): number {
  let depth = 0;
  for (let index = open; index < text.length; index += 1) {
    if (text[index] === '(') depth += 1;
    if (text[index] === ')') depth -= 1;
    if (depth === 0) return index;
  }
  throw new RangeError(`a parenthesis is not closed: ${text.slice(open, open + 80)}`);
}
