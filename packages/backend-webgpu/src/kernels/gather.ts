/** `gather`: rows by index; an index outside the axis gives zeros. */
import type { GatherAttrs } from '@pergola/core';
import type { WebGpuKernel } from '../context.ts';
import { rawType } from '../wgsl/access.ts';
import { axisRows } from './axis-rows.ts';
import { LaneVersions } from './launch.ts';

const WORKGROUP = 256;

export const gatherKernel: WebGpuKernel<GatherAttrs, LaneVersions> = {
  op: 'gather',
  supports: () => true,
  prepare({ inputs, outputs, attrs }, context) {
    const [x, index] = inputs;
    const { dtype } = x!;
    const { outer, extent, inner } = axisRows(x!.shape, attrs.axis);
    const count = outputs[0]!.shape[attrs.axis]!;
    return new LaneVersions(inner % 4 === 0, (lanes) => {
      const type = rawType(dtype, context.capabilities.f16, lanes);
      const width = inner / lanes;
      const program = context.program({
        label: `gather.${dtype}`,
        bindings: [
          { name: 'x', dtype, use: 'read', raw: true, lanes },
          { name: 'index', dtype: index!.dtype, use: 'read' },
          { name: 'out', dtype, use: 'write', raw: true, lanes },
        ],
        params: { extent: 'u32', selected: 'u32', width: 'u32' },
        each: 'element',
        workgroup: WORKGROUP,
        body: `
fn run(at: u32) {
  let row = at / params.width;
  // A negative index is beyond the axis, too.
  let source = u32(load_index(row % params.selected));
  var value = ${type}();
  if (source < params.extent) {
    value = load_x(((row / params.selected) * params.extent + source) * params.width + at % params.width);
  }
  store_out(at, value);
}`,
      });
      const params = program.pack({ extent, selected: count, width });
      return { program, params, count: outer * count * width };
    });
  },
  run(plan, [x, index], [out], context) {
    plan.enqueue(context, [x!, index!, out!]);
  },
};
