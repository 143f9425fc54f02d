/** Coordinates row by row: shifting and quantising, subdividing, outputs of a strided convolution, permutations. */
import { NO_BATCH, type ConvOutputCoordsAttrs, type TransformCoordsAttrs } from '@pergola/sparse';
import type { WebGpuKernel } from '../../context.ts';
import { enqueue, LaneVersions, type Launch } from '../launch.ts';
import { coordBinding, FLOOR_DIVIDE, rowReader, rowWriter } from './coord-rows.ts';

const WORKGROUP = 256;

export const transformCoordsKernel: WebGpuKernel<TransformCoordsAttrs, LaneVersions> = {
  op: 'transformCoords',
  supports: () => true,
  prepare({ inputs, attrs }, context) {
    const { batchShift, shift, divisor } = attrs;
    return new LaneVersions(true, (lanes) => {
      const program = context.program({
        label: 'transformCoords',
        bindings: [coordBinding('coords', 'read', lanes), coordBinding('out', 'write', lanes)],
        params: {
          batch_shift: 'i32',
          ...{ shift_x: 'i32', shift_y: 'i32', shift_z: 'i32' },
          ...{ divisor_x: 'i32', divisor_y: 'i32', divisor_z: 'i32' },
        },
        each: 'element',
        workgroup: WORKGROUP,
        helpers: [rowReader('coords', lanes), rowWriter('out', lanes), FLOOR_DIVIDE],
        body: `
fn run(row: u32) {
  let input = row_coords(row);
  let shift = vec3<i32>(params.shift_x, params.shift_y, params.shift_z);
  let divisor = vec3<i32>(params.divisor_x, params.divisor_y, params.divisor_z);
  put_out(row, vec4<i32>(input.x + params.batch_shift, floor_divide(input.yzw + shift, divisor)));
}`,
      });
      const params = program.pack({
        batch_shift: batchShift,
        ...{ shift_x: shift[0], shift_y: shift[1], shift_z: shift[2] },
        ...{ divisor_x: divisor[0], divisor_y: divisor[1], divisor_z: divisor[2] },
      });
      return { program, params, count: inputs[0]!.shape[0]! };
    });
  },
  run(plan, [coords], [out], context) {
    plan.enqueue(context, [coords!, out!]);
  },
};

export const subdivideCoordsKernel: WebGpuKernel<object, LaneVersions> = {
  op: 'subdivideCoords',
  supports: () => true,
  prepare({ outputs }, context) {
    return new LaneVersions(true, (lanes) => {
      const program = context.program({
        label: 'subdivideCoords',
        bindings: [coordBinding('coords', 'read', lanes), coordBinding('out', 'write', lanes)],
        params: {},
        each: 'element',
        workgroup: WORKGROUP,
        helpers: [rowReader('coords', lanes), rowWriter('out', lanes)],
        body: `
fn run(row: u32) {
  let parent = row_coords(row / 8u);
  let child = vec3<i32>((vec3<u32>(row) >> vec3<u32>(2u, 1u, 0u)) & vec3<u32>(1u));
  put_out(row, vec4<i32>(parent.x, 2 * parent.yzw + child));
}`,
      });
      return { program, params: program.pack({}), count: outputs[0]!.shape[0]! };
    });
  },
  run(plan, [coords], [out], context) {
    plan.enqueue(context, [coords!, out!]);
  },
};

export const convOutputCoordsKernel: WebGpuKernel<ConvOutputCoordsAttrs, LaneVersions> = {
  op: 'convOutputCoords',
  supports: () => true,
  prepare({ outputs, attrs }, context) {
    const { kernelSize, stride, padding, dilation, outputShape } = attrs;
    const count = outputs[0]!.shape[0]!;
    // Outputs that one input can reach along one axis.
    const reach = Math.floor(((kernelSize - 1) * dilation) / stride) + 1;
    const bounded = outputShape !== null;
    const [x, y, z] = outputShape ?? [0, 0, 0];
    return new LaneVersions(true, (lanes) => {
      const program = context.program({
        label: 'convOutputCoords',
        bindings: [coordBinding('coords', 'read', lanes), coordBinding('out', 'write', lanes)],
        params: {
          ...{ reach: 'u32', kernel_size: 'i32', stride: 'i32', padding: 'i32', dilation: 'i32' },
          ...{ extent_x: 'i32', extent_y: 'i32', extent_z: 'i32' },
        },
        each: 'element',
        workgroup: WORKGROUP,
        helpers: [rowReader('coords', lanes), rowWriter('out', lanes), FLOOR_DIVIDE],
        body: `
fn run(at: u32) {
  let r = params.reach;
  let input = row_coords(at / (r * r * r));
  let step = vec3<i32>(vec3<u32>(at / (r * r), at / r, at) % r);
  let place = input.yzw + params.padding;
  // The step-th output at or below the input, along each axis.
  let to = floor_divide(place, vec3<i32>(params.stride)) - step;
  let rest = place - to * params.stride;
  let tap = rest / params.dilation;
  var exists = all(tap * params.dilation == rest) && all(tap < vec3<i32>(params.kernel_size));
  ${bounded ? 'exists = exists && all(to >= vec3<i32>(0)) && all(to < vec3<i32>(params.extent_x, params.extent_y, params.extent_z));' : ''}
  put_out(at, select(vec4<i32>(${NO_BATCH}, 0, 0, 0), vec4<i32>(input.x, to), exists));
}`,
      });
      const params = program.pack({
        ...{ reach, kernel_size: kernelSize, stride, padding, dilation },
        ...{ extent_x: x, extent_y: y, extent_z: z },
      });
      return { program, params, count };
    });
  },
  run(plan, [coords], [out], context) {
    plan.enqueue(context, [coords!, out!]);
  },
};

export const inversePermutationKernel: WebGpuKernel<object, Launch> = {
  op: 'inversePermutation',
  supports: () => true,
  prepare({ inputs }, context) {
    const program = context.program({
      label: 'inversePermutation',
      bindings: [
        { name: 'order', dtype: 'i32', use: 'read' },
        { name: 'out', dtype: 'i32', use: 'write' },
      ],
      params: {},
      each: 'element',
      workgroup: WORKGROUP,
      body: 'fn run(i: u32) { store_out(u32(load_order(i)), i32(i)); }',
    });
    return { program, params: program.pack({}), count: inputs[0]!.shape[0]! };
  },
  run(plan, [order], [out], context) {
    enqueue(context, plan, [order!, out!]);
  },
};
