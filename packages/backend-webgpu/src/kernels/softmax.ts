/** `softmax`: a team of invocations per row along the last axis, one invocation per column along any other. */
import type { SoftmaxAttrs } from '@pergola/core';
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import { EXPONENTIALS, EXTREMES, NUMBER_CLASSES } from '../wgsl/math.ts';
import { groupReduction } from '../wgsl/reduce.ts';
import { axisRows, type AxisRows } from './axis-rows.ts';
import { LaneVersions, type Lanes, type Launch } from './launch.ts';
import { rowTeam } from './row-size.ts';

const COLUMN_WORKGROUP = 64;
const HELPERS = [NUMBER_CLASSES, EXTREMES, EXPONENTIALS];

type FloatDType = 'f32' | 'f16';

function rowLaunch(
  context: WebGpuContext,
  dtype: FloatDType,
  { outer, extent }: AxisRows,
  lanes: Lanes,
): Launch {
  const width = extent / lanes;
  const team = rowTeam(width, context.capabilities);
  const highest = groupReduction(context.capabilities, {
    name: 'reduce_max',
    type: 'f32',
    combine: 'max_f32(a, b)',
    workgroup: team.size,
  });
  const total = groupReduction(context.capabilities, {
    name: 'reduce_sum',
    type: 'f32',
    combine: 'a + b',
    workgroup: team.size,
  });
  const [type, power, most, sum] =
    lanes === 4
      ? [
          'vec4<f32>',
          'vec4<f32>(exp_f32(v.x), exp_f32(v.y), exp_f32(v.z), exp_f32(v.w))',
          'max_f32(max_f32(v.x, v.y), max_f32(v.z, v.w))',
          'dot(v, vec4<f32>(1.0))',
        ]
      : ['f32', 'exp_f32(v)', 'v', 'v'];
  const loop = (body: string): string =>
    `for (var i = lane; i < params.width; i += ${team.size}u) { ${body} }`;
  const program = context.program({
    label: `softmax.rows.${dtype}`,
    bindings: [
      { name: 'x', dtype, use: 'read', lanes },
      { name: 'out', dtype, use: 'write', lanes },
    ],
    params: { width: 'u32' },
    each: team.each,
    workgroup: team.workgroup,
    enables: highest.enables,
    helpers: HELPERS,
    body: `
alias Value = ${type};
fn power_of(v: Value) -> Value { return ${power}; }
fn most_of(v: Value) -> f32 { return ${most}; }
fn sum_of(v: Value) -> f32 { return ${sum}; }
${highest.code}${total.code}
${team.run}
  let start = row * params.width;
  var most = -infinity();
  ${loop('most = max_f32(most, most_of(load_x(start + i)));')}
  let highest = reduce_max(lane, most);
  var part = 0.0;
  ${loop('part += sum_of(power_of(load_x(start + i) - highest));')}
  let total = reduce_sum(lane, part);
  ${loop('store_out(start + i, power_of(load_x(start + i) - highest) / total);')}
}`,
  });
  return { program, params: program.pack({ width }), count: outer };
}

/** WGSL loop over the elements of a column. */
function eachElement(body: string): string {
  return `for (var e = 0u; e < params.extent; e++) { let at = start + e * params.inner; ${body} }`;
}

function columnLaunch(
  context: WebGpuContext,
  dtype: FloatDType,
  { outer, extent, inner }: AxisRows,
): Launch {
  const program = context.program({
    label: `softmax.columns.${dtype}`,
    bindings: [
      { name: 'x', dtype, use: 'read' },
      { name: 'out', dtype, use: 'write' },
    ],
    params: { extent: 'u32', inner: 'u32' },
    each: 'element',
    workgroup: COLUMN_WORKGROUP,
    helpers: HELPERS,
    body: `
fn run(index: u32) {
  let start = (index / params.inner) * params.extent * params.inner + index % params.inner;
  var highest = -infinity();
  ${eachElement('highest = max_f32(highest, load_x(at));')}
  var total = 0.0;
  ${eachElement('total += exp_f32(load_x(at) - highest);')}
  ${eachElement('store_out(at, exp_f32(load_x(at) - highest) / total);')}
}`,
  });
  return { program, params: program.pack({ extent, inner }), count: outer * inner };
}

export const softmaxKernel: WebGpuKernel<SoftmaxAttrs, LaneVersions> = {
  op: 'softmax',
  supports: () => true,
  prepare({ inputs, attrs }, context) {
    const { dtype, shape } = inputs[0]!;
    const rows = axisRows(shape, attrs.axis);
    const float = dtype as FloatDType;
    if (rows.inner > 1) return new LaneVersions(false, () => columnLaunch(context, float, rows));
    return new LaneVersions(rows.extent % 4 === 0, (lanes) =>
      rowLaunch(context, float, rows, lanes),
    );
  },
  run(plan, [x], [out], context) {
    plan.enqueue(context, [x!, out!]);
  },
};
