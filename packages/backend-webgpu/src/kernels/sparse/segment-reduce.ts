/**
 * `segmentReduce`: for short segments one invocation per segment and access, for long ones a workgroup whose rows of
 * invocations share the segment's rows. Both add in a fixed order.
 */
import { sizeOf, type Binding, type DType, type InputsOf, type TensorLayout } from '@pergola/core';
import type { SegmentReduceAttrs } from '@pergola/sparse';
import type { GpuBuffer } from '../../buffers.ts';
import type { WebGpuContext, WebGpuKernel } from '../../context.ts';
import { EXTREMES, NUMBER_CLASSES } from '../../wgsl/math.ts';
import { LaneVersions, type Lanes, type Launch } from '../launch.ts';

type Strategy = 'serial' | 'split';
const STRATEGIES: readonly Strategy[] = ['serial', 'split'];

const SERIAL_WORKGROUP = 64;
// A workgroup of the split form: so many accesses across, and so many parts of a segment.
const ACROSS = 16;
const PARTS = 16;
// Rows of a segment, on average, from which splitting pays.
const LONG = 128;

interface Shape {
  readonly dtype: DType;
  readonly segments: number;
  readonly channels: number;
  readonly rows: number;
}

function callShape([x, order, offsets]: InputsOf<TensorLayout>): Shape {
  return {
    dtype: x!.dtype,
    segments: offsets!.shape[0]! - 1,
    channels: sizeOf(x!.shape.slice(1)),
    rows: order!.shape[0]!,
  };
}

const CALLS = {
  sum: undefined,
  mean: undefined,
  max: 'max_f32',
  min: 'min_f32',
} as const;

/** WGSL of `Value`, `merge` and `finish`, which divides a mean. */
function reductionCode(reduce: SegmentReduceAttrs['reduce'], lanes: Lanes): string {
  const call = CALLS[reduce];
  const part = (axis: string): string => `${call}(a.${axis}, b.${axis})`;
  const each =
    lanes === 4 ? `Value(${['x', 'y', 'z', 'w'].map(part).join(', ')})` : `${call}(a, b)`;
  return `
alias Value = ${lanes === 4 ? 'vec4<f32>' : 'f32'};
fn merge(a: Value, b: Value) -> Value { return ${call === undefined ? 'a + b' : each}; }
fn finish(total: Value, count: u32) -> Value {
  return ${reduce === 'mean' ? 'total / (f32(max(count, 1u)) + params.extra_count)' : 'total'};
}
`;
}

const SERIAL = `
fn run(index: u32) {
  let segment = index / params.width;
  let column = index % params.width;
  let start = u32(load_offsets(segment));
  let end = u32(load_offsets(segment + 1u));
  var total = Value();
  for (var i = start; i < end; i++) {
    let value = load_x(u32(load_order(i)) * params.width + column);
    if (i == start) { total = value; } else { total = merge(total, value); }
  }
  if (end > start) { total = finish(total, end - start); }
  store_out(index, total);
}`;

const SPLIT = `
var<workgroup> totals: array<Value, ${ACROSS * PARTS}>;
fn run(group: u32, lane: u32) {
  let blocks = (params.width + ${ACROSS - 1}u) / ${ACROSS}u;
  let segment = group / blocks;
  let column = (group % blocks) * ${ACROSS}u + lane % ${ACROSS}u;
  let part = lane / ${ACROSS}u;
  let start = u32(load_offsets(segment));
  let end = u32(load_offsets(segment + 1u));
  var total = Value();
  if (column < params.width) {
    for (var i = start + part; i < end; i += ${PARTS}u) {
      let value = load_x(u32(load_order(i)) * params.width + column);
      if (i == start + part) { total = value; } else { total = merge(total, value); }
    }
  }
  totals[lane] = total;
  for (var half = ${PARTS / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    // Parts beyond the segment's rows hold nothing.
    if (part < half && start + part + half < end) {
      totals[lane] = merge(totals[lane], totals[lane + half * ${ACROSS}u]);
    }
  }
  if (part == 0u && column < params.width) {
    total = totals[lane];
    if (end > start) { total = finish(total, end - start); }
    store_out(segment * params.width + column, total);
  }
}`;

function reduceLaunch(
  context: WebGpuContext,
  { dtype, segments, channels }: Shape,
  { reduce, extraCount }: SegmentReduceAttrs,
  strategy: Strategy,
  lanes: Lanes,
): Launch {
  const split = strategy === 'split';
  const width = channels / lanes;
  const program = context.program({
    label: `segmentReduce.${strategy}.${reduce}.${dtype}`,
    bindings: [
      { name: 'x', dtype, use: 'read', lanes },
      { name: 'order', dtype: 'i32', use: 'read' },
      { name: 'offsets', dtype: 'i32', use: 'read' },
      { name: 'out', dtype, use: 'write', lanes },
    ],
    params: { width: 'u32', extra_count: 'f32' },
    each: split ? 'group' : 'element',
    workgroup: split ? ACROSS * PARTS : SERIAL_WORKGROUP,
    helpers: [NUMBER_CLASSES, EXTREMES],
    body: reductionCode(reduce, lanes) + (split ? SPLIT : SERIAL),
  });
  return {
    program,
    params: program.pack({ width, extra_count: extraCount }),
    count: segments * (split ? Math.ceil(width / ACROSS) : width),
  };
}

export const segmentReduceKernel: WebGpuKernel<SegmentReduceAttrs, LaneVersions> = {
  op: 'segmentReduce',
  strategies: STRATEGIES,
  supports: () => true,
  prepare({ inputs, attrs }, context, forced) {
    const shape = callShape(inputs);
    const long = shape.rows >= LONG * shape.segments;
    const strategy = (forced as Strategy | undefined) ?? (long ? 'split' : 'serial');
    return new LaneVersions(shape.channels % 4 === 0, (lanes) =>
      reduceLaunch(context, shape, attrs, strategy, lanes),
    );
  },
  run(plan, [x, order, offsets], [out], context) {
    const bindings: Binding<GpuBuffer>[] = [x!, order!, offsets!, out!];
    plan.enqueue(context, bindings);
  },
};
