/**
 * Runs the project's tests where there is no vitest: the functions that the test files import, and the run itself.
 *
 * Bundles made by scripts/bundle-device-tests.mjs put this module in the place of `vitest`.
 */
import { env, exit, stdout } from 'node:process';
import { format, inspect } from 'node:util';

export { expect } from './expect.ts';

type Body = () => void | Promise<void>;

interface Suite {
  readonly name: string;
  readonly parent: Suite | undefined;
  readonly entries: (Suite | Test)[];
  readonly hooks: Readonly<Record<Hook, Body[]>>;
}

interface Test {
  readonly name: string;
  /** Absent for a test that reports itself as not run. */
  readonly body: Body | undefined;
}

type Hook = 'beforeAll' | 'afterAll' | 'beforeEach' | 'afterEach';

function suite(name: string, parent?: Suite): Suite {
  const hooks = { beforeAll: [], afterAll: [], beforeEach: [], afterEach: [] };
  return { name, parent, entries: [], hooks };
}

const root = suite('');
let current = root;

function addSuite(name: string, body: () => void): void {
  const outer = current;
  current = suite(name, outer);
  outer.entries.push(current);
  try {
    body();
  } finally {
    current = outer;
  }
}

function addTest(name: string, body?: Body): void {
  current.entries.push({ name, body });
}

type Row = readonly unknown[];

/** `each` of `test` and `describe`: rows fill the placeholders of the name. */
function each<B>(add: (name: string, body: () => B) => void) {
  return (rows: readonly unknown[]) => (name: string, body: (...row: never[]) => B) => {
    for (const row of rows) {
      const args = (Array.isArray(row) ? row : [row]) as Row;
      const used = name.match(/%[sdijfo]/g)?.length ?? 0;
      add(format(name, ...args.slice(0, used)), () => body(...(args as never[])));
    }
  };
}

export const describe = Object.assign(addSuite, {
  each: each(addSuite),
  skip: (name: string, _body: () => void) => addTest(name),
  runIf: (condition: unknown) => (condition ? addSuite : (name: string) => addTest(name)),
});

export const test = Object.assign(addTest, {
  each: each(addTest as (name: string, body: () => void | Promise<void>) => void),
  skip: (name: string, _body?: Body) => addTest(name),
});

function hook(kind: Hook) {
  return (body: Body): void => {
    current.hooks[kind].push(body);
  };
}

export const beforeAll = hook('beforeAll');
export const afterAll = hook('afterAll');
export const beforeEach = hook('beforeEach');
export const afterEach = hook('afterEach');

/** Settings have no meaning here: nothing times out. */
export const vi = { setConfig: (_settings: object): void => {} };

/** Declares the tests of one file under its name. */
export async function declareFile(name: string, load: () => Promise<unknown>): Promise<void> {
  current = suite(name, root);
  root.entries.push(current);
  await load();
  current = root;
}

const counts = { passed: 0, failed: 0, skipped: 0 };
const filter = new RegExp(env['PERGOLA_TEST_FILTER'] ?? '');

function report(text: string): void {
  stdout.write(`${text}\n`);
}

/** Suites from the outermost inwards. */
function ancestry(inner: Suite): Suite[] {
  const out: Suite[] = [];
  for (let at: Suite | undefined = inner; at !== undefined; at = at.parent) out.unshift(at);
  return out;
}

async function runTest(path: string, { body }: Test, parents: readonly Suite[]): Promise<void> {
  if (body === undefined) {
    counts.skipped++;
    report(`not run: ${path}`);
    return;
  }
  const started = performance.now();
  try {
    for (const { hooks } of parents) for (const before of hooks.beforeEach) await before();
    try {
      await body();
    } finally {
      for (const { hooks } of parents) for (const after of hooks.afterEach) await after();
    }
    counts.passed++;
    if (env['PERGOLA_TEST_VERBOSE'] === '1') {
      report(`passed: ${path} (${Math.round(performance.now() - started)} ms)`);
    }
  } catch (error) {
    counts.failed++;
    report(`FAILED: ${path}\n  ${inspect(error).replaceAll('\n', '\n  ')}`);
  }
}

/** Tests of a suite that the filter keeps. */
function selected(from: Suite, prefix: string): number {
  return from.entries.reduce((sum, entry) => {
    const path = `${prefix} > ${entry.name}`;
    return sum + ('entries' in entry ? selected(entry, path) : Number(filter.test(path)));
  }, 0);
}

async function runSuite(path: string, from: Suite): Promise<void> {
  if (selected(from, path) === 0) return;
  try {
    for (const before of from.hooks.beforeAll) await before();
  } catch (error) {
    counts.failed++;
    report(`FAILED: ${path} > beforeAll\n  ${inspect(error)}`);
    return;
  }
  for (const entry of from.entries) {
    const inner = `${path} > ${entry.name}`;
    if ('entries' in entry) await runSuite(inner, entry);
    else if (filter.test(inner)) await runTest(inner, entry, ancestry(from));
  }
  try {
    for (const after of from.hooks.afterAll.toReversed()) await after();
  } catch (error) {
    counts.failed++;
    report(`FAILED: ${path} > afterAll\n  ${inspect(error)}`);
  }
}

/** Runs everything that was declared, prints failures and the count, and ends the process. */
export async function runDeclared(): Promise<never> {
  for (const entry of root.entries) if ('entries' in entry) await runSuite(entry.name, entry);
  const { passed, failed, skipped } = counts;
  report(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} not run` : ''}`);
  exit(failed > 0 ? 1 : 0);
}
