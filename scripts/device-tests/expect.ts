/** The part of vitest's `expect` that the project's tests use. */
import { inspect } from 'node:util';
import { contains, equals, type Matcher } from './equality.ts';

type ErrorClass = abstract new (...args: never[]) => object;
type Thrown = string | RegExp | ErrorClass | Matcher | undefined;

/** One assertion: whether it holds, and what it demands. */
type Check = (actual: unknown, ...expected: never[]) => { ok: boolean; demand: string };

function show(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'text' in value) return String(value.text);
  return inspect(value, { depth: 4, maxArrayLength: 20, breakLength: 100 });
}

function fits(error: unknown, expected: Thrown): boolean {
  if (expected === undefined) return true;
  if (typeof expected === 'function') return error instanceof expected;
  const message = error instanceof Error ? error.message : String(error);
  if (typeof expected === 'string') return message.includes(expected);
  return expected instanceof RegExp ? expected.test(message) : expected.matches(error);
}

function compare(word: string, holds: (a: number, b: number) => boolean): Check {
  return (actual, bound: number) => ({
    ok: holds(actual as number, bound),
    demand: `${word} ${bound}`,
  });
}

const CHECKS: Readonly<Record<string, Check>> = {
  toBe: (a, b) => ({ ok: Object.is(a, b), demand: `be ${show(b)}` }),
  toEqual: (a, b) => ({ ok: equals(a, b), demand: `equal ${show(b)}` }),
  toMatchObject: (a, b) => ({ ok: contains(a, b), demand: `contain ${show(b)}` }),
  toBeUndefined: (a) => ({ ok: a === undefined, demand: 'be undefined' }),
  toBeDefined: (a) => ({ ok: a !== undefined, demand: 'be defined' }),
  toBeNull: (a) => ({ ok: a === null, demand: 'be null' }),
  toBeNaN: (a) => ({ ok: Number.isNaN(a), demand: 'be NaN' }),
  toBeLessThan: compare('be less than', (a, b) => a < b),
  toBeLessThanOrEqual: compare('be at most', (a, b) => a <= b),
  toBeGreaterThan: compare('be greater than', (a, b) => a > b),
  toBeGreaterThanOrEqual: compare('be at least', (a, b) => a >= b),
  toBeInstanceOf: (a, type: ErrorClass) => ({
    ok: a instanceof type,
    demand: `be an instance of ${type.name}`,
  }),
  toBeCloseTo: (a, b: number, digits = 2) => ({
    ok: Math.abs((a as number) - b) < 10 ** -digits / 2,
    demand: `be ${b} to ${digits} digits`,
  }),
  toHaveLength: (a, length: number) => ({
    ok: (a as ArrayLike<unknown>).length === length,
    demand: `have length ${length}`,
  }),
  toContain: (a, item: unknown) => ({
    ok:
      typeof a === 'string'
        ? a.includes(item as string)
        : [...(a as Iterable<unknown>)].includes(item),
    demand: `contain ${show(item)}`,
  }),
  toMatch: (a, pattern: string | RegExp) => ({
    ok: typeof pattern === 'string' ? String(a).includes(pattern) : pattern.test(String(a)),
    demand: `match ${show(pattern)}`,
  }),
  toThrow: (body, expected: Thrown) => {
    const demand = `throw ${show(expected)}`;
    try {
      (body as () => unknown)();
    } catch (error) {
      return { ok: fits(error, expected), demand: `${demand}, threw ${show(error)}` };
    }
    return { ok: false, demand };
  },
};

type Assertions = Record<string, (...expected: unknown[]) => unknown>;

function assertions(actual: unknown, negated: boolean): Assertions {
  const out: Assertions = {};
  for (const [name, check] of Object.entries(CHECKS)) {
    out[name] = (...expected) => {
      const { ok, demand } = check(actual, ...(expected as never[]));
      if (ok !== negated) return;
      throw new Error(`${show(actual)} should ${negated ? 'not ' : ''}${demand}`);
    };
  }
  return out;
}

/** Assertions on what a promise comes to. */
function settled(outcome: Promise<unknown>): Assertions {
  const out: Assertions = {};
  for (const name of Object.keys(CHECKS)) {
    out[name] = async (...expected) => {
      const judge = assertions(await outcome, false)[name];
      return judge?.(...expected);
    };
  }
  return out;
}

/** The function that throws what a promise rejects with, so that `toThrow` can judge it. */
async function rejection(value: unknown): Promise<() => void> {
  const promise = typeof value === 'function' ? (value as () => Promise<unknown>)() : value;
  try {
    await promise;
  } catch (error) {
    return () => {
      throw error as Error;
    };
  }
  throw new Error('the promise should reject, it resolved');
}

function expectValue(actual: unknown): object {
  return Object.defineProperties(assertions(actual, false), {
    not: { get: () => assertions(actual, true) },
    resolves: { get: () => settled(Promise.resolve(actual)) },
    rejects: { get: () => settled(rejection(actual)) },
  });
}

function matcher(text: string, matches: (value: unknown) => boolean): Matcher {
  return { text, matches };
}

/** Stands in for vitest's `expect`. */
export const expect: typeof expectValue & {
  fail(message: string): never;
  objectContaining(part: object): Matcher;
  arrayContaining(items: readonly unknown[]): Matcher;
  closeTo(value: number, digits?: number): Matcher;
} = Object.assign(expectValue, {
  fail(message: string): never {
    throw new Error(message);
  },
  objectContaining: (part: object) =>
    matcher(`an object with ${show(part)}`, (value) => contains(value, part)),
  arrayContaining: (items: readonly unknown[]) =>
    matcher(
      `an array with ${show(items)}`,
      (value) => Array.isArray(value) && items.every((item) => value.some((v) => equals(v, item))),
    ),
  closeTo: (value: number, digits = 2) =>
    matcher(
      `${value} to ${digits} digits`,
      (actual) => Math.abs((actual as number) - value) < 10 ** -digits / 2,
    ),
});
