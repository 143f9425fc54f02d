/**
 * The transformer block of both flow networks: self-attention and perceptron modulated by the flow time (adaLN-zero),
 * cross-attention to the condition in between.
 *
 * @see Peebles and Xie, Scalable Diffusion Models with Transformers, arXiv 2212.09748
 * @see Xiang et al., TRELLIS, arXiv 2412.01506
 */
import { add, gatedResidual, layerNorm, layerNormModulate, type Tensor } from '@pergola/core';
import { crossAttention, crossAttentionParameters, type Context } from './cross-attention.ts';
import { feedForward, feedForwardParameters } from './feed-forward.ts';
import type { RowLayout } from './packed-rows.ts';
import { linearParameters, normParameters, prefixed, type ParameterSpec } from './parameters.ts';
import { selfAttention, selfAttentionParameters } from './self-attention.ts';
import { consume, project } from './steps.ts';
import type { Weights } from './weights.ts';

const EPS = 1e-6;

/** Sizes of the block. */
export interface ModulatedBlockConfig {
  readonly channels: number;
  readonly contextChannels: number;
  readonly heads: number;
  readonly mlpRatio: number;
  readonly qkRmsNorm: boolean;
  readonly qkRmsNormCross: boolean;
  /** One modulation serves all blocks; the block has no layer for its own. */
  readonly shareModulation: boolean;
}

export function modulatedBlockParameters(config: ModulatedBlockConfig): ParameterSpec[] {
  const { channels, contextChannels, heads } = config;
  return [
    ...normParameters('norm2', channels),
    ...prefixed('self_attn', selfAttentionParameters(channels, heads, config.qkRmsNorm)),
    ...prefixed(
      'cross_attn',
      crossAttentionParameters(channels, contextChannels, heads, config.qkRmsNormCross),
    ),
    ...prefixed('mlp', feedForwardParameters(channels, config.mlpRatio)),
    ...(config.shareModulation
      ? []
      : linearParameters('adaLN_modulation.1', channels, 6 * channels, 'f16')),
  ];
}

/** What all blocks of one forward pass share. */
export interface BlockInputs {
  /** Sequences of the self-attention: the batch elements. */
  readonly rows: RowLayout;
  /** Sequences of the cross-attention; see `crossAttention`. */
  readonly queries: RowLayout;
  /** SiLU of the time embedding, `[B, C]`; blocks with their own modulation project it. */
  readonly time: Tensor;
  /** Shared modulation `[B, 6C]`, where the network has one. */
  readonly modulation?: Tensor;
  readonly heads: number;
}

/**
 * Runs the block on packed rows `x` `[N, C]` and frees `x`.
 *
 * The six parts of the modulation are shift, scale, gate of the self-attention, then of the perceptron. The
 * cross-attention is neither modulated nor gated, and its norm alone is affine.
 */
export function modulatedBlock(
  x: Tensor,
  context: Context,
  inputs: BlockInputs,
  weights: Weights,
): Tensor {
  return consume(x, () => {
    const { rows, queries, heads } = inputs;
    const { offsets } = rows;
    const modulation = inputs.modulation ?? project(inputs.time, weights.at('adaLN_modulation.1'));
    const [shift1, scale1, gate1, shift2, scale2, gate2] = modulation.chunk(6) as SixTensors;

    let h = x.device.run(() => {
      const normal = layerNormModulate(x, shift1, scale1, offsets, { eps: EPS });
      const mixed = selfAttention(normal, rows, heads, weights.at('self_attn'));
      return gatedResidual(x, mixed, gate1, offsets);
    });
    h = consume(h, (h) => {
      if (context.kind === 'constant') return add(h, context.row);
      const norm = weights.at('norm2');
      const normal = layerNorm(h, norm.get('weight'), norm.get('bias'), { eps: EPS });
      return add(h, crossAttention(normal, queries, context, heads, weights.at('cross_attn')));
    });
    return consume(h, (h) => {
      const normal = layerNormModulate(h, shift2, scale2, offsets, { eps: EPS });
      return gatedResidual(h, feedForward(normal, weights.at('mlp')), gate2, offsets);
    });
  });
}

type SixTensors = [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
