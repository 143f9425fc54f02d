/** `argmax` and `argmin`: the extreme first, then the first place that holds it. */
import type { ArgReduceAttrs, DType } from '@pergola/core';
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import { valueType } from '../wgsl/access.ts';
import { EXTREMES, NUMBER_CLASSES } from '../wgsl/math.ts';
import { groupReduction } from '../wgsl/reduce.ts';
import { axisRows, type AxisRows } from './axis-rows.ts';
import { enqueue, type Launch } from './launch.ts';
import { rowWorkgroup } from './row-size.ts';

type Strategy = 'rows' | 'columns';
const STRATEGIES: readonly Strategy[] = ['rows', 'columns'];
const COLUMN_WORKGROUP = 64;

function argLaunch(
  context: WebGpuContext,
  extreme: 'max' | 'min',
  dtype: DType,
  { outer, extent, inner }: AxisRows,
  strategy: Strategy,
): Launch {
  const type = valueType(dtype);
  const better = type === 'f32' ? `${extreme}_f32(a, b)` : `${extreme}(a, b)`;
  // NaN, the extreme of all numbers, is found by its class.
  const found = type === 'f32' ? '(v == best || (is_nan(v) && is_nan(best)))' : 'v == best';
  const workgroup = strategy === 'rows' ? rowWorkgroup(extent) : COLUMN_WORKGROUP;
  const extremes = groupReduction(context.capabilities, {
    name: 'reduce_best',
    type,
    combine: better,
    workgroup,
  });
  const places = groupReduction(context.capabilities, {
    name: 'reduce_place',
    type: 'u32',
    combine: 'min(a, b)',
    workgroup,
  });
  const rows = `${extremes.code}${places.code}
fn run(row: u32, lane: u32) {
  // Every row has an element: it stands in for lanes without one.
  let start = start_of(row);
  var best = load_x(start);
  for (var e = lane; e < params.extent; e += ${workgroup}u) {
    best = better_of(best, load_x(start + e * params.inner));
  }
  best = reduce_best(lane, best);
  var place = params.extent;
  for (var e = lane; e < params.extent && place == params.extent; e += ${workgroup}u) {
    let v = load_x(start + e * params.inner);
    if (${found}) { place = e; }
  }
  place = reduce_place(lane, place);
  if (lane == 0u) { store_out(row, i32(place)); }
}`;
  const columns = `
fn run(row: u32) {
  let start = start_of(row);
  var best = load_x(start);
  for (var e = 1u; e < params.extent; e++) {
    best = better_of(best, load_x(start + e * params.inner));
  }
  var place = params.extent;
  for (var e = 0u; e < params.extent && place == params.extent; e++) {
    let v = load_x(start + e * params.inner);
    if (${found}) { place = e; }
  }
  store_out(row, i32(place));
}`;
  const program = context.program({
    label: `arg${extreme}.${strategy}.${dtype}`,
    bindings: [
      { name: 'x', dtype, use: 'read' },
      { name: 'out', dtype: 'i32', use: 'write' },
    ],
    params: { extent: 'u32', inner: 'u32' },
    each: strategy === 'rows' ? 'group' : 'element',
    workgroup,
    enables: strategy === 'rows' ? extremes.enables : [],
    helpers: [NUMBER_CLASSES, EXTREMES],
    body: `
fn better_of(a: ${type}, b: ${type}) -> ${type} { return ${better}; }
fn start_of(row: u32) -> u32 {
  return (row / params.inner) * params.extent * params.inner + row % params.inner;
}
${strategy === 'rows' ? rows : columns}`,
  });
  return { program, params: program.pack({ extent, inner }), count: outer * inner };
}

function argKernel(op: 'argmax' | 'argmin'): WebGpuKernel {
  const kernel: WebGpuKernel<ArgReduceAttrs, Launch> = {
    op,
    strategies: STRATEGIES,
    supports: () => true,
    prepare({ inputs, attrs }, context, forced) {
      const { dtype, shape } = inputs[0]!;
      const rows = axisRows(shape, attrs.axis);
      const chosen = rows.inner > 1 || rows.extent <= 8 ? 'columns' : 'rows';
      const strategy = (forced as Strategy | undefined) ?? chosen;
      return argLaunch(context, op === 'argmax' ? 'max' : 'min', dtype, rows, strategy);
    },
    run(plan, [x], [out], context) {
      enqueue(context, plan, [x!, out!]);
    },
  };
  return kernel;
}

export const argReduceKernels: readonly WebGpuKernel[] = [argKernel('argmax'), argKernel('argmin')];
