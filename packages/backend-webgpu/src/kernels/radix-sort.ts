/**
 * Stable radix sort of rows by several columns, least significant digit first, in passes of counting, offsets and moving.
 *
 * Row numbers move, keys stay. As many passes are enqueued as the widest keys need; the device ends those early that the
 * packed keys do not reach (see `sort-keys.ts`). Nothing depends on the order of atomic operations.
 */
import type { Binding, DType } from '@pergola/core';
import type { GpuBuffer } from '../buffers.ts';
import type { Program, WebGpuContext } from '../context.ts';
import { enqueue, type Launch } from './launch.ts';
import { groupScan } from './scan.ts';
import { DIGIT_BITS, packedWords, packLaunch, rangeLaunch } from './sort-keys.ts';

// One invocation per value of a digit.
const WORKGROUP = 256;
// Rows that a workgroup takes at a time; the ranks within them are found together.
const TILE = WORKGROUP;
const MAX_TILES = 16;
// Enough workgroups to fill a large device; beyond it, each takes more rows.
const BLOCKS = 512;
// Offsets of so few blocks are summed up by one invocation per digit.
const SERIAL_BLOCKS = 16;

/**
 * How many rows a workgroup takes: `short` blocks are one tile, for many workgroups; `long` ones are 16, for fewer counts
 * to sum up.
 */
export type SortStrategy = 'short' | 'long';
export const SORT_STRATEGIES: readonly SortStrategy[] = ['short', 'long'];

/** A planned sort. */
export interface RowSort {
  /** Words of a packed row: the second extent of `packed`. */
  readonly words: number;
  /**
   * Enqueues the sort.
   *
   * @param keys `[rows, width]`.
   * @param order u32 or i32 `[rows]`, written: the rows in ascending order.
   * @param packed u32 `[rows, words]`, written: equal rows have equal words.
   */
  run(
    context: WebGpuContext,
    keys: Binding<GpuBuffer>,
    order: Binding<GpuBuffer>,
    packed: Binding<GpuBuffer>,
  ): void;
}

const PASS_PARAMS = {
  rows: 'u32',
  words: 'u32',
  digit: 'u32',
  block: 'u32',
  blocks: 'u32',
} as const;
type PassProgram = Program<keyof typeof PASS_PARAMS>;

const DIGIT = `
fn digit_of(row: u32) -> u32 {
  let bit = params.digit * ${DIGIT_BITS}u;
  return (load_packed(row * params.words + bit / 32u) >> (bit % 32u)) & 0xffu;
}
`;

/** Rows of each block by digit: `[digits, blocks]`. */
function countProgram(context: WebGpuContext): PassProgram {
  return context.program({
    label: 'sort.count',
    bindings: [
      { name: 'passes', dtype: 'u32', use: 'read' },
      { name: 'packed', dtype: 'u32', use: 'read' },
      { name: 'order', dtype: 'u32', use: 'read' },
      { name: 'counts', dtype: 'u32', use: 'write' },
    ],
    params: PASS_PARAMS,
    each: 'group',
    workgroup: WORKGROUP,
    helpers: [DIGIT],
    body: `
var<workgroup> bins: array<atomic<u32>, ${WORKGROUP}>;
fn run(group: u32, lane: u32) {
  if (params.digit >= load_passes(0u)) { return; }
  atomicStore(&bins[lane], 0u);
  workgroupBarrier();
  let first = group * params.block;
  let end = min(params.rows, first + params.block);
  for (var i = first + lane; i < end; i += ${WORKGROUP}u) {
    atomicAdd(&bins[digit_of(load_order(i))], 1u);
  }
  workgroupBarrier();
  store_counts(lane * params.blocks + group, atomicLoad(&bins[lane]));
}`,
  });
}

/** Replaces counts by their sums over the blocks before; `totals` gets the sum over all. A workgroup per digit. */
function offsetsProgram(context: WebGpuContext, blocks: number): PassProgram {
  const serial = blocks <= SERIAL_BLOCKS;
  return context.program({
    label: 'sort.offsets',
    bindings: [
      { name: 'passes', dtype: 'u32', use: 'read' },
      { name: 'counts', dtype: 'u32', use: 'readWrite' },
      { name: 'totals', dtype: 'u32', use: 'write' },
    ],
    params: PASS_PARAMS,
    each: serial ? 'element' : 'group',
    workgroup: serial ? 64 : WORKGROUP,
    body: serial
      ? `
fn run(digit: u32) {
  if (params.digit >= load_passes(0u)) { return; }
  var sum = 0u;
  for (var block = 0u; block < params.blocks; block++) {
    let at = digit * params.blocks + block;
    let count = load_counts(at);
    store_counts(at, sum);
    sum += count;
  }
  store_totals(digit, sum);
}`
      : `${groupScan('u32')}
fn run(group: u32, lane: u32) {
  if (params.digit >= load_passes(0u)) { return; }
  var carry = 0u;
  for (var tile = 0u; tile < params.blocks; tile += ${WORKGROUP}u) {
    let block = tile + lane;
    let at = group * params.blocks + block;
    var count = 0u;
    if (block < params.blocks) { count = load_counts(at); }
    let sum = scan_group(lane, count);
    if (block < params.blocks) { store_counts(at, carry + sum - count); }
    carry += scan_parts[${WORKGROUP - 1}];
    workgroupBarrier();
  }
  if (lane == 0u) { store_totals(group, carry); }
}`,
  });
}

/**
 * Moves rows to their places. The rank of a row among the equal digits of its tile is the number of set bits before its
 * own in a mask that the tile's rows fill.
 */
