/** `full`: a constant. */
import { sizeOf, type FullAttrs } from '@pergola/core';
import type { WebGpuKernel } from '../context.ts';
import { valueType } from '../wgsl/access.ts';
import { LaneVersions } from './launch.ts';

const WORKGROUP = 256;

export const fullKernel: WebGpuKernel<FullAttrs, LaneVersions> = {
  op: 'full',
  supports: () => true,
  prepare({ attrs: { shape, value, dtype } }, context) {
    const type = valueType(dtype);
    const size = sizeOf(shape);
    return new LaneVersions(size % 4 === 0, (lanes) => {
      const number = type === 'bool' ? 'params.value != 0u' : 'params.value';
      const result = lanes === 4 ? `vec4<${type}>(${number})` : number;
      const program = context.program({
        label: `full.${dtype}`,
        bindings: [{ name: 'out', dtype, use: 'write', lanes }],
        params: { value: type === 'bool' ? 'u32' : type },
        each: 'element',
        workgroup: WORKGROUP,
        body: `
fn run(index: u32) {
  store_out(index, ${result});
}`,
      });
      return { program, params: program.pack({ value }), count: size / lanes };
    });
  },
  run(plan, _inputs, [out], context) {
    plan.enqueue(context, [out!]);
  },
};
