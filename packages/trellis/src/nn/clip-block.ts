/** The transformer block of CLIP's text tower: pre-norm, causal. */
import { add, attention, layerNorm, type Tensor } from '@pergola/core';
import type { RowLayout } from './packed-rows.ts';
import { linearParameters, normParameters, type ParameterSpec } from './parameters.ts';
import { consume, project } from './steps.ts';
import type { Weights } from './weights.ts';

/** Sizes of the block. */
export interface ClipBlockConfig {
  readonly heads: number;
  readonly eps: number;
  readonly activation: 'quickGelu' | 'gelu';
}

export function clipBlockParameters(channels: number, hidden: number): ParameterSpec[] {
  return [
    ...['k_proj', 'v_proj', 'q_proj', 'out_proj'].flatMap((name) =>
      linearParameters(`self_attn.${name}`, channels, channels, 'f32'),
    ),
    ...normParameters('layer_norm1', channels),
    ...linearParameters('mlp.fc1', channels, hidden, 'f32'),
    ...linearParameters('mlp.fc2', hidden, channels, 'f32'),
    ...normParameters('layer_norm2', channels),
  ];
}

/** Runs the block on packed rows `x` `[N, C]` and frees `x`. Row i of a sequence sees the rows up to i. */
export function clipBlock(
  x: Tensor,
  rows: RowLayout,
  config: ClipBlockConfig,
  weights: Weights,
): Tensor {
  const { heads, eps, activation } = config;
  const normalise = (h: Tensor, norm: Weights): Tensor =>
    layerNorm(h, norm.get('weight'), norm.get('bias'), { eps });
  return consume(x, () => {
    const attended = x.device.run(() => {
      const normal = normalise(x, weights.at('layer_norm1'));
      const attn = weights.at('self_attn');
      const split = (name: string): Tensor =>
        project(normal, attn.at(name)).reshape(x.shape[0]!, heads, -1);
      const { offsets, maxLength: max } = rows;
      const mixed = attention(split('q_proj'), split('k_proj'), split('v_proj'), {
        offsetsQ: offsets,
        offsetsK: offsets,
        maxQ: max,
        maxK: max,
        causal: true,
      });
      return add(x, project(mixed.reshape(...x.shape), attn.at('out_proj')));
    });
    return consume(attended, (h) => {
      const normal = normalise(h, weights.at('layer_norm2'));
      const hidden = project(normal, weights.at('mlp.fc1'), activation);
      return add(h, project(hidden, weights.at('mlp.fc2')));
    });
  });
}
