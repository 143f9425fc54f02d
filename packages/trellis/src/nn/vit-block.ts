/** The transformer block of DINOv2: pre-norm, with a learned scale on each branch. */
import { attention, gatedResidual, layerNorm, type Tensor } from '@pergola/core';
import type { RowLayout } from './packed-rows.ts';
import { linearParameters, normParameters, prefixed, type ParameterSpec } from './parameters.ts';
import { splitHeads } from './self-attention.ts';
import { consume, project } from './steps.ts';
import type { Weights } from './weights.ts';

const EPS = 1e-6;

export function vitBlockParameters(channels: number, mlpRatio: number): ParameterSpec[] {
  const hidden = Math.floor(channels * mlpRatio);
  const scale: ParameterSpec = { name: 'gamma', shape: [channels], dtype: 'f32' };
  return [
    ...normParameters('norm1', channels),
    ...linearParameters('attn.qkv', channels, 3 * channels, 'f32'),
    ...linearParameters('attn.proj', channels, channels, 'f32'),
    ...prefixed('ls1', [scale]),
    ...normParameters('norm2', channels),
    ...linearParameters('mlp.fc1', channels, hidden, 'f32'),
    ...linearParameters('mlp.fc2', hidden, channels, 'f32'),
    ...prefixed('ls2', [scale]),
  ];
}

function normalise(x: Tensor, weights: Weights): Tensor {
  return layerNorm(x, weights.get('weight'), weights.get('bias'), { eps: EPS });
}

/**
 * Runs the block on packed rows `x` `[N, C]` and frees `x`.
 *
 * @param rows the pictures.
 * @param all the same rows as one element, whose gate is then the scale of a branch.
 */
export function vitBlock(
  x: Tensor,
  rows: RowLayout,
  all: RowLayout,
  heads: number,
  weights: Weights,
): Tensor {
  const scaledResidual = (x: Tensor, h: Tensor, scale: Tensor): Tensor =>
    gatedResidual(x, h, scale.reshape(1, -1), all.offsets);
  return consume(x, () => {
    const attended = x.device.run(() => {
      const normal = normalise(x, weights.at('norm1'));
      const [q, k, v] = splitHeads(project(normal, weights.at('attn.qkv')), heads);
      const { offsets, maxLength: max } = rows;
      const sequences = { offsetsQ: offsets, offsetsK: offsets, maxQ: max, maxK: max };
      const mixed = attention(q, k, v, sequences).reshape(...x.shape);
      return scaledResidual(x, project(mixed, weights.at('attn.proj')), weights.get('ls1.gamma'));
    });
    return consume(attended, (h) => {
      const hidden = project(normalise(h, weights.at('norm2')), weights.at('mlp.fc1'), 'gelu');
      return scaledResidual(h, project(hidden, weights.at('mlp.fc2')), weights.get('ls2.gamma'));
    });
  });
}
