/**
 * Sort keys as packed bits: rows of several columns become one unsigned number each, as short as the values permit.
 *
 * Each column is mapped to unsigned numbers in the same order, less its smallest one; what is left takes as many bits as
 * the largest needs. The columns' bits are joined, the last column lowest. Rows compare as their packed numbers do, and
 * a radix sort needs passes for the used bits alone. The device finds all this out by itself: nobody waits.
 */
import type { DType } from '@pergola/core';
import type { WebGpuContext } from '../context.ts';
import { groupReduction } from '../wgsl/reduce.ts';
import type { Launch } from './launch.ts';

const WORKGROUP = 256;
// Rows whose extremes one workgroup finds.
const BLOCK = 4096;

/** Bits that one radix pass sorts by. */
export const DIGIT_BITS = 8;

/** Bits of a key to an unsigned number in the same order. */
const ORDERED: Readonly<Partial<Record<DType, string>>> = {
  u32: 'return bits;',
  i32: 'return bits ^ 0x80000000u;',
  f32: `
  let magnitude = bits & 0x7fffffffu;
  // All NaN are equal and last; -0 equals 0.
  if (magnitude > 0x7f800000u) { return 0xffffffffu; }
  if (magnitude == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);`,
};

function orderedCode(dtype: DType): string {
  return `fn ordered(bits: u32) -> u32 { ${ORDERED[dtype]!} }`;
}

/** Words of a packed row. */
export function packedWords(width: number): number {
  return Math.max(1, width);
}

/**
 * Largest complement and largest value of each column, as ordered numbers. Bindings: keys, range `[width, 2]` (zeroes
 * before).
 */
export function rangeLaunch(
  context: WebGpuContext,
  dtype: DType,
  rows: number,
  width: number,
): Launch {
  const reduction = groupReduction(context.capabilities, {
    name: 'reduce',
    type: 'vec2<u32>',
    combine: 'max(a, b)',
    workgroup: WORKGROUP,
  });
  const program = context.program({
    label: `sort.range.${dtype}`,
    bindings: [
      { name: 'keys', dtype: 'u32', use: 'read' },
      { name: 'range', dtype: 'u32', use: 'atomic' },
    ],
    params: { rows: 'u32', width: 'u32' },
    each: 'group',
    workgroup: WORKGROUP,
    enables: reduction.enables,
    body: `${orderedCode(dtype)}${reduction.code}
fn run(group: u32, lane: u32) {
  let column = group % params.width;
  let first = (group / params.width) * ${BLOCK}u;
  let end = min(params.rows, first + ${BLOCK}u);
  var part = vec2<u32>();
  for (var row = first + lane; row < end; row += ${WORKGROUP}u) {
    let key = ordered(load_keys(row * params.width + column));
    part = max(part, vec2<u32>(~key, key));
  }
  let extremes = reduce(lane, part);
  if (lane == 0u) {
    atomicMax(&range_data[2u * column], extremes.x);
    atomicMax(&range_data[2u * column + 1u], extremes.y);
  }
}`,
  });
  const count = Math.ceil(rows / BLOCK) * width;
  return { program, params: program.pack({ rows, width }), count };
}

/**
 * Packs all rows, numbers them, and counts the passes that their bits take. Bindings: keys, range, packed
 * `[rows, words]`, order `[rows]`, passes `[1]`.
 */
export function packLaunch(
  context: WebGpuContext,
  dtype: DType,
  rows: number,
  width: number,
): Launch {
  const program = context.program({
    label: `sort.pack.${dtype}`,
    bindings: [
      { name: 'keys', dtype: 'u32', use: 'read' },
      { name: 'range', dtype: 'u32', use: 'read' },
      { name: 'packed', dtype: 'u32', use: 'write' },
      { name: 'order', dtype: 'u32', use: 'write' },
      { name: 'passes', dtype: 'u32', use: 'write' },
    ],
    params: { width: 'u32', words: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    body: `${orderedCode(dtype)}
fn run(row: u32) {
  var at = row * params.words;
  var word = 0u;
  var used = 0u;
  for (var column = params.width; column > 0u; ) {
    column--;
    let least = ~load_range(2u * column);
    let bits = 32u - countLeadingZeros(load_range(2u * column + 1u) - least);
    let value = ordered(load_keys(row * params.width + column)) - least;
    let shift = used % 32u;
    word |= value << shift;
    used += bits;
    if (shift + bits >= 32u) {
      store_packed(at, word);
      at++;
      // A shift by 32 would be a shift by 0.
      word = select(value >> (32u - shift), 0u, shift == 0u);
    }
  }
  for (; at < (row + 1u) * params.words; at++) {
    store_packed(at, word);
    word = 0u;
  }
  store_order(row, row);
  if (row == 0u) { store_passes(0u, (used + ${DIGIT_BITS - 1}u) / ${DIGIT_BITS}u); }
}`,
  });
  return { program, params: program.pack({ width, words: packedWords(width) }), count: rows };
}
