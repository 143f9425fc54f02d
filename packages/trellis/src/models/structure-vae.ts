/** What encoder and decoder of the occupancy grid share: the chain of blocks and the output layer. */
import { groupNorm, silu, type Tensor } from '@pergola/core';
import {
  channelNorm,
  convolveVolume,
  denseDownsample,
  denseDownsampleParameters,
  denseResBlock,
  denseResBlockParameters,
  denseUpsample,
  denseUpsampleParameters,
} from '../nn/dense-res-block.ts';
import {
  affineParameters,
  blockParameters,
  normParameters,
  prefixed,
  type ParameterSpec,
} from '../nn/parameters.ts';
import { consume, toDType } from '../nn/steps.ts';
import type { Weights } from '../nn/weights.ts';
import type { StructureVaeConfig } from './config.ts';

// Of the output layer, when its norm is over groups.
const NORM_GROUPS = 32;
const NORM_EPS = 1e-5;

/** One entry of the numbered `blocks`. */
export interface ChainBlock {
  readonly kind: 'residual' | 'down' | 'up';
  readonly inputs: number;
  readonly outputs: number;
}

/** The numbered blocks: per level its residual blocks, then the step to the next level. */
export function blockChain(config: StructureVaeConfig, step: 'down' | 'up'): ChainBlock[] {
  const chain: ChainBlock[] = [];
  config.channels.forEach((width, level) => {
    for (let i = 0; i < config.num_res_blocks; i++) {
      chain.push({ kind: 'residual', inputs: width, outputs: width });
    }
    const next = config.channels[level + 1];
    if (next !== undefined) chain.push({ kind: step, inputs: width, outputs: next });
  });
  return chain;
}

export function chainParameters(chain: readonly ChainBlock[]): ParameterSpec[] {
  return chain.flatMap(({ kind, inputs, outputs }, i) => {
    if (kind === 'residual') return prefixed(`blocks.${i}`, denseResBlockParameters(inputs));
    const step = kind === 'down' ? denseDownsampleParameters : denseUpsampleParameters;
    return prefixed(`blocks.${i}`, step(inputs, outputs));
  });
}

export function middleParameters(channels: number, blocks: number): ParameterSpec[] {
  return blockParameters('middle_block', blocks, () => denseResBlockParameters(channels));
}

export function outLayerParameters(inputs: number, outputs: number): ParameterSpec[] {
  return [
    ...normParameters('out_layer.0', inputs),
    ...affineParameters('out_layer.2', [outputs, inputs, 3, 3, 3], 'f32'),
  ];
}

/** Runs the numbered blocks and frees `x`. @param x `[B, X, Y, Z, C]`. */
export function runChain(x: Tensor, chain: readonly ChainBlock[], weights: Weights): Tensor {
  const run = { residual: denseResBlock, down: denseDownsample, up: denseUpsample };
  return chain.reduce((h, { kind }, i) => run[kind](h, weights.at(`blocks.${i}`)), x);
}

/** Runs the middle blocks and frees `x`. */
export function runMiddle(x: Tensor, blocks: number, weights: Weights): Tensor {
  let h = x;
  for (let i = 0; i < blocks; i++) h = denseResBlock(h, weights.at(`middle_block.${i}`));
  return h;
}

/**
 * Norm, SiLU and convolution in f32; frees `x`.
 *
 * @param x `[B, X, Y, Z, C]`.
 * @returns f32 `[B, outputs, X, Y, Z]`.
 */
export function runOutLayer(x: Tensor, config: StructureVaeConfig, weights: Weights): Tensor {
  const norm = weights.at('out_layer.0');
  let h = consume(x, (x) => toDType(x, 'f32'));
  h = consume(h, (h) =>
    config.norm_type === 'group' ? groupedNorm(h, norm) : channelNorm(h, norm),
  );
  h = consume(h, silu);
  h = consume(h, (h) => convolveVolume(h, weights.at('out_layer.2')));
  return consume(h, (h) => h.permute(0, 4, 1, 2, 3).toContiguous());
}

function groupedNorm(x: Tensor, weights: Weights): Tensor {
  const first = x.permute(0, 4, 1, 2, 3);
  const [weight, bias] = [weights.get('weight'), weights.get('bias')];
  const normal = groupNorm(first, weight, bias, { groups: NORM_GROUPS, eps: NORM_EPS });
  return normal.permute(0, 2, 3, 4, 1).toContiguous();
}

/** A volume `[B, C, X, Y, Z]` with its channels last, and through the f32 input layer, in the torso's dtype. */
export function runInputLayer(x: Tensor, weights: Weights, dtype: Tensor['dtype']): Tensor {
  return x.device.run(() => {
    const h = convolveVolume(x.permute(0, 2, 3, 4, 1).toContiguous(), weights.at('input_layer'));
    return toDType(h, dtype);
  });
}
