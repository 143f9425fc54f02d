/** Softmax along an axis. */
import { executeOne } from '../device.ts';
import { FLOAT_DTYPES } from '../dtype.ts';
import type { Op } from '../op.ts';
import { resolveAxis } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { div, sub } from './arithmetic.ts';
import { checkAxis, splitAtAxis } from './axis-split.ts';
import { perInputElement } from './cost.ts';
import { max, sum } from './reduce.ts';
import { exp } from './unary.ts';
import { narrow, widen } from './widen.ts';

/** Attributes of `softmax`. */
export interface SoftmaxAttrs {
  /** Axis whose elements sum to 1; not negative. */
  readonly axis: number;
}

/** The last axis; the public function resolves negative axes. */
export const SOFTMAX_DEFAULTS: SoftmaxAttrs = { axis: -1 };

export const softmaxOp: Op<SoftmaxAttrs> = {
  name: 'softmax',
  family: 'reduce',
  inputs: [{ name: 'x', dtypes: FLOAT_DTYPES, rank: [1, 8] }],
  infer([x], { axis }) {
    checkAxis('softmax', axis, x!.shape.length);
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  reference([x], { axis }, [out]) {
    const { outer, extent, inner } = splitAtAxis(x!.shape, axis);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const start = o * extent * inner + i;
        let highest = -Infinity;
        for (let e = 0; e < extent; e++) highest = Math.max(highest, x!.data[start + e * inner]!);
        let total = 0;
        for (let e = 0; e < extent; e++) total += Math.exp(x!.data[start + e * inner]! - highest);
        for (let e = 0; e < extent; e++) {
          const at = start + e * inner;
          out!.data[at] = Math.exp(x!.data[at]! - highest) / total;
        }
      }
    }
  },
  decompose([x], { axis }) {
    const over = { axes: [axis], keepDims: true };
    const wide = widen(x!);
    const powers = exp(sub(wide, max(wide, over)));
    return [narrow(div(powers, sum(powers, over)), x!.dtype)];
  },
  cost: perInputElement(8),
};

/**
 * `e^x / sum(e^x)` along an axis, without overflow. Computed in f32 or better.
 *
 * A slice that holds NaN or +Infinity, or nothing but -Infinity, gives NaN.
 *
 * @param x `[...]` float.
 * @param options `axis`, default the last; may be negative.
 * @returns the shape and dtype of x.
 * @throws ShapeError, DTypeError.
 */
export function softmax(x: Tensor, options: Partial<SoftmaxAttrs> = {}): Tensor {
  const axis = resolveAxis('softmax', options.axis ?? SOFTMAX_DEFAULTS.axis, x.rank);
  return executeOne(softmaxOp, [x], { axis });
}
