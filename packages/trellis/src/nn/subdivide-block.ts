/** The block that doubles the resolution of sparse voxels on the way to a mesh. */
import { add, type Tensor } from '@pergola/core';
import {
  sparseGroupNorm,
  subdivideFeats,
  subdividedConv3d,
  submConv3d,
  type KernelMap,
  type SparseStructure,
} from '@pergola/sparse';
import { affineParameters, normParameters, type ParameterSpec } from './parameters.ts';
import { convolve, type Grid } from './sparse-res-block.ts';
import { consume } from './steps.ts';
import type { Weights } from './weights.ts';

const GROUPS = 32;
const EPS = 1e-5;

/**
 * How the buffer of the 1³ skip convolution is read: as `[outputs, inputs]`, or the same memory as
 * `[inputs, outputs]`. See `submConv3d`.
 */
export type PointwiseReading = 'conventional' | 'reinterpreted';

export function subdivideBlockParameters(inputs: number, outputs: number): ParameterSpec[] {
  return [
    ...normParameters('act_layers.0', inputs),
    ...affineParameters('out_layers.0.conv', [outputs, 3, 3, 3, inputs], 'f16'),
    ...normParameters('out_layers.1', outputs),
    ...affineParameters('out_layers.3.conv', [outputs, 3, 3, 3, outputs], 'f16'),
    ...(inputs === outputs
      ? []
      : affineParameters('skip_connection.conv', [outputs, 1, 1, 1, inputs], 'f16')),
  ];
}

function normSilu(x: Tensor, structure: SparseStructure, weights: Weights): Tensor {
  return sparseGroupNorm(x, weights.get('weight'), weights.get('bias'), structure.offsets, {
    groups: GROUPS,
    eps: EPS,
    activation: 'silu',
  });
}

/**
 * Runs the block and frees `x`.
 *
 * @param x `[N, inputs]` on `parents`.
 * @param children the subdivided grid.
 * @returns `[8 N, outputs]`, the children of a voxel in consecutive rows.
 */
export function subdivideBlock(
  x: Tensor,
  parents: Grid,
  children: Grid,
  reading: PointwiseReading,
  weights: Weights,
): Tensor {
  return consume(x, () => {
    let h = normSilu(x, parents.structure, weights.at('act_layers.0'));
    h = consume(h, (h) => convolveSubdivided(h, weights.at('out_layers.0.conv'), parents.map));
    h = consume(h, (h) => normSilu(h, children.structure, weights.at('out_layers.1')));
    h = consume(h, (h) => convolve(h, weights.at('out_layers.3.conv'), children.map));
    // A 1³ convolution acts on single rows: run on the parents, its result is the same for all children.
    return consume(h, (h) => add(h, subdivideFeats(skip(x, reading, weights))));
  });
}

function convolveSubdivided(x: Tensor, weights: Weights, map: KernelMap): Tensor {
  return subdividedConv3d(x, weights.get('weight'), weights.get('bias'), map);
}

function skip(x: Tensor, pointwiseWeight: PointwiseReading, weights: Weights): Tensor {
  if (!weights.has('skip_connection.conv.weight')) return x;
  const conv = weights.at('skip_connection.conv');
  return submConv3d(x, conv.get('weight'), conv.get('bias'), undefined, { pointwiseWeight });
}
