/** Small steps that every network takes: change of dtype, chains without leftovers, linear layers by name. */
import { cast, linear, type DType, type Activation, type Tensor } from '@pergola/core';
import type { Weights } from './weights.ts';

/** The tensor in another dtype; a second handle on the same elements when it has that dtype. */
export function toDType(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x.alias() : cast(x, dtype);
}

/**
 * One step of a chain: runs `body` on `x` in a scope of its own, then frees `x`, whose value nobody else needs.
 *
 * @param body returns a new tensor or a view, never `x` itself.
 */
export function consume(x: Tensor, body: (x: Tensor) => Tensor): Tensor {
  const out = x.device.run(() => body(x));
  x.dispose();
  return out;
}

/** `x · weightᵀ + bias` with the `weight` and `bias` found in `weights`. @param x `[N, in]`. */
export function project(x: Tensor, weights: Weights, activation: Activation = 'none'): Tensor {
  return linear(x, weights.get('weight'), weights.get('bias'), { activation });
}
