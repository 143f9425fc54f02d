/** `gatedResidual`: `x + h * gate` with one gate per batch element of the packed rows. */
import { sizeOf } from '@pergola/core';
import type { WebGpuKernel } from '../context.ts';
import { LaneVersions } from './launch.ts';
import { PACKED_ELEMENT } from './packed-rows.ts';

const WORKGROUP = 256;

export const gatedResidualKernel: WebGpuKernel<object, LaneVersions> = {
  op: 'gatedResidual',
  supports: () => true,
  prepare({ inputs }, context) {
    const [x, , , offsets] = inputs;
    const { dtype, shape } = x!;
    const channels = shape[1]!;
    const batch = offsets!.shape[0]! - 1;
    return new LaneVersions(channels % 4 === 0, (lanes) => {
      const program = context.program({
        label: `gatedResidual.${dtype}`,
        bindings: [
          { name: 'x', dtype, use: 'read', lanes },
          { name: 'h', dtype, use: 'read', lanes },
          { name: 'gate', dtype, use: 'read', lanes },
          { name: 'offsets', dtype: 'i32', use: 'read' },
          { name: 'out', dtype, use: 'write', lanes },
        ],
        params: { width: 'u32', batch: 'u32' },
        each: 'element',
        workgroup: WORKGROUP,
        helpers: [PACKED_ELEMENT],
        body: `
fn run(index: u32) {
  let row = index / params.width;
  let element = packed_element(row, params.batch);
  var value = load_x(index);
  // Rows outside all batch elements stay as they are.
  if (element < params.batch) {
    value += load_h(index) * load_gate(element * params.width + index % params.width);
  }
  store_out(index, value);
}`,
      });
      const params = program.pack({ width: channels / lanes, batch });
      return { program, params, count: sizeOf(shape) / lanes };
    });
  },
  run(plan, [x, h, gate, offsets], [out], context) {
    plan.enqueue(context, [x!, h!, gate!, offsets!, out!]);
  },
};
