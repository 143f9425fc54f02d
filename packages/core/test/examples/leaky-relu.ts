/** The worked example of docs/adding-an-op.md: an activation with one attribute. */
import {
  add,
  executeOne,
  FLOAT_DTYPES,
  InputError,
  minimum,
  mul,
  perOutputElement,
  relu,
  type Op,
  type Tensor,
} from '@pergola/core';
import { leakyReluKernel } from './leaky-relu-cpu.ts';

/** Attributes of `leakyRelu`. */
export interface LeakyReluAttrs {
  /** Factor of negative elements. */
  readonly slope: number;
}

export const LEAKY_RELU_DEFAULTS: LeakyReluAttrs = { slope: 0.01 };

export const leakyReluOp: Op<LeakyReluAttrs> = {
  name: 'leakyRelu',
  family: 'elementwise',
  inputs: [{ name: 'x', dtypes: FLOAT_DTYPES }],
  infer([x], { slope }) {
    if (!Number.isFinite(slope)) {
      throw new InputError(`leakyRelu: slope must be a finite number, got ${slope}.`);
    }
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  reference([x], { slope }, [out]) {
    const [source, target] = [x!.data, out!.data];
    for (let i = 0; i < target.length; i++) {
      const value = source[i]!;
      target[i] = value < 0 ? slope * value : value;
    }
  },
  decompose: ([x], { slope }) => [add(relu(x!), mul(minimum(x!, 0), slope))],
  cost: perOutputElement(2),
  kernels: { cpu: leakyReluKernel },
};

/**
 * `x` where it is positive, else `slope * x`; NaN stays NaN.
 *
 * @param x `[...]` float.
 * @param options `slope`, default 0.01.
 * @returns the shape and dtype of x.
 * @throws DTypeError, InputError.
 */
export function leakyRelu(x: Tensor, options: Partial<LeakyReluAttrs> = {}): Tensor {
  return executeOne(leakyReluOp, [x], { ...LEAKY_RELU_DEFAULTS, ...options });
}
