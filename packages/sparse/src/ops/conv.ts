/** Sparse convolution over a neighbour map: submanifold, strided and inverse are one op with different maps. */
import {
  commonDType,
  executeOne,
  FLOAT_DTYPES,
  shapeMismatch,
  sizeOf,
  type Op,
  type Tensor,
} from '@pergola/core';
import { sparseConv3dKernel } from '../cpu/sparse-conv.ts';

export const sparseConv3dOp: Op = {
  name: 'sparseConv3d',
  family: 'sparse-conv',
  inputs: [
    { name: 'x', dtypes: FLOAT_DTYPES, rank: 2 },
    { name: 'weight', dtypes: FLOAT_DTYPES, rank: 5 },
    { name: 'bias', dtypes: FLOAT_DTYPES, rank: 1, optional: true },
    { name: 'map', dtypes: ['i32'], rank: 2 },
  ],
  infer([x, weight, bias, map]) {
    const dtype = commonDType(sparseConv3dOp, [x, weight, bias], 0, 1, 2);
    const channels = x!.shape[1]!;
    const [outputs, size] = weight!.shape;
    const cube = weight!.shape.slice(1, 4).every((extent) => extent === size);
    if (!cube || size === 0 || weight!.shape[4] !== channels) {
      const expected = `[Cout, k, k, k, ${channels}] (x has ${channels} channels)`;
      throw shapeMismatch('sparseConv3d', 'weight', expected, weight!.shape);
    }
    if (bias !== undefined && bias.shape[0] !== outputs) {
      throw shapeMismatch('sparseConv3d', 'bias', `[${outputs}]`, bias.shape);
    }
    if (map!.shape[1] !== size! ** 3) {
      const expected = `[M, ${size! ** 3}] (taps of a kernel of size ${size})`;
      throw shapeMismatch('sparseConv3d', 'map', expected, map!.shape);
    }
    return [{ dtype, shape: [map!.shape[0]!, outputs!] }];
  },
  reference([x, weight, bias, map], _attrs, [out]) {
    const [rows, outputs] = out!.shape as [number, number];
    const inputs = x!.shape[1]!;
    const taps = map!.shape[1]!;
    const sums = new Float64Array(outputs);
    for (let row = 0; row < rows; row++) {
      for (let o = 0; o < outputs; o++) sums[o] = bias?.data[o] ?? 0;
      for (let tap = 0; tap < taps; tap++) {
        const source = map!.data[row * taps + tap]!;
        if (source < 0 || source >= x!.shape[0]!) continue;
        for (let o = 0; o < outputs; o++) {
          let sum = 0;
          const w = (o * taps + tap) * inputs;
          for (let i = 0; i < inputs; i++) {
            sum += x!.data[source * inputs + i]! * weight!.data[w + i]!;
          }
          sums[o]! += sum;
        }
      }
      out!.data.set(sums, row * outputs);
    }
  },
  /** As if every tap met a voxel: the share that does depends on the map's values. */
  cost([x, weight, _bias, map], _attrs, [out]) {
    return {
      flops: 2 * sizeOf(map!.shape) * x!.shape[1]! * weight!.shape[0]!,
      bytes:
        4 * (sizeOf(map!.shape) * (1 + x!.shape[1]!) + sizeOf(weight!.shape) + sizeOf(out!.shape)),
    };
  },
  kernels: { cpu: sparseConv3dKernel },
};

/**
 * `out[i] = bias + sum over taps t of weight[:, t, :] x[map[i, t]]`, entries outside 0 to N - 1 (-1
 * stands for an absent voxel) contributing nothing.
 * Sums are f32 or better whatever the dtype; one rounding at the end.
 *
 * @param x `[N, Cin]` float.
 * @param weight `[Cout, k, k, k, Cin]` of the dtype of x; the kernel axes are x, y, z. Not flipped.
 * @param bias `[Cout]` of the dtype of x.
 * @param map i32 `[M, k^3]`, tap `(kx * k + ky) * k + kz`.
 * @returns `[M, Cout]`.
 * @throws ShapeError, DTypeError.
 */
export function gatherConv3d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  map: Tensor,
): Tensor {
  return executeOne(sparseConv3dOp, [x, weight, bias, map], {});
}
