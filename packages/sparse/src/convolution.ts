/** Sparse convolutions on features: submanifold, strided and inverse. */
import { InputError, linear, shapeMismatch, type Tensor } from '@pergola/core';
import { gatherConv3d } from './ops/conv.ts';
import type { KernelMap, StridedMap } from './structure-parts.ts';
import { checkRows } from './ops/checks.ts';

/** Options of `submConv3d`. */
export interface SubmConvOptions {
  /**
   * How the buffer of a kernel of size 1 is read. `conventional`: `[Cout, Cin]`, as its shape says. `reinterpreted`:
   * the same memory as `[Cin, Cout]`, as spconv 2.x does in its shortcut for this size, so that weights trained with
   * it give the numbers they were trained for. No effect on larger kernels.
   */
  readonly pointwiseWeight?: 'conventional' | 'reinterpreted';
}

export const SUBM_CONV_DEFAULTS: Required<SubmConvOptions> = { pointwiseWeight: 'conventional' };

function checkMap(op: string, x: Tensor, weight: Tensor, map: KernelMap): void {
  if (weight.rank === 5 && weight.shape[1] !== map.kernelSize) {
    const expected = `[Cout, k, k, k, Cin] with k = ${map.kernelSize} (kernel map)`;
    throw shapeMismatch(op, 'weight', expected, weight.shape);
  }
  checkRows(op, 'x', x, map.inputRows);
}

/**
 * Submanifold convolution: outputs at the input voxels only,
 * `out[p] = bias + sum over k of weight[:, kx, ky, kz, :] x[p + dilation * (k - (K - 1) / 2)]`, absent voxels being 0.
 *
 * Equals a dense cross-correlation of the zero-filled grid with same padding, read at the voxels.
 *
 * @param x `[N, Cin]` float.
 * @param weight `[Cout, K, K, K, Cin]` of the dtype of x, kernel axes x, y, z.
 * @param bias `[Cout]` of the dtype of x.
 * @param map of the structure that x lives on; a kernel of size 1 needs none.
 * @returns `[N, Cout]`.
 * @throws ShapeError, DTypeError, InputError.
 * @see Graham et al., Submanifold sparse convolutional networks, arXiv 1706.01307
 */
export function submConv3d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  map: KernelMap | undefined,
  options: SubmConvOptions = {},
): Tensor {
  const { pointwiseWeight } = { ...SUBM_CONV_DEFAULTS, ...options };
  if (weight.rank === 5 && weight.shape.slice(1, 4).every((extent) => extent === 1)) {
    return pointwise(x, weight, bias, pointwiseWeight);
  }
  if (map === undefined) {
    throw new InputError('submConv3d: kernels larger than 1 need a kernel map, got none.');
  }
  checkMap('submConv3d', x, weight, map);
  return gatherConv3d(x, weight, bias, map.map);
}

function pointwise(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  reading: 'conventional' | 'reinterpreted',
): Tensor {
  const [outputs, inputs] = [weight.shape[0]!, weight.shape[4]!];
  if (reading === 'conventional') {
    using matrix = weight.reshape(outputs, inputs);
    return linear(x, matrix, bias);
  }
  if (reading !== 'reinterpreted') {
    throw new InputError(
      `submConv3d: pointwiseWeight must be conventional or reinterpreted, got ${String(reading)}.`,
    );
  }
  using stored = weight.reshape(inputs, outputs);
  using matrix = stored.transpose();
  return linear(x, matrix, bias);
}

/**
 * Strided sparse convolution: outputs wherever a tap meets a voxel.
 *
 * @param x `[N, Cin]` on the structure that `map` was made from.
 * @param weight `[Cout, K, K, K, Cin]` of the dtype of x.
 * @param bias `[Cout]` of the dtype of x.
 * @returns `[M, Cout]` on `map.structure`.
 * @throws ShapeError, DTypeError.
 */
export function sparseConv3d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  map: StridedMap,
): Tensor {
  checkMap('sparseConv3d', x, weight, map.forward);
  return gatherConv3d(x, weight, bias, map.forward.map);
}

/**
 * Inverse of a strided sparse convolution in its geometry: the same pairs, from its outputs back to its inputs.
 * `out[q] = bias + sum over pairs (q, k, p) of weight[:, k, :] x[p]`.
 *
 * @param x `[M, Cin]` on `map.structure`.
 * @param weight `[Cout, K, K, K, Cin]` of the dtype of x.
 * @param bias `[Cout]` of the dtype of x.
 * @returns `[N, Cout]` on the structure that `map` was made from.
 * @throws ShapeError, DTypeError.
 */
export function inverseConv3d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  map: StridedMap,
): Tensor {
  checkMap('inverseConv3d', x, weight, map.inverse);
  return gatherConv3d(x, weight, bias, map.inverse.map);
}
