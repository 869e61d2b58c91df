/**
 * The statements of a script of plain SQL, in order, without what follows the last semicolon but blanks and comments. Sent one by one, since
 * Citus hands the text of a DDL statement on to its workers, which take one statement each. Throws a RangeError for dollar quotes: there
 * is no procedural code in migrations.
 */
export function statementsOf(script: string): readonly string[] {
  const statements: string[] = [];
  let current = '';
  for (const [token] of script.matchAll(tokens)) {
    if (/^\$\w*\$$/.test(token)) throw new RangeError(`${token}: dollar quotes are not understood here.`);
    if (token === ';') {
      statements.push(current.trim());
      current = '';
    } else {
      current += token.startsWith('--') || token.startsWith('/*') ? ' ' : token;
    }
  }
  return [...statements, current.trim()].filter((statement) => statement !== '');
}

/** A comment, a string, a quoted name, a dollar quote, a run of what is none of them, or a single character. */
const tokens = /--[^\n]*|\/\*.*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\w*\$|[^-/'"$;]+|./gs;
