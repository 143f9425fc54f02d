/** Deep equality as `toEqual` means it: by value, where a property that is undefined counts as absent. */

/** A value that decides for itself what equals it, such as `expect.closeTo`. */
export interface Matcher {
  readonly matches: (value: unknown) => boolean;
  readonly text: string;
}

function isMatcher(value: unknown): value is Matcher {
  return typeof value === 'object' && value !== null && 'matches' in value && 'text' in value;
}

function definedKeys(value: object): string[] {
  return Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .map(([key]) => key);
}

function equalEntries(a: object, b: object, keys: readonly string[]): boolean {
  const [left, right] = [a, b] as [Record<string, unknown>, Record<string, unknown>];
  return keys.every((key) => equals(left[key], right[key]));
}

/** Whether `a` equals the expected `b`. */
export function equals(a: unknown, b: unknown): boolean {
  if (isMatcher(b)) return b.matches(a);
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a.constructor !== b.constructor) return false;
  if (Array.isArray(a) || ArrayBuffer.isView(a)) {
    const [left, right] = [a as ArrayLike<unknown>, b as ArrayLike<unknown>];
    if (left.length !== right.length) return false;
    for (let i = 0; i < left.length; i++) if (!equals(left[i], right[i])) return false;
    return true;
  }
  if (a instanceof Map || a instanceof Set) {
    return equals([...a], [...(b as Iterable<unknown>)]);
  }
  if (a instanceof Error) return a.message === (b as Error).message;
  const keys = definedKeys(b);
  return definedKeys(a).length === keys.length && equalEntries(a, b, keys);
}

/** Whether `a` has everything that the expected `b` has, nested objects included. */
export function contains(a: unknown, b: unknown): boolean {
  if (isMatcher(b)) return b.matches(a);
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return Object.is(a, b);
  }
  if (Array.isArray(b)) {
    return Array.isArray(a) && a.length === b.length && b.every((item, i) => contains(a[i], item));
  }
  const [whole, part] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return Object.keys(part).every((key) => contains(whole[key], part[key]));
}
