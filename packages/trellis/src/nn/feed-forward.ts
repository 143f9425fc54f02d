/** The perceptron of a transformer block. */
import type { Tensor } from '@pergola/core';
import { linearParameters, type ParameterSpec } from './parameters.ts';
import { project } from './steps.ts';
import type { Weights } from './weights.ts';

export function feedForwardParameters(channels: number, ratio: number): ParameterSpec[] {
  const hidden = Math.floor(channels * ratio);
  return [
    ...linearParameters('mlp.0', channels, hidden, 'f16'),
    ...linearParameters('mlp.2', hidden, channels, 'f16'),
  ];
}

/** Linear, GELU (tanh form), linear. @param x `[N, C]`. */
export function feedForward(x: Tensor, weights: Weights): Tensor {
  return project(project(x, weights.at('mlp.0'), 'geluTanh'), weights.at('mlp.2'));
}
