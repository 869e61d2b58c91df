// The part of CEL that IAM conditions on storage use: && || ! ( ), == !=, startsWith, endsWith, and request.time against timestamp("…").

/** What a condition may speak about. */
export interface ConditionAttributes {
  /** "projects/_/buckets/<b>" or "projects/_/buckets/<b>/objects/<o>". */
  readonly resourceName: string;
  /** "storage.googleapis.com/Bucket" or "storage.googleapis.com/Object". */
  readonly resourceType: string;
  readonly nowMs: number;
}

type Check = (about: ConditionAttributes) => boolean;

/** Characters in one expression (IAM: 12 logic operators; this bounds the parser's depth). */
const EXPRESSION_CHARS_MAX = 4_096;

const TOKEN = /\s*(?:(&&|\|\||==|!=|<=|>=|[!()<>,])|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|([A-Za-z_][\w.]*))/y;

const cache = new Map<string, Check | undefined>();

/** Whether the expression is one that this cloud can evaluate. */
export function isConditionValid(expression: string): boolean {
  return compiled(expression) !== undefined;
}

/** Evaluates a valid expression; an invalid one holds for nothing. */
export function conditionHolds(expression: string, about: ConditionAttributes): boolean {
  return compiled(expression)?.(about) ?? false;
}

function compiled(expression: string): Check | undefined {
  if (!cache.has(expression)) {
    // Bounded: expressions come from tests and a few policies; a flood starts the cache anew.
    if (cache.size > 1_000) cache.clear();
    cache.set(expression, compile(expression));
  }
  return cache.get(expression);
}

function compile(expression: string): Check | undefined {
  if (expression.length > EXPRESSION_CHARS_MAX) return undefined;
  try {
    const parser = new Parser(tokenize(expression));
    const check = parser.or();
    return parser.done() ? check : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function tokenize(expression: string): string[] {
  const tokens: string[] = [];
  const text = expression.trimEnd();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text);
    if (match === null) throw new SyntaxError('unexpected character');
    tokens.push(match[1] ?? match[2] ?? match[3] ?? '');
  }
  return tokens;
}

class Parser {
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  done(): boolean {
    return this.#at === this.#tokens.length;
  }

  or(): Check {
    const left = this.#and();
    if (!this.#take('||')) return left;
    const right = this.or();
    return (about) => left(about) || right(about);
  }

  #and(): Check {
    const left = this.#not();
    if (!this.#take('&&')) return left;
    const right = this.#and();
    return (about) => left(about) && right(about);
  }

  #not(): Check {
    if (this.#take('!')) {
      const inner = this.#not();
      return (about) => !inner(about);
    }
    if (this.#take('(')) {
      const inner = this.or();
      this.#expect(')');
      return inner;
    }
    return this.#comparison();
  }

  #comparison(): Check {
    const subject = this.#next();
    if (subject === 'request.time') return this.#timeComparison();
    const dot = subject.lastIndexOf('.');
    const method = subject.slice(dot + 1);
    if (method === 'startsWith' || method === 'endsWith') {
      const attribute = readAttribute(subject.slice(0, dot));
      this.#expect('(');
      const text = readString(this.#next());
      this.#expect(')');
      return (about) => attribute(about)[method](text);
    }
    const attribute = readAttribute(subject);
    const operator = this.#next();
    if (operator !== '==' && operator !== '!=') throw new SyntaxError(`unexpected ${operator}`);
    const text = readString(this.#next());
    return (about) => (attribute(about) === text) === (operator === '==');
  }

  #timeComparison(): Check {
    const operator = this.#next();
    if (this.#next() !== 'timestamp') throw new SyntaxError('request.time is compared with timestamp("…")');
    this.#expect('(');
    const limitMs = Date.parse(readString(this.#next()));
    this.#expect(')');
    if (Number.isNaN(limitMs)) throw new SyntaxError('not a timestamp');
    if (operator === '<') return (about) => about.nowMs < limitMs;
    if (operator === '<=') return (about) => about.nowMs <= limitMs;
    if (operator === '>') return (about) => about.nowMs > limitMs;
    if (operator === '>=') return (about) => about.nowMs >= limitMs;
    throw new SyntaxError(`unexpected ${operator}`);
  }

  #take(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at += 1;
    return true;
  }

  #expect(token: string): void {
    if (!this.#take(token)) throw new SyntaxError(`expected ${token}`);
  }

  #next(): string {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw new SyntaxError('unexpected end');
    this.#at += 1;
    return token;
  }
}

function readAttribute(path: string): (about: ConditionAttributes) => string {
  if (path === 'resource.name') return (about) => about.resourceName;
  if (path === 'resource.type') return (about) => about.resourceType;
  if (path === 'resource.service') return () => 'storage.googleapis.com';
  throw new SyntaxError(`unknown attribute ${path}`);
}

function readString(token: string): string {
  if (!/^["']/.test(token)) throw new SyntaxError('expected a string');
  return token.slice(1, -1).replaceAll(/\\(.)/g, '$1');
}
