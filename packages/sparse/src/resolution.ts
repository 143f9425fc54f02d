/** Features across resolutions: pooling, upsampling, subdividing. */
import { gather, InputError, shapeMismatch, type Tensor } from '@pergola/core';
import { segmentReduce } from './ops/segment.ts';
import type { Downsampling } from './structure-parts.ts';
import { checkRows } from './ops/checks.ts';

/** Options of `downsampleFeats`. */
export interface DownsampleFeatsOptions {
  /**
   * What the sum of a coarse voxel's children is divided by: their `count`, the mean; or `count+1`, which halves a
   * lone child (TRELLIS, arXiv 2412.01506, trains its latent flow with it).
   */
  readonly divisor?: 'count' | 'count+1';
}

export const DOWNSAMPLE_FEATS_DEFAULTS: Required<DownsampleFeatsOptions> = { divisor: 'count' };

/**
 * Sums the children of every coarse voxel and divides.
 *
 * @param x `[N, ...]` float on the fine structure.
 * @returns `[M, ...]` on `d.structure`. Sums are f32 or better; one rounding.
 * @throws ShapeError, DTypeError, InputError.
 */
export function downsampleFeats(
  x: Tensor,
  d: Downsampling,
  options: DownsampleFeatsOptions = {},
): Tensor {
  const { divisor } = { ...DOWNSAMPLE_FEATS_DEFAULTS, ...options };
  if (divisor !== 'count' && divisor !== 'count+1') {
    throw new InputError(
      `downsampleFeats: divisor must be count or count+1, got ${String(divisor)}.`,
    );
  }
  checkRows('downsampleFeats', 'x', x, d.index.shape[0]!);
  const extraCount = divisor === 'count' ? 0 : 1;
  return segmentReduce(x, d.order, d.offsets, { reduce: 'mean', extraCount });
}

/** Mean of the children of every coarse voxel: `[N, ...]` to `[M, ...]`. @throws ShapeError, DTypeError. */
export function poolMean(x: Tensor, d: Downsampling): Tensor {
  checkRows('poolMean', 'x', x, d.index.shape[0]!);
  return segmentReduce(x, d.order, d.offsets, { reduce: 'mean' });
}

/** Maximum over the children of every coarse voxel: `[N, ...]` to `[M, ...]`. @throws ShapeError, DTypeError. */
export function poolMax(x: Tensor, d: Downsampling): Tensor {
  checkRows('poolMax', 'x', x, d.index.shape[0]!);
  return segmentReduce(x, d.order, d.offsets, { reduce: 'max' });
}

/** Gives every fine voxel the features of its coarse one: `[M, ...]` to `[N, ...]`. @throws ShapeError. */
export function upsampleFeats(x: Tensor, d: Downsampling): Tensor {
  checkRows('upsampleFeats', 'x', x, d.structure.count);
  return gather(x, d.index);
}

/** Gives each of the eight children its parent's features: `[N, ...]` to `[8 N, ...]`. @throws ShapeError. */
export function subdivideFeats(x: Tensor): Tensor {
  if (x.rank === 0) throw shapeMismatch('subdivideFeats', 'x', '[N, ...]', x.shape);
  const [rows, ...trailing] = x.shape as [number, ...number[]];
  using column = x.unsqueeze(1);
  using repeated = column.expand(rows, 8, ...trailing);
  return repeated.reshape(rows * 8, ...trailing);
}
