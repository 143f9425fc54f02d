/**
 * `scatterReduce`, without float atomics so that sums do not depend on timing.
 *
 * - `search`: every target looks through all rows, of which there are few;
 * - `lists`: for every target the list of its rows in ascending order (count, running sum, fill, rank), reduced by one
 *   invocation for each column;
 * - `sorted`: targets of any size, see scatter-sorted.ts.
 */
import { sizeOf, type DType, type ScatterReduceAttrs } from '@pergola/core';
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import { EXTREMES, NUMBER_CLASSES } from '../wgsl/math.ts';
import { enqueue, type Launch } from './launch.ts';
import { planScan, type Scan } from './scan.ts';
import { reductionOf, type Reduction, type Scatter, type ScatterSizes } from './scatter-rules.ts';
import { planSorted } from './scatter-sorted.ts';

type Strategy = 'search' | 'lists' | 'sorted';
const STRATEGIES: readonly Strategy[] = ['search', 'lists', 'sorted'];
const WORKGROUP = 64;

function searchLaunch(
  context: WebGpuContext,
  dtype: DType,
  { rows, size, width }: ScatterSizes,
  { type, code }: Reduction,
): Launch {
  const program = context.program({
    label: `scatterReduce.search.${dtype}`,
    bindings: [
      { name: 'src', dtype, use: 'read' },
      { name: 'index', dtype: 'i32', use: 'read' },
      { name: 'out', dtype, use: 'write' },
    ],
    params: { rows: 'u32', width: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    helpers: [NUMBER_CLASSES, EXTREMES],
    body: `${code}
fn run(at: u32) {
  let place = i32(at / params.width);
  let column = at % params.width;
  var count = 0u;
  var total = ${type}(0);
  for (var row = 0u; row < params.rows; row++) {
    if (load_index(row) != place) { continue; }
    let value = load_src(row * params.width + column);
    if (count == 0u) { total = value; } else { total = merge(total, value); }
    count++;
  }
  store_out(at, finish(total, count));
}`,
  });
  return { program, params: program.pack({ rows, width }), count: size * width };
}

/** Counts the rows of each target. */
function countLaunch(context: WebGpuContext, { rows, size }: ScatterSizes): Launch {
  const program = context.program({
    label: 'scatterReduce.count',
    bindings: [
      { name: 'index', dtype: 'i32', use: 'read' },
      { name: 'counts', dtype: 'u32', use: 'atomic' },
    ],
    params: { size: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    body: `
fn run(row: u32) {
  let place = u32(load_index(row));
  if (place < params.size) { atomicAdd(&counts_data[place], 1u); }
}`,
  });
  return { program, params: program.pack({ size }), count: rows };
}

/** Writes each row into its target's list, in any order; `ends` holds the starts before and the ends after. */
function fillLaunch(context: WebGpuContext, { rows, size }: ScatterSizes): Launch {
  const program = context.program({
    label: 'scatterReduce.fill',
    bindings: [
      { name: 'index', dtype: 'i32', use: 'read' },
      { name: 'ends', dtype: 'u32', use: 'atomic' },
      { name: 'list', dtype: 'u32', use: 'write' },
    ],
    params: { size: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    body: `
fn run(row: u32) {
  let place = u32(load_index(row));
  if (place < params.size) { store_list(atomicAdd(&ends_data[place], 1u), row); }
}`,
  });
  return { program, params: program.pack({ size }), count: rows };
}

/** Puts each list into ascending order: a row's place is the number of smaller rows. */
function rankLaunch(context: WebGpuContext, { rows, size }: ScatterSizes): Launch {
  const program = context.program({
    label: 'scatterReduce.rank',
    bindings: [
      { name: 'index', dtype: 'i32', use: 'read' },
      { name: 'counts', dtype: 'u32', use: 'read' },
      { name: 'ends', dtype: 'u32', use: 'read' },
      { name: 'list', dtype: 'u32', use: 'read' },
      { name: 'ordered', dtype: 'u32', use: 'write' },
    ],
    params: { size: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    body: `
fn run(row: u32) {
  let place = u32(load_index(row));
  if (place >= params.size) { return; }
  let end = load_ends(place);
  let start = end - load_counts(place);
  var rank = start;
  for (var i = start; i < end; i++) { rank += select(0u, 1u, load_list(i) < row); }
  store_ordered(rank, row);
}`,
  });
  return { program, params: program.pack({ size }), count: rows };
}

function sumLaunch(
  context: WebGpuContext,
  dtype: DType,
  { size, width }: ScatterSizes,
  { name, type, code }: Reduction,
): Launch {
  const program = context.program({
    label: `scatterReduce.${name}.${dtype}`,
    bindings: [
      { name: 'src', dtype, use: 'read' },
      { name: 'counts', dtype: 'u32', use: 'read' },
      { name: 'ends', dtype: 'u32', use: 'read' },
      { name: 'ordered', dtype: 'u32', use: 'read' },
      { name: 'out', dtype, use: 'write' },
    ],
    params: { width: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    helpers: [NUMBER_CLASSES, EXTREMES],
    body: `${code}
fn run(at: u32) {
  let place = at / params.width;
  let column = at % params.width;
  let end = load_ends(place);
  let count = load_counts(place);
  var total = ${type}(0);
  for (var i = end - count; i < end; i++) {
    let value = load_src(load_ordered(i) * params.width + column);
    if (i == end - count) { total = value; } else { total = merge(total, value); }
  }
  store_out(at, finish(total, count));
}`,
  });
  return { program, params: program.pack({ width }), count: size * width };
}

function planLists(
  context: WebGpuContext,
  dtype: DType,
  sizes: ScatterSizes,
  reduction: Reduction,
): Scatter {
  const { rows, size } = sizes;
  const count = countLaunch(context, sizes);
  const starts: Scan = planScan(context, 'u32', 'u32', { rows: 1, length: size, exclusive: true });
  const fill = fillLaunch(context, sizes);
  const rank = rankLaunch(context, sizes);
  const sum = sumLaunch(context, dtype, sizes, reduction);
  return (target, src, index, out) => {
    const [counts, ends] = [target.scratch(size), target.scratch(size)];
    const [list, ordered] = [target.scratch(rows), target.scratch(rows)];
    target.clear(counts.buffer, 0, size * 4);
    enqueue(target, count, [index, counts]);
    starts(target, counts, ends);
    enqueue(target, fill, [index, ends, list]);
    enqueue(target, rank, [index, counts, ends, list, ordered]);
    enqueue(target, sum, [src, counts, ends, ordered, out]);
    target.release(counts, ends, list, ordered);
  };
}

// Beyond them `lists` would take long where a single target has all rows.
const MOST_LISTED = 65536;

/** The strategy of `auto`: lists while targets have a few rows each, as in pooling. */
function chooseStrategy({ rows, size }: ScatterSizes): Strategy {
  if (rows <= 32) return 'search';
  return rows <= 16 * size && rows <= MOST_LISTED ? 'lists' : 'sorted';
}

export const scatterReduceKernel: WebGpuKernel<ScatterReduceAttrs, Scatter> = {
  op: 'scatterReduce',
  strategies: STRATEGIES,
  supports: () => true,
  prepare({ inputs, attrs: { size, reduce } }, context, forced) {
    const { dtype, shape } = inputs[0]!;
    const sizes = { rows: shape[0]!, size, width: sizeOf(shape.slice(1)) };
    const reduction = reductionOf(reduce, dtype);
    const strategy = (forced as Strategy | undefined) ?? chooseStrategy(sizes);
    if (strategy === 'lists') return planLists(context, dtype, sizes, reduction);
    if (strategy === 'sorted') return planSorted(context, dtype, sizes, reduction);
    const search = searchLaunch(context, dtype, sizes, reduction);
    return (target, src, index, out) => enqueue(target, search, [src, index, out]);
  },
  run(plan, [src, index], [out], context) {
    plan(context, src!, index!, out!);
  },
};
