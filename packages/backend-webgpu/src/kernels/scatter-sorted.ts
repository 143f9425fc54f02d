/**
 * `scatterReduce` through a sort of the rows by target: its time does not depend on how rows are shared out.
 *
 * The sorted rows are cut into blocks of equal length. A part is what one target has in one block; parts are reduced
 * first, then the parts of each target. Block `b` of target `t` is part `b + t`: the number grows with both, and the
 * next target starts in the block where this one ends, or later, so no two parts share a number.
 */
import type { DType } from '@pergola/core';
import type { WebGpuContext } from '../context.ts';
import { EXTREMES, NUMBER_CLASSES } from '../wgsl/math.ts';
import { enqueue, type Launch } from './launch.ts';
import { planRowSort } from './radix-sort.ts';
import type { Reduction, Scatter, ScatterSizes } from './scatter-rules.ts';

const WORKGROUP = 64;

/** Rows of a block: few blocks per target and short blocks, in balance for one target that has all rows. */
function blockLength(rows: number): number {
  return Math.min(1024, Math.max(32, 2 ** Math.ceil(Math.log2(rows) / 2)));
}

/** One more than the last number of a part; none without targets. */
function partCount({ rows, size }: ScatterSizes): number {
  return size === 0 ? 0 : Math.ceil(rows / blockLength(rows)) + size;
}

/** Where each target's rows start in the order: `[size + 1]`. Rows without a target lie before all or behind all. */
function startsLaunch(context: WebGpuContext, { rows, size }: ScatterSizes): Launch {
  const program = context.program({
    label: 'scatterReduce.starts',
    bindings: [
      { name: 'index', dtype: 'i32', use: 'read' },
      { name: 'order', dtype: 'u32', use: 'read' },
      { name: 'starts', dtype: 'u32', use: 'write' },
    ],
    params: { rows: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    body: `
fn run(place: u32) {
  // The number of rows of smaller targets, by bisection.
  var low = 0u;
  var high = params.rows;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (load_index(load_order(middle)) < i32(place)) { low = middle + 1u; } else { high = middle; }
  }
  store_starts(place, low);
}`,
  });
  return { program, params: program.pack({ rows }), count: size + 1 };
}

/** Reduces each part. Parts that are not there are left as they are. */
function partsLaunch(
  context: WebGpuContext,
  dtype: DType,
  sizes: ScatterSizes,
  { type, code }: Reduction,
): Launch {
  const { rows, size, width } = sizes;
  const program = context.program({
    label: `scatterReduce.parts.${dtype}`,
    bindings: [
      { name: 'src', dtype, use: 'read' },
      { name: 'order', dtype: 'u32', use: 'read' },
      { name: 'starts', dtype: 'u32', use: 'read' },
      { name: 'parts', dtype: type, use: 'write' },
    ],
    params: { size: 'u32', width: 'u32', block: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    helpers: [NUMBER_CLASSES, EXTREMES],
    body: `${code}
fn run(at: u32) {
  let part = at / params.width;
  let column = at % params.width;
  // The last target whose first part is at or before this one, by bisection.
  var place = 0u;
  var beyond = params.size;
  while (beyond - place > 1u) {
    let middle = (place + beyond) / 2u;
    if (load_starts(middle) / params.block + middle <= part) { place = middle; } else { beyond = middle; }
  }
  if (part < load_starts(place) / params.block + place) { return; }
  let first = max(load_starts(place), (part - place) * params.block);
  let end = min(load_starts(place + 1u), (part - place + 1u) * params.block);
  if (first >= end) { return; }
  var total = load_src(load_order(first) * params.width + column);
  for (var i = first + 1u; i < end; i++) {
    total = merge(total, load_src(load_order(i) * params.width + column));
  }
  store_parts(at, total);
}`,
  });
  const params = program.pack({ size, width, block: blockLength(rows) });
  return { program, params, count: partCount(sizes) * width };
}

/** Reduces the parts of each target. */
function totalsLaunch(
  context: WebGpuContext,
  dtype: DType,
  { rows, size, width }: ScatterSizes,
  { type, code }: Reduction,
): Launch {
  const program = context.program({
    label: `scatterReduce.totals.${dtype}`,
    bindings: [
      { name: 'parts', dtype: type, use: 'read' },
      { name: 'starts', dtype: 'u32', use: 'read' },
      { name: 'out', dtype, use: 'write' },
    ],
    params: { width: 'u32', block: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    helpers: [NUMBER_CLASSES, EXTREMES],
    body: `${code}
fn run(at: u32) {
  let place = at / params.width;
  let column = at % params.width;
  let start = load_starts(place);
  let count = load_starts(place + 1u) - start;
  var total = ${type}(0);
  if (count > 0u) {
    let first = start / params.block + place;
    let last = (start + count - 1u) / params.block + place;
    total = load_parts(first * params.width + column);
    for (var i = first + 1u; i <= last; i++) { total = merge(total, load_parts(i * params.width + column)); }
  }
  store_out(at, finish(total, count));
}`,
  });
  const params = program.pack({ width, block: blockLength(rows) });
  return { program, params, count: size * width };
}

/** The strategy `sorted` of a call. */
export function planSorted(
  context: WebGpuContext,
  dtype: DType,
  sizes: ScatterSizes,
  reduction: Reduction,
): Scatter {
  const { rows, size, width } = sizes;
  const sort = planRowSort(context, 'i32', rows, 1);
  const findStarts = startsLaunch(context, sizes);
  const reduceParts = partsLaunch(context, dtype, sizes, reduction);
  const reduceTotals = totalsLaunch(context, dtype, sizes, reduction);
  return (target, src, index, out) => {
    const order = target.scratch(rows);
    const starts = target.scratch(size + 1);
    const parts = target.scratch(partCount(sizes) * width);
    const packed = target.scratch(rows * sort.words);
    sort.run(target, index, order, packed);
    enqueue(target, findStarts, [index, order, starts]);
    enqueue(target, reduceParts, [src, order, starts, parts]);
    enqueue(target, reduceTotals, [parts, starts, out]);
    target.release(order, starts, parts, packed);
  };
}
