/**
 * `sparseGroupNorm`: moments of each channel over parts of a batch element's rows, merged per group, then one pass that
 * applies them. How long the batch elements are is known on the device only, so their parts take places that are found
 * from the offsets; a few places stay empty.
 */
import type { KernelCall } from '@pergola/core';
import type { SparseGroupNormAttrs } from '@pergola/sparse';
import type { WebGpuContext, WebGpuKernel } from '../../context.ts';
import type { BindingSpec } from '../../wgsl/access.ts';
import { ACTIVATION_CALLS, ACTIVATION_HELPERS } from '../../wgsl/math.ts';
import { groupReduction } from '../../wgsl/reduce.ts';
import { enqueue, LaneVersions, type Lanes, type Launch } from '../launch.ts';
import { PACKED_ELEMENT } from '../packed-rows.ts';

const WORKGROUP = 256;
// Rows that one invocation sums up: few enough to use the whole device, more where the parts would be too many to merge.
const MIN_PART = 32;
const MAX_PARTS = 4096;

interface Shape {
  readonly rows: number;
  readonly channels: number;
  readonly batch: number;
  readonly groups: number;
  /** Rows of a part. */
  readonly part: number;
  /** Places for the parts of all batch elements. */
  readonly places: number;
}

function callShape({ inputs, attrs }: KernelCall<SparseGroupNormAttrs>): Shape {
  const [rows, channels] = inputs[0]!.shape as [number, number];
  const part = Math.max(MIN_PART, Math.ceil(rows / MAX_PARTS));
  const batch = inputs[3]!.shape[0]! - 1;
  const places = batch === 0 ? 0 : Math.floor(rows / part) + batch;
  return { rows, channels, batch, groups: attrs.groups, part, places };
}

/** `first_place(element)`: where the parts of a batch element start; a part more than its rows need fits before the next. */
const FIRST_PLACE = `
fn first_place(element: u32) -> u32 { return u32(load_offsets(element)) / params.part + element; }
`;