function moveProgram(context: WebGpuContext): PassProgram {
  const words = TILE / 32;
  return context.program({
    label: 'sort.move',
    bindings: [
      { name: 'passes', dtype: 'u32', use: 'read' },
      { name: 'packed', dtype: 'u32', use: 'read' },
      { name: 'order', dtype: 'u32', use: 'read' },
      { name: 'offsets', dtype: 'u32', use: 'read' },
      { name: 'totals', dtype: 'u32', use: 'read' },
      { name: 'moved', dtype: 'u32', use: 'write' },
    ],
    params: PASS_PARAMS,
    each: 'group',
    workgroup: WORKGROUP,
    helpers: [DIGIT],
    body: `${groupScan('u32')}
var<workgroup> next: array<u32, ${WORKGROUP}>;
var<workgroup> masks: array<atomic<u32>, ${WORKGROUP * words}>;
fn run(group: u32, lane: u32) {
  if (params.digit >= load_passes(0u)) { return; }
  let total = load_totals(lane);
  next[lane] = scan_group(lane, total) - total + load_offsets(lane * params.blocks + group);
  for (var word = 0u; word < ${words}u; word++) { atomicStore(&masks[lane * ${words}u + word], 0u); }
  workgroupBarrier();
  let first = group * params.block;
  let end = min(params.rows, first + params.block);
  for (var tile = first; tile < end; tile += ${TILE}u) {
    let i = tile + lane;
    var row = 0u;
    var digit = 0u;
    if (i < end) {
      row = load_order(i);
      digit = digit_of(row);
      atomicOr(&masks[digit * ${words}u + lane / 32u], 1u << (lane % 32u));
    }
    workgroupBarrier();
    if (i < end) {
      var rank = next[digit];
      for (var word = 0u; word < lane / 32u; word++) {
        rank += countOneBits(atomicLoad(&masks[digit * ${words}u + word]));
      }
      let before = (1u << (lane % 32u)) - 1u;
      rank += countOneBits(atomicLoad(&masks[digit * ${words}u + lane / 32u]) & before);
      store_moved(rank, row);
    }
    workgroupBarrier();
    // From here on an invocation stands for a digit.
    var count = 0u;
    for (var word = 0u; word < ${words}u; word++) {
      count += countOneBits(atomicExchange(&masks[lane * ${words}u + word], 0u));
    }
    next[lane] += count;
    workgroupBarrier();
  }
}`,
  });
}

/** The order from whichever buffer the last pass wrote. */
function settleLaunch(context: WebGpuContext, rows: number): Launch {
  const program = context.program({
    label: 'sort.settle',
    bindings: [
      { name: 'passes', dtype: 'u32', use: 'read' },
      { name: 'even', dtype: 'u32', use: 'read' },
      { name: 'odd', dtype: 'u32', use: 'read' },
      { name: 'order', dtype: 'u32', use: 'write' },
    ],
    params: {},
    each: 'element',
    workgroup: WORKGROUP,
    body: `
fn run(i: u32) {
  if (load_passes(0u) % 2u == 0u) { store_order(i, load_even(i)); }
  else { store_order(i, load_odd(i)); }
}`,
  });
  return { program, params: program.pack({}), count: rows };
}

function chooseTiles(rows: number, forced: SortStrategy | undefined): number {
  if (forced !== undefined) return forced === 'short' ? 1 : MAX_TILES;
  return Math.min(MAX_TILES, Math.max(1, Math.ceil(rows / (TILE * BLOCKS))));
}

/** Plans a sort of `[rows, width]` keys of dtype i32, u32 or f32. */
export function planRowSort(
  context: WebGpuContext,
  dtype: DType,
  rows: number,
  width: number,
  forced?: SortStrategy,
): RowSort {
  const words = packedWords(width);
  const tiles = chooseTiles(rows, forced);
  const block = tiles * TILE;
  const blocks = Math.ceil(rows / block);
  const range = rangeLaunch(context, dtype, rows, width);
  const pack = packLaunch(context, dtype, rows, width);
  const count = countProgram(context);
  const offsets = offsetsProgram(context, blocks);
  const move = moveProgram(context);
  const passes = Array.from({ length: (width * 32) / DIGIT_BITS }, (_, digit) => {
    const values = { rows, words, digit, block, blocks };
    const launch = (program: PassProgram, groups: number): Launch => ({
      program,
      params: program.pack(values),
      count: groups,
    });
    return {
      count: launch(count, blocks),
      offsets: launch(offsets, WORKGROUP),
      move: launch(move, blocks),
    };
  });
  const settle = settleLaunch(context, rows);
  return {
    words,
    run(target, keys, order, packed) {
      if (rows === 0) return;
      const ranges = target.scratch(2 * words);
      const used = target.scratch(1);
      const counts = target.scratch(WORKGROUP * blocks);
      const totals = target.scratch(WORKGROUP);
      const even = target.scratch(rows);
      const odd = target.scratch(rows);
      target.clear(ranges.buffer, 0, 8 * words);
      enqueue(target, range, [keys, ranges]);
      enqueue(target, pack, [keys, ranges, packed, even, used]);
      passes.forEach((pass, digit) => {
        const [from, to] = digit % 2 === 0 ? [even, odd] : [odd, even];
        enqueue(target, pass.count, [used, packed, from, counts]);
        enqueue(target, pass.offsets, [used, counts, totals]);
        enqueue(target, pass.move, [used, packed, from, counts, totals, to]);
      });
      enqueue(target, settle, [used, even, odd, order]);
      target.release(ranges, used, counts, totals, even, odd);
    },
  };
}
