/** `copy`: strided elements into row-major order; and the contiguous move that assignments use. */
import { type Binding, type DType } from '@pergola/core';
import type { GpuBuffer } from '../buffers.ts';
import type { WebGpuContext, WebGpuKernel } from '../context.ts';
import type { BindingSpec } from '../wgsl/access.ts';
import { enqueue, LaneVersions, type Lanes, type Launch } from './launch.ts';
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

/** Copies `size` contiguous elements from `source` to `target`, which may lie in one buffer and overlap. */
export function moveElements(
  context: WebGpuContext,
  dtype: DType,
  size: number,
  source: Binding<GpuBuffer>,
  target: Binding<GpuBuffer>,
): void {
  const walk: Walk = { shape: [size], strides: [[1]] };
  const launch = copyLaunch(context, dtype, walk, 1);
  if (source.buffer !== target.buffer) {
    enqueue(context, launch, [source, target]);
    return;
  }
  // One buffer must not be read and written by one dispatch.
  const between = context.scratch(size);
  enqueue(context, launch, [source, between]);
  enqueue(context, launch, [between, target]);
  context.release(between);
}
