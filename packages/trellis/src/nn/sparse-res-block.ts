/** The residual block of the structured-latent flow, with an optional change of resolution. */
import { add, layerNorm, layerNormModulate, silu, type Tensor } from '@pergola/core';
import {
  downsampleFeats,
  submConv3d,
  upsampleFeats,
  type Downsampling,
  type KernelMap,
  type SparseStructure,
} from '@pergola/sparse';
import {
  affineParameters,
  linearParameters,
  normParameters,
  type ParameterSpec,
} from './parameters.ts';
import { consume, project } from './steps.ts';
import type { Weights } from './weights.ts';

const EPS = 1e-6;

/** Channels of a block. */
export interface SparseResBlockConfig {
  readonly inputs: number;
  readonly outputs: number;
  /** Width of the time embedding. */
  readonly embedding: number;
}

export function sparseResBlockParameters(config: SparseResBlockConfig): ParameterSpec[] {
  const { inputs, outputs, embedding } = config;
  return [
    ...normParameters('norm1', inputs),
    ...affineParameters('conv1.conv', [outputs, 3, 3, 3, inputs], 'f16'),
    ...affineParameters('conv2.conv', [outputs, 3, 3, 3, outputs], 'f16'),
    ...linearParameters('emb_layers.1', embedding, 2 * outputs, 'f16'),
    ...(inputs === outputs ? [] : linearParameters('skip_connection', inputs, outputs, 'f16')),
  ];
}

/** A set of voxels with its 3³ neighbourhoods. */
export interface Grid {
  readonly structure: SparseStructure;
  readonly map: KernelMap;
}

/** A submanifold convolution by name. */
export function convolve(x: Tensor, weights: Weights, map: KernelMap): Tensor {
  return submConv3d(x, weights.get('weight'), weights.get('bias'), map);
}

/** Where a block's input lives in relation to its output. */
export type Resampling =
  | { readonly kind: 'same' }
  | { readonly kind: 'down'; readonly down: Downsampling }
  | { readonly kind: 'up'; readonly down: Downsampling };

/**
 * Runs the block and frees `x`.
 *
 * A downsampled voxel is the sum of its children over their count plus one: the published weights were trained with
 * a mean that counts an empty start value.
 *
 * @param x `[N, inputs]` on the grid before resampling.
 * @param time SiLU of the time embedding, `[B, embedding]`.
 * @param grid voxels of the output.
 * @returns `[N', outputs]`.
 */
export function sparseResBlock(
  x: Tensor,
  time: Tensor,
  grid: Grid,
  resampling: Resampling,
  weights: Weights,
): Tensor {
  return consume(x, () => {
    const input =
      resampling.kind === 'down' ? downsampleFeats(x, resampling.down, { divisor: 'count+1' }) : x;
    // Norm, activation and skip act on single rows, so an upsampling block runs them on the coarse grid.
    const raise = (rows: Tensor): Tensor =>
      resampling.kind === 'up' ? upsampleFeats(rows, resampling.down) : rows.alias();
    const norm = weights.at('norm1');
    const normal = layerNorm(input, norm.get('weight'), norm.get('bias'), { eps: EPS });
    let h = consume(normal, (h) => raise(silu(h)));
    h = consume(h, (h) => convolve(h, weights.at('conv1.conv'), grid.map));
    h = consume(h, (h) => {
      const [scale, shift] = project(time, weights.at('emb_layers.1')).chunk(2) as [Tensor, Tensor];
      return layerNormModulate(h, shift, scale, grid.structure.offsets, {
        eps: EPS,
        activation: 'silu',
      });
    });
    h = consume(h, (h) => convolve(h, weights.at('conv2.conv'), grid.map));
    return consume(h, (h) => {
      const skip = weights.has('skip_connection.weight')
        ? project(input, weights.at('skip_connection'))
        : input;
      return add(h, raise(skip));
    });
  });
}
