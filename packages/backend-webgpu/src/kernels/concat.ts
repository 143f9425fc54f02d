/** `concat`: one move for each tensor, into its place along the axis. */
import { sizeOf, type ConcatAttrs } from '@pergola/core';
import type { WebGpuKernel } from '../context.ts';
import { axisRows } from './axis-rows.ts';
import { LaneVersions } from './launch.ts';

const WORKGROUP = 256;

export const concatKernel: WebGpuKernel<ConcatAttrs, readonly LaneVersions[]> = {
  op: 'concat',
  supports: () => true,
  prepare({ inputs, outputs, attrs }, context) {
    const { dtype, shape } = outputs[0]!;
    const { extent, inner } = axisRows(shape, attrs.axis);
    const stride = extent * inner;
    let place = 0;
    return inputs.map((input) => {
      const block = input!.shape[attrs.axis]! * inner;
      const start = place;
      place += block;
      const fits = [stride, block, start].every((length) => length % 4 === 0);
      return new LaneVersions(fits, (lanes) => {
        const program = context.program({
          label: `concat.${dtype}`,
          bindings: [
            { name: 'x', dtype, use: 'read', raw: true, lanes },
            { name: 'out', dtype, use: 'write', raw: true, lanes },
          ],
          params: { stride: 'u32', block: 'u32', start: 'u32' },
          each: 'element',
          workgroup: WORKGROUP,
          body: `
fn run(index: u32) {
  let row = index / params.block;
  store_out(row * params.stride + params.start + index % params.block, load_x(index));
}`,
        });
        const params = program.pack({
          stride: stride / lanes,
          block: block / lanes,
          start: start / lanes,
        });
        return { program, params, count: sizeOf(input!.shape) / lanes };
      });
    });
  },
  run(plan, inputs, [out], context) {
    plan.forEach((move, i) => move.enqueue(context, [inputs[i]!, out!]));
  },
};
