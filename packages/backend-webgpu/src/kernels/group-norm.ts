/** `groupNorm`: statistics over a group's channels and positions, in one pass per group or split over workgroups. */
import { sizeOf, type Binding, type GroupNormAttrs, type KernelCall } from '@pergola/core';
import type { GpuBuffer } from '../buffers.ts';
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import type { BindingSpec } from '../wgsl/access.ts';
import { groupReduction } from '../wgsl/reduce.ts';
import { enqueue, LaneVersions, type Lanes, type Launch } from './launch.ts';
import { rowWorkgroup } from './row-size.ts';

type Strategy = 'fused' | 'split';
const STRATEGIES: readonly Strategy[] = ['fused', 'split'];

const WORKGROUP = 256;
// Elements that one workgroup of the split form sums up.
const PART_LENGTH = 8192;
const FEW_ROWS = 256;

/** The call as rows: one for each batch element and group, contiguous. */
interface GroupRows {
  readonly rows: number;
  readonly length: number;
  readonly groups: number;
  readonly groupChannels: number;
  readonly positions: number;
}

function groupRows({ inputs, attrs }: KernelCall<GroupNormAttrs>): GroupRows {
  const { shape } = inputs[0]!;
  const groupChannels = shape[1]! / attrs.groups;
  const positions = sizeOf(shape.slice(2));
  return {
    rows: shape[0]! * attrs.groups,
    length: groupChannels * positions,
    groups: attrs.groups,
    groupChannels,
    positions,
  };
}

function affineBindings({ inputs }: KernelCall<GroupNormAttrs>): BindingSpec[] {
  const [, weight, bias] = inputs;
  const bindings: BindingSpec[] = [];
  if (weight !== undefined) bindings.push({ name: 'weight', dtype: weight.dtype, use: 'read' });
  if (bias !== undefined) bindings.push({ name: 'bias', dtype: bias.dtype, use: 'read' });
  return bindings;
}

/** WGSL of the result from `normal` in channel `channel`. */
function affine(bindings: readonly BindingSpec[]): string {
  const has = (name: string): boolean => bindings.some((binding) => binding.name === name);
  const weighted = has('weight') ? 'normal * load_weight(channel)' : 'normal';
  return has('bias') ? `${weighted} + load_bias(channel)` : weighted;
}

const CHANNEL = `
// Channel of access \`i\` of a row; fours never straddle channels.
fn channel_of(row: u32, i: u32) -> u32 {
  return (row % params.groups) * params.group_channels + i / params.positions;
}
`;

function valueCode(lanes: Lanes): string {
  const [type, total] = lanes === 4 ? ['vec4<f32>', 'dot(v, vec4<f32>(1.0))'] : ['f32', 'v'];
  return `
alias Value = ${type};
fn total_of(v: Value) -> f32 { return ${total}; }
`;
}

function fusedLaunch(
  call: KernelCall<GroupNormAttrs>,
  context: WebGpuContext,
  lanes: Lanes,
): Launch {
  const { rows, length, groups, groupChannels, positions } = groupRows(call);
  const { dtype } = call.inputs[0]!;
  const width = length / lanes;
  const workgroup = rowWorkgroup(width);
  const affines = affineBindings(call);
  const reduction = groupReduction(context.capabilities, {
    name: 'reduce',
    type: 'f32',
    combine: 'a + b',
    workgroup,
  });
  const loop = (body: string): string =>
    `for (var i = lane; i < params.width; i += ${workgroup}u) {\n    ${body}\n  }`;
  const program = context.program({
    label: `groupNorm.fused.${dtype}`,
    bindings: [
      { name: 'x', dtype, use: 'read', lanes },
      ...affines,
      { name: 'out', dtype, use: 'write', lanes },
    ],
    params: {
      width: 'u32',
      length: 'f32',
      groups: 'u32',
      group_channels: 'u32',
      positions: 'u32',
      eps: 'f32',
    },
    each: 'group',
    workgroup,
    enables: reduction.enables,
    helpers: [CHANNEL],
    body: `${valueCode(lanes)}${reduction.code}
fn run(row: u32, lane: u32) {
  let start = row * params.width;
  var sum = 0.0;
  ${loop('sum += total_of(load_x(start + i));')}
  let mean = reduce(lane, sum) / params.length;
  var squares = 0.0;
  ${loop('let d = load_x(start + i) - mean;\n    squares += total_of(d * d);')}
  let factor = inverseSqrt(reduce(lane, squares) / params.length + params.eps);
  ${loop(`let channel = channel_of(row, i);
    let normal = (load_x(start + i) - mean) * factor;
    store_out(start + i, ${affine(affines)});`)}
}`,
  });
  const params = program.pack({
    width,
    length,
    groups,
    group_channels: groupChannels,
    positions: positions / lanes,
    eps: call.attrs.eps,
  });
  return { program, params, count: rows };
}

