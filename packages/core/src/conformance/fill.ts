/** Elements of case inputs: seeded, and rounded to the dtype they will have on the device. */
import {
  allocateValues,
  decodeStorage,
  encodeStorage,
  isFloat,
  type DType,
  type ValueArray,
} from '../dtype.ts';
import type { Fill } from './case.ts';

/** A seeded generator of numbers in [0, 1). */
export type Random = () => number;

/** FNV-1a hash of a text, for seeds. */
export function seedOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** The "mulberry32" generator: small, fast, and good enough for test data. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function normal(random: Random): number {
  // Box-Muller; 1 - u keeps the logarithm finite.
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

const SPECIAL_FLOATS: Readonly<Partial<Record<DType, readonly number[]>>> = {
  f32: [NaN, Infinity, -Infinity, 0, -0, 3.4028234663852886e38, -1e30, 1.2e-38, 1],
  f16: [NaN, Infinity, -Infinity, 0, -0, 65504, -30000, 6.2e-5, 1],
  bf16: [NaN, Infinity, -Infinity, 0, -0, 3.38e38, -1e30, 1.2e-38, 1],
};
const SPECIAL_INTEGERS: Readonly<Partial<Record<DType, readonly number[]>>> = {
  i32: [0, 1, -1, 2147483647, -2147483648, 46341],
  u32: [0, 1, 4294967295, 2147483648, 65536],
  u8: [0, 1, 255, 128, 16],
  bool: [0, 1],
};

function special(dtype: DType, random: Random): number {
  const values = (SPECIAL_FLOATS[dtype] ?? SPECIAL_INTEGERS[dtype])!;
  if (random() < 0.6) return values[Math.floor(random() * values.length)]!;
  return isFloat(dtype) ? normal(random) : Math.floor(random() * (dtype === 'bool' ? 2 : 100));
}

function element(fill: Fill, index: number, dtype: DType, random: Random): number {
  switch (fill.kind) {
    case 'normal':
      return normal(random) * (fill.scale ?? 1);
    case 'uniform': {
      const { low = -1, high = 1 } = fill;
      return low + (high - low) * random();
    }
    case 'integers':
      return fill.low + Math.floor(random() * (fill.high - fill.low + 1));
    case 'values':
      return fill.values[index % fill.values.length]!;
    case 'choice':
      return fill.values[Math.floor(random() * fill.values.length)]!;
    case 'special':
      return special(dtype, random);
    default:
      return fill satisfies never;
  }
}

/** Rounds values to what a tensor of this dtype holds. */
export function roundTo(dtype: DType, values: ValueArray): ValueArray {
  return decodeStorage(dtype, encodeStorage(dtype, values));
}

/** `size` elements of an input, as the device will hold them. */
export function fillValues(fill: Fill, size: number, dtype: DType, seed: number): ValueArray {
  const random = seededRandom(seed);
  const values = allocateValues(dtype, size);
  for (let i = 0; i < size; i++) values[i] = element(fill, i, dtype, random);
  return roundTo(dtype, values);
}

/** What surrounds a sliced input in memory: a value that spoils every result it leaks into. */
export function poison(dtype: DType): number {
  if (isFloat(dtype)) return NaN;
  if (dtype === 'bool') return 1;
  return dtype === 'u8' ? 255 : 2147483647;
}
