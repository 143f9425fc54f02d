/** Positions of extreme elements: `argmax` and `argmin`. */
import { executeOne } from '../device.ts';
import { NUMERIC_DTYPES } from '../dtype.ts';
import { shapeMismatch, type Op } from '../op.ts';
import { resolveAxis, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkAxis, splitAtAxis } from './axis-split.ts';
import { perInputElement } from './cost.ts';

/** Attributes of `argmax` and `argmin`. */
export interface ArgReduceAttrs {
  /** Axis to search and to remove; not negative. */
  readonly axis: number;
}

/** The last axis; the public functions resolve negative axes. */
export const ARG_REDUCE_DEFAULTS: ArgReduceAttrs = { axis: -1 };

/** @param sign 1 for the largest element, -1 for the smallest. */
function argReduceOp(name: string, sign: 1 | -1): Op<ArgReduceAttrs> {
  return {
    name,
    family: 'reduce',
    inputs: [{ name: 'x', dtypes: NUMERIC_DTYPES, rank: [1, 8] }],
    infer([x], { axis }) {
      checkAxis(name, axis, x!.shape.length);
      const shape = x!.shape.filter((_, i) => i !== axis);
      if (x!.shape[axis] === 0 && sizeOf(shape) > 0) {
        throw shapeMismatch(name, 'x', `at least 1 long along axis ${axis}`, x!.shape);
      }
      return [{ dtype: 'i32', shape }];
    },
    reference([x], { axis }, [out]) {
      const { outer, extent, inner } = splitAtAxis(x!.shape, axis);
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < inner; i++) {
          let best = 0;
          let bestValue = NaN;
          for (let e = 0; e < extent; e++) {
            const value = sign * x!.data[(o * extent + e) * inner + i]!;
            // NaN counts as the extreme, and the first of equals stays.
            const better = value > bestValue || (value !== value && bestValue === bestValue);
            if (e > 0 && !better) continue;
            best = e;
            bestValue = value;
          }
          out!.data[o * inner + i] = best;
        }
      }
    },
    cost: perInputElement(1),
  };
}

export const argmaxOp: Op<ArgReduceAttrs> = argReduceOp('argmax', 1);

/**
 * Index of the largest element along an axis; the first of equals. NaN counts as largest.
 *
 * @param x `[...]` numeric, at least 1 long along the axis.
 * @param options `axis`, default the last; may be negative.
 * @returns i32, x without the axis.
 * @throws ShapeError, DTypeError.
 */
export function argmax(x: Tensor, options: Partial<ArgReduceAttrs> = {}): Tensor {
  const axis = resolveAxis('argmax', options.axis ?? ARG_REDUCE_DEFAULTS.axis, x.rank);
  return executeOne(argmaxOp, [x], { axis });
}

export const argminOp: Op<ArgReduceAttrs> = argReduceOp('argmin', -1);

/**
 * Index of the smallest element along an axis; the first of equals. NaN counts as smallest.
 *
 * @param x `[...]` numeric, at least 1 long along the axis.
 * @param options `axis`, default the last; may be negative.
 * @returns i32, x without the axis.
 * @throws ShapeError, DTypeError.
 */
export function argmin(x: Tensor, options: Partial<ArgReduceAttrs> = {}): Tensor {
  const axis = resolveAxis('argmin', options.axis ?? ARG_REDUCE_DEFAULTS.axis, x.rank);
  return executeOne(argminOp, [x], { axis });
}
