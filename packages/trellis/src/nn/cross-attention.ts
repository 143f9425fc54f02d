/** Cross-attention to a condition whose keys and values are computed once and used at every step. */
import { attention, type Tensor } from '@pergola/core';
import type { RowLayout } from './packed-rows.ts';
import { linearParameters, type ParameterSpec } from './parameters.ts';
import { normaliseHeads, qkNormParameters } from './self-attention.ts';
import { project } from './steps.ts';
import type { Weights } from './weights.ts';

export function crossAttentionParameters(
  channels: number,
  contextChannels: number,
  heads: number,
  normaliseQk: boolean,
): ParameterSpec[] {
  return [
    ...linearParameters('to_q', channels, channels, 'f16'),
    ...linearParameters('to_kv', contextChannels, 2 * channels, 'f16'),
    ...(normaliseQk ? qkNormParameters(heads, channels) : []),
    ...linearParameters('to_out', channels, channels, 'f16'),
  ];
}

/** Keys and values of one block: `[batchSize · L, heads, D]` each. */
export interface ContextKeys {
  readonly kind: 'keys';
  readonly k: Tensor;
  readonly v: Tensor;
  readonly layout: RowLayout;
}

/**
 * What cross-attention to a condition of zeros returns for every query, `[1, C]`: all values are the value bias, so
 * their weighted mean is too, whatever the weights.
 */
export interface ContextConstant {
  readonly kind: 'constant';
  readonly row: Tensor;
}

export type Context = ContextKeys | ContextConstant;

/**
 * Keys and values of a condition.
 *
 * @param condition `[batchSize · L, Cctx]` packed rows, as `layout` says.
 */
export function contextKeys(
  condition: Tensor,
  layout: RowLayout,
  heads: number,
  weights: Weights,
): ContextKeys {
  const kv = project(condition, weights.at('to_kv'));
  const [rows, width] = [kv.shape[0]!, kv.shape[1]! / 2];
  const [k, v] = kv.reshape(rows, 2, heads, width / heads).unbind(1) as [Tensor, Tensor];
  return { kind: 'keys', k: normaliseHeads(k, weights, 'k_rms_norm.gamma'), v, layout };
}

/** The constant answer to a condition of zeros. */
export function contextOfZeros(weights: Weights): ContextConstant {
  const bias = weights.get('to_kv.bias');
  const valueBias = bias.slice(0, bias.size / 2).reshape(1, -1);
  return { kind: 'constant', row: project(valueBias, weights.at('to_out')) };
}

/**
 * Every row attends to the condition of its sequence.
 *
 * @param x `[N, C]` packed rows.
 * @param queries as many sequences as there are conditions: the batch elements, or all rows as one sequence where they
 *   share a single condition, so that no key is repeated.
 * @returns `[N, C]`.
 */
export function crossAttention(
  x: Tensor,
  queries: RowLayout,
  context: ContextKeys,
  heads: number,
  weights: Weights,
): Tensor {
  const q = project(x, weights.at('to_q')).reshape(x.shape[0]!, heads, -1);
  const { k, v, layout } = context;
  const mixed = attention(normaliseHeads(q, weights, 'q_rms_norm.gamma'), k, v, {
    offsetsQ: queries.offsets,
    offsetsK: layout.offsets,
    maxQ: queries.maxLength,
    maxK: layout.maxLength,
  });
  return project(mixed.reshape(...x.shape), weights.at('to_out'));
}
