/** `pad`: each output element from inside x, or the constant. */
import { sizeOf, type PadAttrs } from '@pergola/core';
import type { WebGpuKernel } from '../context.ts';
import { valueType } from '../wgsl/access.ts';
import type { ParamType } from '../wgsl/program.ts';
import { enqueue, type Launch } from './launch.ts';

const WORKGROUP = 256;

export const padKernel: WebGpuKernel<PadAttrs, Launch> = {
  op: 'pad',
  supports: () => true,
  acceptsStrides: () => true,
  prepare({ inputs, outputs, attrs }, context) {
    const { dtype, shape, strides } = inputs[0]!;
    const out = outputs[0]!;
    const type = valueType(dtype);
    const types: Record<string, ParamType> = { value: type === 'bool' ? 'u32' : type };
    const values: Record<string, number> = { value: attrs.value };
    const lines: string[] = [];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const own = {
        [`padded${axis}`]: out.shape[axis]!,
        [`before${axis}`]: attrs.before[axis]!,
        [`extent${axis}`]: shape[axis]!,
        [`stride${axis}`]: strides[axis]!,
      };
      for (const [name, value] of Object.entries(own)) {
        types[name] = 'u32';
        values[name] = value;
      }
      // Before the first element the difference wraps to a large number.
      lines.push(
        `let at${axis} = rest % params.padded${axis} - params.before${axis};`,
        `rest /= params.padded${axis};`,
        `inside = inside && at${axis} < params.extent${axis};`,
        `source += at${axis} * params.stride${axis};`,
      );
    }
    const program = context.program({
      label: `pad.${dtype}`,
      bindings: [
        { name: 'x', dtype, use: 'read' },
        { name: 'out', dtype, use: 'write' },
      ],
      params: types,
      each: 'element',
      workgroup: WORKGROUP,
      body: `
fn run(index: u32) {
  var rest = index;
  var inside = true;
  var source = 0u;
  ${lines.join('\n  ')}
  var value = ${type === 'bool' ? 'params.value != 0u' : 'params.value'};
  if (inside) { value = load_x(source); }
  store_out(index, value);
}`,
    });
    return { program, params: program.pack(values), count: sizeOf(out.shape) };
  },
  run(plan, [x], [out], context) {
    enqueue(context, plan, [x!, out!]);
  },
};
