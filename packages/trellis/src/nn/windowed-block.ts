/** The transformer block of the structured-latent VAE: attention inside windows, no modulation, no condition. */
import { add, gather, layerNorm, type Tensor } from '@pergola/core';
import type { AttentionPartition } from '@pergola/sparse';
import { feedForward, feedForwardParameters } from './feed-forward.ts';
import type { RowLayout } from './packed-rows.ts';
import { prefixed, type ParameterSpec } from './parameters.ts';
import { selfAttention, selfAttentionParameters } from './self-attention.ts';
import { consume } from './steps.ts';
import type { Weights } from './weights.ts';

const EPS = 1e-6;

export function windowedBlockParameters(
  channels: number,
  heads: number,
  mlpRatio: number,
  qkRmsNorm: boolean,
): ParameterSpec[] {
  return [
    ...prefixed('attn', selfAttentionParameters(channels, heads, qkRmsNorm)),
    ...prefixed('mlp', feedForwardParameters(channels, mlpRatio)),
  ];
}

/** Which rows attend to each other: those of a batch element, or those of a window. */
export type AttentionScope = RowLayout | AttentionPartition;

/**
 * Runs the block on rows `x` `[N, C]` and frees `x`.
 *
 * With windows, the rows are put into window order before the projections, which act on single rows, and back after.
 */
export function windowedBlock(
  x: Tensor,
  scope: AttentionScope,
  heads: number,
  weights: Weights,
): Tensor {
  return consume(x, () => {
    const mixed = x.device.run(() => {
      const normal = layerNorm(x, undefined, undefined, { eps: EPS });
      const attn = weights.at('attn');
      if (!('order' in scope)) return add(x, selfAttention(normal, scope, heads, attn));
      const grouped = selfAttention(gather(normal, scope.order), scope, heads, attn);
      return add(x, gather(grouped, scope.inverse));
    });
    return consume(mixed, (h) => {
      const normal = layerNorm(h, undefined, undefined, { eps: EPS });
      return add(h, feedForward(normal, weights.at('mlp')));
    });
  });
}
