/** `curveCodes`: places along a z-order or Hilbert curve, bit by bit. */
import type { CurveCodesAttrs } from '@pergola/sparse';
import type { WebGpuKernel } from '../../context.ts';
import { LaneVersions } from '../launch.ts';
import { coordBinding, rowReader } from './coord-rows.ts';

const WORKGROUP = 256;

const INTERLEAVE = `
fn interleave(point: vec3<u32>) -> u32 {
  var code = 0u;
  for (var bit = params.bits; bit > 0u; ) {
    bit--;
    let digit = (point >> vec3<u32>(bit)) & vec3<u32>(1u);
    code = (code << 3u) | (digit.x << 2u) | (digit.y << 1u) | digit.z;
  }
  return code;
}
`;

// Skilling's transform from a point to the transposed index of the Hilbert curve.
const HILBERT = `
fn hilbert(point: vec3<u32>) -> vec3<u32> {
  var p = point;
  for (var bit = params.bits - 1u; bit >= 1u; bit--) {
    let low = (1u << bit) - 1u;
    for (var axis = 0u; axis < 3u; axis++) {
      if (((p[axis] >> bit) & 1u) == 1u) {
        p.x ^= low;
      } else {
        let swap = (p.x ^ p[axis]) & low;
        p.x ^= swap;
        p[axis] ^= swap;
      }
    }
  }
  // Gray code.
  p.y ^= p.x;
  p.z ^= p.y;
  var flip = 0u;
  for (var bit = params.bits - 1u; bit >= 1u; bit--) {
    if (((p.z >> bit) & 1u) == 1u) { flip ^= (1u << bit) - 1u; }
  }
  return p ^ vec3<u32>(flip);
}
`;

export const curveCodesKernel: WebGpuKernel<CurveCodesAttrs, LaneVersions> = {
  op: 'curveCodes',
  supports: () => true,
  prepare({ inputs, attrs: { order, bits, shift } }, context) {
    const hilbert = order.startsWith('hilbert');
    return new LaneVersions(true, (lanes) => {
      const program = context.program({
        label: `curveCodes.${order}`,
        bindings: [
          coordBinding('coords', 'read', lanes),
          { name: 'out', dtype: 'i32', use: 'write' },
        ],
        params: { bits: 'u32', shift_x: 'i32', shift_y: 'i32', shift_z: 'i32' },
        each: 'element',
        workgroup: WORKGROUP,
        helpers: [rowReader('coords', lanes), INTERLEAVE, ...(hilbert ? [HILBERT] : [])],
        body: `
fn run(row: u32) {
  let shift = vec3<i32>(params.shift_x, params.shift_y, params.shift_z);
  let mask = (1u << params.bits) - 1u;
  let place = bitcast<vec3<u32>>(row_coords(row).yzw + shift) & vec3<u32>(mask);
  let point = place.${order.endsWith('transposed') ? 'yxz' : 'xyz'};
  store_out(row, i32(interleave(${hilbert ? 'hilbert(point)' : 'point'})));
}`,
      });
      const [x, y, z] = shift;
      const params = program.pack({ bits, shift_x: x, shift_y: y, shift_z: z });
      return { program, params, count: inputs[0]!.shape[0]! };
    });
  },
  run(plan, [coords], [out], context) {
    plan.enqueue(context, [coords!, out!]);
  },
};
