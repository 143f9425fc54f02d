/** Group normalisation of packed sparse rows: statistics per batch element. */
import {
  checkEps,
  DTypeError,
  executeOne,
  FLOAT_DTYPES,
  InputError,
  shapeMismatch,
  sizeOf,
  type Op,
  type Tensor,
} from '@pergola/core';
import { sparseGroupNormKernel } from '../cpu/sparse-group-norm.ts';

/** Attributes of `sparseGroupNorm`. */
export interface SparseGroupNormAttrs {
  /** Groups of consecutive channels; divides C. */
  readonly groups: number;
  /** Added to the variance. */
  readonly eps: number;
  /** Applied last. */
  readonly activation: 'none' | 'silu';
}

export const SPARSE_GROUP_NORM_DEFAULTS: Omit<SparseGroupNormAttrs, 'groups'> = {
  eps: 1e-5,
  activation: 'none',
};

export const sparseGroupNormOp: Op<SparseGroupNormAttrs> = {
  name: 'sparseGroupNorm',
  family: 'norm',
  inputs: [
    { name: 'x', dtypes: FLOAT_DTYPES, rank: 2 },
    { name: 'weight', dtypes: FLOAT_DTYPES, rank: 1, optional: true },
    { name: 'bias', dtypes: FLOAT_DTYPES, rank: 1, optional: true },
    { name: 'offsets', dtypes: ['i32'], rank: 1 },
  ],
  infer([x, weight, bias, offsets], { groups, eps, activation }) {
    checkEps('sparseGroupNorm', eps);
    const channels = x!.shape[1]!;
    if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0) {
      throw new InputError(
        `sparseGroupNorm: groups must divide the ${channels} channels, got ${groups}.`,
      );
    }
    if (activation !== 'none' && activation !== 'silu') {
      throw new InputError(
        `sparseGroupNorm: activation must be none or silu, got ${String(activation)}.`,
      );
    }
    if (offsets!.shape[0] === 0) {
      throw shapeMismatch('sparseGroupNorm', 'offsets', '[batch + 1]', offsets!.shape);
    }
    for (const [name, affine] of [
      ['weight', weight],
      ['bias', bias],
    ] as const) {
      if (affine === undefined) continue;
      if (affine.shape[0] !== channels) {
        throw shapeMismatch('sparseGroupNorm', name, `[${channels}]`, affine.shape);
      }
      if (affine.dtype !== 'f32' && affine.dtype !== x!.dtype) {
        throw new DTypeError(
          `sparseGroupNorm: ${name} must be f32 or ${x!.dtype}, got ${affine.dtype}.`,
        );
      }
    }
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  reference([x, weight, bias, offsets], { groups, eps, activation }, [out]) {
    const channels = x!.shape[1]!;
    const width = channels / groups;
    for (let batch = 0; batch + 1 < offsets!.data.length; batch++) {
      const [start, end] = [offsets!.data[batch]!, offsets!.data[batch + 1]!];
      for (let group = 0; group < groups; group++) {
        const visit = (body: (at: number, channel: number) => void): void => {
          for (let row = start; row < end; row++) {
            for (let c = group * width; c < (group + 1) * width; c++) body(row * channels + c, c);
          }
        };
        const size = (end - start) * width;
        let mean = 0;
        visit((at) => (mean += x!.data[at]! / size));
        let variance = 0;
        visit((at) => (variance += (x!.data[at]! - mean) ** 2 / size));
        const scale = 1 / Math.sqrt(variance + eps);
        visit((at, c) => {
          const normal = (x!.data[at]! - mean) * scale;
          const value = normal * (weight?.data[c] ?? 1) + (bias?.data[c] ?? 0);
          out!.data[at] = activation === 'silu' ? value / (1 + Math.exp(-value)) : value;
        });
      }
    }
  },
  cost([x]) {
    return { flops: 8 * sizeOf(x!.shape), bytes: 12 * sizeOf(x!.shape) };
  },
  kernels: { cpu: sparseGroupNormKernel },
};

/**
 * Group normalisation in which one batch element's voxels are the spatial axis: mean and biased variance over all
 * voxels of the element and the channels of the group. Batch elements are independent; empty ones are skipped.
 *
 * Statistics are f32 or better whatever the dtype.
 *
 * @param x `[N, C]` float, rows packed by batch element.
 * @param weight `[C]`, f32 or the dtype of x; ones when absent.
 * @param bias `[C]`, likewise; zeros when absent.
 * @param offsets i32 `[B + 1]`, ascending from 0 to N.
 * @param options `groups`; `eps` 1e-5; `activation` 'none' or 'silu', applied after the affine map.
 * @throws ShapeError, DTypeError, InputError.
 * @see Wu and He, Group Normalization, arXiv 1803.08494
 */
export function sparseGroupNorm(
  x: Tensor,
  weight: Tensor | undefined,
  bias: Tensor | undefined,
  offsets: Tensor,
  options: Partial<SparseGroupNormAttrs> & Pick<SparseGroupNormAttrs, 'groups'>,
): Tensor {
  return executeOne(sparseGroupNormOp, [x, weight, bias, offsets], {
    ...SPARSE_GROUP_NORM_DEFAULTS,
    ...options,
  });
}
