/** `copy`: strided elements into row-major order. */
import type { DType } from '@pergola/core';
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import type { BindingSpec } from '../wgsl/access.ts';
import { LaneVersions, type Lanes, type Launch } from './launch.ts';
import {
  byFours,
  mergeAxes,
  repeatsElement,
  walkCode,
  walkParams,
  walksByFours,
  type Walk,
} from './walk.ts';

const WORKGROUP = 256;

/** A copy of the elements of `walk`, whose operand is x. */
export function copyLaunch(context: WebGpuContext, dtype: DType, walk: Walk, lanes: Lanes): Launch {
  const steps = lanes === 4 ? byFours(walk) : walk;
  const { types, values } = walkParams(steps, ['x']);
  const bindings: BindingSpec[] = [
    { name: 'x', dtype, use: 'read', raw: true, lanes },
    { name: 'out', dtype, use: 'write', raw: true, lanes },
  ];
  const program = context.program({
    label: `copy.${dtype}`,
    bindings,
    params: types,
    each: 'element',
    workgroup: WORKGROUP,
    body: `
fn run(index: u32) {
${walkCode(steps.shape.length, ['x'], 'index')}
  store_out(index, load_x(x_i));
}`,
  });
  const count = steps.shape.reduce((size, extent) => size * extent, 1);
  return { program, params: program.pack(values), count };
}

export const copyKernel: WebGpuKernel<object, LaneVersions> = {
  op: 'copy',
  supports: () => true,
  acceptsStrides: () => true,
  prepare({ inputs }, context) {
    const { dtype, shape, strides } = inputs[0]!;
    const walk = mergeAxes(shape, [strides]);
    // Raw fours of packed types are whole words: one element cannot be repeated over them.
    const wide = walksByFours(walk) && !repeatsElement(walk.strides[0]!);
    return new LaneVersions(wide, (lanes) => copyLaunch(context, dtype, walk, lanes));
  },
  run(plan, [x], [out], context) {
    plan.enqueue(context, [x!, out!]);
  },
};
