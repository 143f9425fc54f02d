/**
 * A MinkUNet-style segmentation network (Choy et al., arXiv 1904.08755) on a voxelised scan: strided convolutions go
 * down, inverse convolutions come back to exactly the voxels of each level, and skips join the two.
 */
import { concat, linear, relu, TorchGenerator, type Device, type Tensor } from '@pergola/core';
import {
  inverseConv3d,
  sparseConv3d,
  sparseGroupNorm,
  SparseTensor,
  submConv3d,
  type SparseStructure,
  type StridedOptions,
} from '@pergola/sparse';

/** Channels of the network. Widths are multiples of 8, from the finest level to the coarsest. */
export interface MinkUNetConfig {
  readonly inputs: number;
  readonly classes: number;
  readonly widths: readonly number[];
}

export type Weights = ReadonlyMap<string, Tensor>;

const HALVE: StridedOptions = { kernelSize: 2, stride: 2, spatialShape: 'unbounded' };

/** Random weights; a trained network has the same names and shapes. */
export function randomWeights(device: Device, config: MinkUNetConfig, seed = 0): Weights {
  const { inputs, classes, widths } = config;
  const random = new TorchGenerator(seed);
  const weights = new Map<string, Tensor>();
  const add = (name: string, shape: number[], fanIn: number): void => {
    const values = random.randn(shape).map((value) => value / Math.sqrt(fanIn));
    weights.set(name, device.tensor(values, shape));
  };
  const conv = (name: string, from: number, to: number, k: number): void =>
    add(name, [to, k, k, k, from], from * k ** 3);
  conv('stem', inputs, widths[0]!, 3);
  for (let level = 1; level < widths.length; level++) {
    const [fine, coarse] = [widths[level - 1]!, widths[level]!];
    conv(`down.${level}`, fine, coarse, 2);
    conv(`encode.${level}`, coarse, coarse, 3);
    conv(`up.${level}`, coarse, fine, 2);
    conv(`decode.${level}`, 2 * fine, fine, 3);
  }
  add('head', [classes, widths[0]!], widths[0]!);
  return weights;
}

/** Builds what the forward pass reads: once per scan. */
export async function prepare(structure: SparseStructure, levels: number): Promise<void> {
  let current = structure;
  for (let level = 0; level < levels; level++) {
    await current.kernelMap({ kernelSize: 3 });
    if (level + 1 < levels) current = (await current.strided(HALVE)).structure;
  }
}

function normalized(x: Tensor, structure: SparseStructure): Tensor {
  const { offsets } = structure;
  return relu(sparseGroupNorm(x, undefined, undefined, offsets, { groups: 8 }));
}

function block(x: Tensor, weight: Tensor, structure: SparseStructure): Tensor {
  const map = structure.built.kernelMap({ kernelSize: 3 });
  return normalized(submConv3d(x, weight, undefined, map), structure);
}

/** Class scores `[N, classes]` of every voxel; `prepare` was awaited for its structure. */
export function forward(scan: SparseTensor, weights: Weights, config: MinkUNetConfig): Tensor {
  const { widths } = config;
  const weight = (name: string): Tensor => weights.get(name)!;
  const structures = [scan.structure];
  const skips = [block(scan.feats, weight('stem'), scan.structure)];
  for (let level = 1; level < widths.length; level++) {
    const map = structures[level - 1]!.built.strided(HALVE);
    const down = sparseConv3d(skips[level - 1]!, weight(`down.${level}`), undefined, map);
    const x = normalized(down, map.structure);
    structures.push(map.structure);
    skips.push(block(x, weight(`encode.${level}`), map.structure));
  }
  let x = skips[widths.length - 1]!;
  for (let level = widths.length - 1; level >= 1; level--) {
    const fine = structures[level - 1]!;
    const up = inverseConv3d(x, weight(`up.${level}`), undefined, fine.built.strided(HALVE));
    x = concat([normalized(up, fine), skips[level - 1]!], { axis: 1 });
    x = block(x, weight(`decode.${level}`), fine);
  }
  return linear(x, weight('head'));
}
