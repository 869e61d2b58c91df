import { globSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

/** The style as a test: what the linter can not see (style.md habit 25). */
const sources = globSync('{api,controller,hack,reconcilers,resources}/**/*.ts').filter(
  (path) => !path.endsWith('.test.ts'),
);
const textOf = (path: string): string => readFileSync(path, 'utf8');

describe('the ten steps of the flow', () => {
  test('have exactly one home each, which says so in its first lines', () => {
    expect(sources.flatMap((path) => banners(textOf(path))).sort((a, b) => a - b)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
    ]);
  });
});

/** The steps named by the banner lines that open a file. */
function banners(text: string): number[] {
  const steps: number[] = [];
  for (const line of text.split('\n')) {
    const step = /^\/\/ Flow step (\d+) of 10: /.exec(line)?.[1];
    if (step === undefined) break;
    steps.push(Number(step));
  }
  return steps;
}

describe('the effects', () => {
  const inner = sources.filter(
    (path) => /^(controller|reconcilers|resources)\//.test(path) && path !== 'controller/clock.ts',
  );

  test('time and randomness come from controller/clock.ts alone', () => {
    const banned =
      /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bsetTimeout\(|\bsetInterval\(|\bAbortSignal\.timeout\(|\bcrypto\.randomUUID\(|\bperformance\.now\(/;
    expect(inner.filter((path) => banned.test(textOf(path)))).toEqual([]);
  });
});

describe('the README', () => {
  test('names every environment variable that the code reads', () => {
    const read = /(?:env\[|['"`])['"`]?((?:VIBN|DATABASE)_[A-Z][A-Z_]*[A-Z])['"`]/g;
    const used = new Set(sources.flatMap((path) => [...textOf(path).matchAll(read)].map((match) => match[1] ?? '')));
    const readme = textOf('README.md');
    expect(used.size).toBeGreaterThan(20);
    expect([...used].filter((name) => !readme.includes(name)).sort()).toEqual([]);
  });
});

describe('the repository', () => {
  test('leaves nothing marked for later, and no test focused or still to be written', () => {
    const files = globSync('{api,controller,hack,reconcilers,resources,test,migrations}/**/*.{ts,sql}');
    const marks = new RegExp(`\\b(${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')})\\b|\\.(only|todo)\\(`);
    expect(files.filter((path) => marks.test(textOf(path)))).toEqual([]);
  });

  test('pins every dependency exactly', () => {
    const { dependencies, devDependencies } = JSON.parse(textOf('package.json')) as Record<
      string,
      Record<string, string>
    >;
    const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
    );
    expect(loose).toEqual([]);
  });
});