/** Sum and centred squares of each channel of each part: `[places, 2, channels]`. */
function momentsLaunch(
  call: KernelCall<SparseGroupNormAttrs>,
  context: WebGpuContext,
  lanes: Lanes,
): Launch {
  const { channels, batch, part, places } = callShape(call);
  const { dtype } = call.inputs[0]!;
  const width = channels / lanes;
  const program = context.program({
    label: `sparseGroupNorm.moments.${dtype}`,
    bindings: [
      { name: 'x', dtype, use: 'read', lanes },
      { name: 'offsets', dtype: 'i32', use: 'read' },
      { name: 'moments', dtype: 'f32', use: 'write', lanes },
    ],
    params: { width: 'u32', part: 'u32', batch: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    helpers: [FIRST_PLACE],
    body: `
fn run(index: u32) {
  let column = index % params.width;
  let place = index / params.width;
  // The last element that starts at or before the place, by bisection.
  var element = 0u;
  var beyond = params.batch;
  while (element + 1u < beyond) {
    let middle = (element + beyond) / 2u;
    if (first_place(middle) <= place) { element = middle; } else { beyond = middle; }
  }
  let first = u32(load_offsets(element)) + (place - first_place(element)) * params.part;
  let end = min(u32(load_offsets(element + 1u)), first + params.part);
  if (first >= end) { return; }
  var sum = ${lanes === 4 ? 'vec4<f32>' : 'f32'}();
  for (var row = first; row < end; row++) { sum += load_x(row * params.width + column); }
  let mean = sum / f32(end - first);
  var squares = sum * 0.0;
  for (var row = first; row < end; row++) {
    let d = load_x(row * params.width + column) - mean;
    squares += d * d;
  }
  store_moments(2u * place * params.width + column, sum);
  store_moments((2u * place + 1u) * params.width + column, squares);
}`,
  });
  return { program, params: program.pack({ width, part, batch }), count: places * width };
}

/** Mean and factor of each group of each batch element, `[batch, groups, 2]`: a workgroup for each. */
function mergeLaunch(call: KernelCall<SparseGroupNormAttrs>, context: WebGpuContext): Launch {
  const { channels, batch, groups, part } = callShape(call);
  const reduction = groupReduction(context.capabilities, {
    name: 'reduce',
    type: 'f32',
    combine: 'a + b',
    workgroup: WORKGROUP,
  });
  const program = context.program({
    label: 'sparseGroupNorm.merge',
    bindings: [
      { name: 'moments', dtype: 'f32', use: 'read' },
      { name: 'offsets', dtype: 'i32', use: 'read' },
      { name: 'factors', dtype: 'f32', use: 'write' },
    ],
    params: {
      ...{ channels: 'u32', groups: 'u32', part: 'u32' },
      eps: 'f32',
    },
    each: 'group',
    workgroup: WORKGROUP,
    enables: reduction.enables,
    helpers: [FIRST_PLACE],
    body: `${reduction.code}
fn run(group: u32, lane: u32) {
  let element = group / params.groups;
  let place = first_place(element);
  let width = params.channels / params.groups;
  let first = (group % params.groups) * width;
  let rows = u32(load_offsets(element + 1u)) - u32(load_offsets(element));
  let entries = ((rows + params.part - 1u) / params.part) * width;
  var sum = 0.0;
  for (var i = lane; i < entries; i += ${WORKGROUP}u) {
    sum += load_moments(2u * (place + i / width) * params.channels + first + i % width);
  }
  let mean = reduce(lane, sum) / f32(rows * width);
  // Squares about the parts' own means, and of those means about that of the group.
  var squares = 0.0;
  for (var i = lane; i < entries; i += ${WORKGROUP}u) {
    let at = 2u * (place + i / width) * params.channels + first + i % width;
    let count = f32(min(params.part, rows - (i / width) * params.part));
    let d = load_moments(at) / count - mean;
    squares += load_moments(at + params.channels) + count * d * d;
  }
  let variance = reduce(lane, squares) / f32(rows * width);
  if (lane == 0u) {
    store_factors(2u * group, mean);
    store_factors(2u * group + 1u, inverseSqrt(variance + params.eps));
  }
}`,
  });
  const params = program.pack({ channels, groups, part, eps: call.attrs.eps });
  return { program, params, count: batch * groups };
}

/** WGSL of the factors of access `column`, which lie two apart from `start` on, group by group. */
function factorCode(lanes: Lanes, groupWidth: number, start: string): string {
  const one = (channel: string): string =>
    `load_factors(${start} + 2u * ((${channel}) / params.group_width))`;
  // Fours within one group share their factors.
  if (lanes === 1 || groupWidth % 4 === 0) return one(`${lanes}u * column`);
  return `vec4<f32>(${[0, 1, 2, 3].map((i) => one(`4u * column + ${i}u`)).join(', ')})`;
}

function applyLaunch(
  call: KernelCall<SparseGroupNormAttrs>,
  context: WebGpuContext,
  lanes: Lanes,
): Launch {
  const { rows, channels, batch, groups } = callShape(call);
  const { attrs, inputs } = call;
  const [x, weight, bias] = inputs;
  const { dtype } = x!;
  const affine: BindingSpec[] = [];
  if (weight !== undefined)
    affine.push({ name: 'weight', dtype: weight.dtype, use: 'read', lanes });
  if (bias !== undefined) affine.push({ name: 'bias', dtype: bias.dtype, use: 'read', lanes });
  const weighted = weight === undefined ? 'normal' : 'normal * load_weight(column)';
  const value = bias === undefined ? weighted : `${weighted} + load_bias(column)`;
  const activate = ACTIVATION_CALLS[attrs.activation];
  const activated =
    lanes === 4
      ? `vec4<f32>(${['x', 'y', 'z', 'w'].map((axis) => activate(`value.${axis}`)).join(', ')})`
      : activate('value');
  const width = channels / lanes;
  const groupWidth = channels / groups;
  const factor = (at: string): string => factorCode(lanes, groupWidth, at);
  const program = context.program({
    label: `sparseGroupNorm.apply.${dtype}`,
    bindings: [
      { name: 'x', dtype, use: 'read', lanes },
      { name: 'offsets', dtype: 'i32', use: 'read' },
      { name: 'factors', dtype: 'f32', use: 'read' },
      ...affine,
      { name: 'out', dtype, use: 'write', lanes },
    ],
    params: { width: 'u32', group_width: 'u32', groups: 'u32', batch: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    helpers: [PACKED_ELEMENT, ...(attrs.activation === 'none' ? [] : ACTIVATION_HELPERS)],
    body: `
fn run(index: u32) {
  let row = index / params.width;
  let column = index % params.width;
  let element = packed_element(row, params.batch);
  if (element >= params.batch) { return; }
  let start = 2u * element * params.groups;
  let normal = (load_x(index) - ${factor('start')}) * ${factor('start + 1u')};
  let value = ${value};
  store_out(index, ${activated});
}`,
  });
  const params = program.pack({ width, group_width: groupWidth, groups, batch });
  return { program, params, count: rows * width };
}

interface Plan extends Shape {
  readonly moments: LaneVersions;
  readonly merge: Launch;
  readonly apply: LaneVersions;
}

export const sparseGroupNormKernel: WebGpuKernel<SparseGroupNormAttrs, Plan> = {
  op: 'sparseGroupNorm',
  supports: () => true,
  prepare(call, context) {
    const shape = callShape(call);
    const byFours = shape.channels % 4 === 0;
    return {
      ...shape,
      moments: new LaneVersions(byFours, (lanes) => momentsLaunch(call, context, lanes)),
      merge: mergeLaunch(call, context),
      apply: new LaneVersions(byFours, (lanes) => applyLaunch(call, context, lanes)),
    };
  },
  run(plan, [x, weight, bias, offsets], [out], context) {
    const { channels, batch, groups, places } = plan;
    const moments = context.scratch(places * 2 * channels);
    const factors = context.scratch(batch * groups * 2);
    const affine = [weight, bias].filter((binding) => binding !== undefined);
    plan.moments.enqueue(context, [x!, offsets!, moments]);
    enqueue(context, plan.merge, [moments, offsets!, factors]);
    plan.apply.enqueue(context, [x!, offsets!, factors, ...affine, out!]);
    context.release(moments, factors);
  },
};
