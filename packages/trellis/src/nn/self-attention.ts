/** Multi-head self-attention over packed rows. */
import { attention, qkNorm, type Tensor } from '@pergola/core';
import type { RowLayout } from './packed-rows.ts';
import { linearParameters, type ParameterSpec } from './parameters.ts';
import { project } from './steps.ts';
import type { Weights } from './weights.ts';

/** Per-head scale of the query and key norms, `[heads, C / heads]`. */
export function qkNormParameters(heads: number, channels: number): ParameterSpec[] {
  const shape = [heads, channels / heads];
  return [
    { name: 'q_rms_norm.gamma', shape, dtype: 'f32' },
    { name: 'k_rms_norm.gamma', shape, dtype: 'f32' },
  ];
}

export function selfAttentionParameters(
  channels: number,
  heads: number,
  normaliseQk: boolean,
): ParameterSpec[] {
  return [
    ...linearParameters('to_qkv', channels, 3 * channels, 'f16'),
    ...(normaliseQk ? qkNormParameters(heads, channels) : []),
    ...linearParameters('to_out', channels, channels, 'f16'),
  ];
}

/**
 * Fused projections q, k, v of rows.
 *
 * @param qkv `[N, 3C]`: q, k and v side by side, each head-major.
 * @returns three views `[N, heads, C / heads]`.
 */
export function splitHeads(qkv: Tensor, heads: number): [q: Tensor, k: Tensor, v: Tensor] {
  const [rows, width] = [qkv.shape[0]!, qkv.shape[1]! / 3];
  return qkv.reshape(rows, 3, heads, width / heads).unbind(1) as [Tensor, Tensor, Tensor];
}

/** Normalises queries or keys where the layer has a scale for them. */
export function normaliseHeads(x: Tensor, weights: Weights, name: string): Tensor {
  return weights.has(name) ? qkNorm(x, weights.get(name)) : x;
}

/**
 * Every row attends to the rows of its own sequence.
 *
 * @param x `[N, C]`, in the order of `sequences`.
 * @returns `[N, C]`.
 */
export function selfAttention(
  x: Tensor,
  sequences: Pick<RowLayout, 'offsets' | 'maxLength'>,
  heads: number,
  weights: Weights,
): Tensor {
  const { offsets, maxLength } = sequences;
  const [q, k, v] = splitHeads(project(x, weights.at('to_qkv')), heads);
  const mixed = attention(
    normaliseHeads(q, weights, 'q_rms_norm.gamma'),
    normaliseHeads(k, weights, 'k_rms_norm.gamma'),
    v,
    { offsetsQ: offsets, offsetsK: offsets, maxQ: maxLength, maxK: maxLength },
  );
  return project(mixed.reshape(...x.shape), weights.at('to_out'));
}
