/** Blocks of the occupancy VAE, on dense volumes with the channels last. */
import { add, conv3d, layerNorm, pixelShuffle, silu, type Tensor } from '@pergola/core';
import { affineParameters, normParameters, type ParameterSpec } from './parameters.ts';
import { consume } from './steps.ts';
import type { Weights } from './weights.ts';

// Normalises the channels of each voxel.
const EPS = 1e-5;

export function denseResBlockParameters(channels: number): ParameterSpec[] {
  return [
    ...normParameters('norm1', channels),
    ...normParameters('norm2', channels),
    ...affineParameters('conv1', [channels, channels, 3, 3, 3], 'f16'),
    ...affineParameters('conv2', [channels, channels, 3, 3, 3], 'f16'),
  ];
}

/** A 3³ convolution that keeps the extents. @param x `[B, X, Y, Z, C]`. */
export function convolveVolume(x: Tensor, weights: Weights): Tensor {
  return conv3d(x, weights.get('weight'), weights.get('bias'), {
    padding: 1,
    layout: 'channelsLast',
  });
}

/** Layer norm over the channels of each voxel. @param x `[B, X, Y, Z, C]`. */
export function channelNorm(x: Tensor, weights: Weights): Tensor {
  return layerNorm(x, weights.get('weight'), weights.get('bias'), { eps: EPS });
}

/** Norm, SiLU, convolution, twice, plus the input. Frees `x`. @param x `[B, X, Y, Z, C]`. */
export function denseResBlock(x: Tensor, weights: Weights): Tensor {
  return consume(x, () => {
    let h = consume(channelNorm(x, weights.at('norm1')), silu);
    h = consume(h, (h) => convolveVolume(h, weights.at('conv1')));
    h = consume(h, (h) => channelNorm(h, weights.at('norm2')));
    h = consume(h, silu);
    h = consume(h, (h) => convolveVolume(h, weights.at('conv2')));
    return consume(h, (h) => add(x, h));
  });
}

export function denseDownsampleParameters(inputs: number, outputs: number): ParameterSpec[] {
  return affineParameters('conv', [outputs, inputs, 2, 2, 2], 'f16');
}

/** Halves the extents by a strided convolution. Frees `x`. */
export function denseDownsample(x: Tensor, weights: Weights): Tensor {
  const conv = weights.at('conv');
  return consume(x, () =>
    conv3d(x, conv.get('weight'), conv.get('bias'), { stride: 2, layout: 'channelsLast' }),
  );
}

export function denseUpsampleParameters(inputs: number, outputs: number): ParameterSpec[] {
  return affineParameters('conv', [8 * outputs, inputs, 3, 3, 3], 'f16');
}

/** Doubles the extents: a convolution makes eight values per channel, which become its 2³ children. Frees `x`. */
export function denseUpsample(x: Tensor, weights: Weights): Tensor {
  return consume(x, () => {
    const children = convolveVolume(x, weights.at('conv'));
    return pixelShuffle(children, { factor: 2, layout: 'channelsLast' });
  });
}
