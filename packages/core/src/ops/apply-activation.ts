/** Activations of fused ops as separate ops, for decompositions. */
import type { Tensor } from '../tensor.ts';
import type { Activation } from './activation.ts';
import { gelu } from './elementwise.ts';
import { relu, silu } from './unary.ts';

/** The tensor with the activation applied; the tensor itself for `none`. */
export function applyActivation(x: Tensor, activation: Activation): Tensor {
  switch (activation) {
    case 'none':
      return x;
    case 'relu':
      return relu(x);
    case 'silu':
      return silu(x);
    case 'gelu':
      return gelu(x);
    case 'geluTanh':
      return gelu(x, { approximate: 'tanh' });
    case 'quickGelu':
      return gelu(x, { approximate: 'quick' });
    default:
      return activation satisfies never;
  }
}