/** Sum and centred squares of each part of each row: `[rows, parts, 2]`. */
function momentsLaunch(
  call: KernelCall<GroupNormAttrs>,
  context: WebGpuContext,
  parts: number,
): Launch {
  const { rows, length } = groupRows(call);
  const { dtype } = call.inputs[0]!;
  const reduction = groupReduction(context.capabilities, {
    name: 'reduce',
    type: 'f32',
    combine: 'a + b',
    workgroup: WORKGROUP,
  });
  const program = context.program({
    label: `groupNorm.moments.${dtype}`,
    bindings: [
      { name: 'x', dtype, use: 'read' },
      { name: 'moments', dtype: 'f32', use: 'write' },
    ],
    params: { length: 'u32', parts: 'u32' },
    each: 'group',
    workgroup: WORKGROUP,
    enables: reduction.enables,
    body: `${reduction.code}
fn run(group: u32, lane: u32) {
  let start = (group / params.parts) * params.length;
  let first = (group % params.parts) * ${PART_LENGTH}u;
  let end = min(params.length, first + ${PART_LENGTH}u);
  var sum = 0.0;
  for (var i = first + lane; i < end; i += ${WORKGROUP}u) { sum += load_x(start + i); }
  let total = reduce(lane, sum);
  let mean = total / f32(end - first);
  var part = 0.0;
  for (var i = first + lane; i < end; i += ${WORKGROUP}u) {
    let d = load_x(start + i) - mean;
    part += d * d;
  }
  let squares = reduce(lane, part);
  if (lane == 0u) {
    store_moments(2u * group, total);
    store_moments(2u * group + 1u, squares);
  }
}`,
  });
  return { program, params: program.pack({ length, parts }), count: rows * parts };
}

/** Mean and factor of each row from the moments of its parts: `[rows, 2]`. */
function mergeLaunch(
  call: KernelCall<GroupNormAttrs>,
  context: WebGpuContext,
  parts: number,
): Launch {
  const { rows, length } = groupRows(call);
  const program = context.program({
    label: 'groupNorm.merge',
    bindings: [
      { name: 'moments', dtype: 'f32', use: 'read' },
      { name: 'factors', dtype: 'f32', use: 'write' },
    ],
    params: { length: 'u32', parts: 'u32', eps: 'f32' },
    each: 'element',
    workgroup: 64,
    body: `
fn run(row: u32) {
  let start = 2u * row * params.parts;
  var sum = 0.0;
  for (var i = 0u; i < params.parts; i++) { sum += load_moments(start + 2u * i); }
  let mean = sum / f32(params.length);
  // Squares about the parts' own means, and of the means about that of the row.
  var squares = 0.0;
  for (var i = 0u; i < params.parts; i++) {
    let count = f32(min(${PART_LENGTH}u, params.length - i * ${PART_LENGTH}u));
    let d = load_moments(start + 2u * i) / count - mean;
    squares += load_moments(start + 2u * i + 1u) + count * d * d;
  }
  store_factors(2u * row, mean);
  store_factors(2u * row + 1u, inverseSqrt(squares / f32(params.length) + params.eps));
}`,
  });
  const params = program.pack({ length, parts, eps: call.attrs.eps });
  return { program, params, count: rows };
}

function applyLaunch(
  call: KernelCall<GroupNormAttrs>,
  context: WebGpuContext,
  lanes: Lanes,
): Launch {
  const { rows, length, groups, groupChannels, positions } = groupRows(call);
  const { dtype } = call.inputs[0]!;
  const affines = affineBindings(call);
  const program = context.program({
    label: `groupNorm.apply.${dtype}`,
    bindings: [
      { name: 'x', dtype, use: 'read', lanes },
      { name: 'factors', dtype: 'f32', use: 'read' },
      ...affines,
      { name: 'out', dtype, use: 'write', lanes },
    ],
    params: { width: 'u32', groups: 'u32', group_channels: 'u32', positions: 'u32' },
    each: 'element',
    workgroup: WORKGROUP,
    helpers: [CHANNEL],
    body: `
fn run(index: u32) {
  let row = index / params.width;
  let channel = channel_of(row, index % params.width);
  let normal = (load_x(index) - load_factors(2u * row)) * load_factors(2u * row + 1u);
  store_out(index, ${affine(affines)});
}`,
  });
  const params = program.pack({
    width: length / lanes,
    groups,
    group_channels: groupChannels,
    positions: positions / lanes,
  });
  return { program, params, count: (rows * length) / lanes };
}

interface Plan {
  run(context: WebGpuContext, inputs: readonly Binding<GpuBuffer>[], out: Binding<GpuBuffer>): void;
}

function splitPlan(call: KernelCall<GroupNormAttrs>, context: WebGpuContext): Plan {
  const { rows, length, positions } = groupRows(call);
  const parts = Math.ceil(length / PART_LENGTH);
  const moments = momentsLaunch(call, context, parts);
  const merge = mergeLaunch(call, context, parts);
  const apply = new LaneVersions(positions % 4 === 0, (lanes) => applyLaunch(call, context, lanes));
  return {
    run(target, [x, ...affines], out) {
      const sums = target.scratch(rows * parts * 2);
      const factors = target.scratch(rows * 2);
      enqueue(target, moments, [x!, sums]);
      enqueue(target, merge, [sums, factors]);
      apply.enqueue(target, [x!, factors, ...affines, out]);
      target.release(sums, factors);
    },
  };
}

export const groupNormKernel: WebGpuKernel<GroupNormAttrs, Plan> = {
  op: 'groupNorm',
  strategies: STRATEGIES,
  supports: () => true,
  prepare(call, context, forced) {
    const { rows, length, positions } = groupRows(call);
    const chosen = length > 2 * PART_LENGTH && rows < FEW_ROWS ? 'split' : 'fused';
    if ((forced ?? chosen) === 'split') return splitPlan(call, context);
    const fused = new LaneVersions(positions % 4 === 0, (lanes) =>
      fusedLaunch(call, context, lanes),
    );
    return { run: (target, inputs, out) => fused.enqueue(target, [...inputs, out]) };
  },
  run(plan, inputs, [out], context) {
    plan.run(
      context,
      inputs.filter((input) => input !== undefined),
      out!,
    );
  },
};
