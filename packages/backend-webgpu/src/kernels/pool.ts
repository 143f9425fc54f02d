/** `maxPool` and `avgPool` of images and volumes: one invocation per window. */
import { sizeOf, type PoolAttrs } from '@pergola/core';
import type { WebGpuKernel } from '../context.ts';
import { EXTREMES, NUMBER_CLASSES } from '../wgsl/math.ts';
import type { ParamType } from '../wgsl/program.ts';
import { enqueue, type Launch } from './launch.ts';

const WORKGROUP = 64;
const AXES = [0, 1, 2];

/** Numbers of three axes: an image is one voxel deep. */
function triple(values: readonly number[], lead: number): readonly number[] {
  return values.length === 2 ? [lead, ...values] : values;
}

function poolKernel(op: 'maxPool' | 'avgPool'): WebGpuKernel {
  const [start, step, finish] =
    op === 'maxPool'
      ? ['-infinity()', 'max_f32(total, v)', 'total']
      : ['0.0', 'total + v', 'total / f32(area)'];
  const kernel: WebGpuKernel<PoolAttrs, Launch> = {
    op,
    supports: () => true,
    prepare({ inputs, outputs, attrs }, context) {
      const { dtype, shape } = inputs[0]!;
      const out = outputs[0]!;
      const types: Record<string, ParamType> = {};
      const values: Record<string, number> = {};
      const perAxis = {
        extent: triple(shape.slice(2), 1),
        windows: triple(out.shape.slice(2), 1),
        kernel: triple(attrs.kernel, 1),
        stride: triple(attrs.stride, 1),
        padding: triple(attrs.padding, 0),
      };
      for (const [name, numbers] of Object.entries(perAxis)) {
        numbers.forEach((value, axis) => {
          types[`${name}${axis}`] = 'i32';
          values[`${name}${axis}`] = value;
        });
      }
      const bounds = AXES.toReversed().map(
        (axis) => `
  let first${axis} = (rest % params.windows${axis}) * params.stride${axis} - params.padding${axis};
  rest /= params.windows${axis};
  let end${axis} = min(first${axis} + params.kernel${axis}, params.extent${axis} + params.padding${axis});
  let low${axis} = max(first${axis}, 0);
  let high${axis} = min(end${axis}, params.extent${axis});`,
      );
      const program = context.program({
        label: `${op}.${dtype}`,
        bindings: [
          { name: 'x', dtype, use: 'read' },
          { name: 'out', dtype, use: 'write' },
        ],
        params: types,
        each: 'element',
        workgroup: WORKGROUP,
        helpers: [NUMBER_CLASSES, EXTREMES],
        body: `
fn run(index: u32) {
  var rest = i32(index);
  ${bounds.join('')}
  // Positions in the padding count, those beyond it do not.
  let area = (end0 - first0) * (end1 - first1) * (end2 - first2);
  var total = ${start};
  for (var i = low0; i < high0; i++) {
    for (var j = low1; j < high1; j++) {
      let row = ((rest * params.extent0 + i) * params.extent1 + j) * params.extent2;
      for (var k = low2; k < high2; k++) {
        let v = load_x(u32(row + k));
        total = ${step};
      }
    }
  }
  store_out(index, ${finish});
}`,
      });
      return { program, params: program.pack(values), count: sizeOf(out.shape) };
    },
    run(plan, [x], [out], context) {
      enqueue(context, plan, [x!, out!]);
    },
  };
  return kernel;
}

export const poolKernels: readonly WebGpuKernel[] = [poolKernel('maxPool'), poolKernel('avgPool')];
