/** Running sums along an axis. */
import { executeOne } from '../device.ts';
import { NUMERIC_DTYPES } from '../dtype.ts';
import type { Op } from '../op.ts';
import { resolveAxis } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkAxis, splitAtAxis } from './axis-split.ts';
import { perInputElement } from './cost.ts';

/** Attributes of `cumsum`. */
export interface CumsumAttrs {
  /** Axis to sum along; not negative. */
  readonly axis: number;
  /** Leaves the element itself out of its sum: the first is 0. */
  readonly exclusive: boolean;
}

/** `axis` has no default. */
export const CUMSUM_DEFAULTS: Pick<CumsumAttrs, 'exclusive'> = { exclusive: false };

export const cumsumOp: Op<CumsumAttrs> = {
  name: 'cumsum',
  family: 'reduce',
  inputs: [{ name: 'x', dtypes: NUMERIC_DTYPES, rank: [1, 8] }],
  infer([x], { axis }) {
    checkAxis('cumsum', axis, x!.shape.length);
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  reference([x], { axis, exclusive }, [out]) {
    const { outer, extent, inner } = splitAtAxis(x!.shape, axis);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        let total = 0;
        for (let e = 0; e < extent; e++) {
          const at = (o * extent + e) * inner + i;
          const before = total;
          total += x!.data[at]!;
          out!.data[at] = exclusive ? before : total;
        }
      }
    }
  },
  cost: perInputElement(1),
};

/**
 * Running sum along an axis. Accumulates in f32 or better; integers wrap.
 *
 * @param x `[...]` numeric.
 * @param options `axis`, may be negative; `exclusive`, default false, leaves each element out of its own sum.
 * @returns the shape and dtype of x.
 * @throws ShapeError, DTypeError.
 */
export function cumsum(
  x: Tensor,
  options: Pick<CumsumAttrs, 'axis'> & Partial<CumsumAttrs>,
): Tensor {
  const axis = resolveAxis('cumsum', options.axis, x.rank);
  return executeOne(cumsumOp, [x], { ...CUMSUM_DEFAULTS, ...options, axis });
}
