/** Padding a tensor with a constant. */
import { executeOne } from '../device.ts';
import { DTYPES } from '../dtype.ts';
import { InputError } from '../errors.ts';
import type { Op } from '../op.ts';
import { contiguousStrides, formatShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { walkBroadcast } from './broadcast-walk.ts';
import { checkStorable } from './create.ts';

/** Attributes of `pad`. */
export interface PadAttrs {
  /** Elements added before each axis. */
  readonly before: readonly number[];
  /** Elements added after each axis. */
  readonly after: readonly number[];
  readonly value: number;
}

/** `before` and `after` have no defaults. */
export const PAD_DEFAULTS: Pick<PadAttrs, 'value'> = { value: 0 };

export const padOp: Op<PadAttrs> = {
  name: 'pad',
  family: 'index',
  inputs: [{ name: 'x', dtypes: DTYPES, rank: [1, 8] }],
  infer([x], { before, after, value }) {
    const rank = x!.shape.length;
    for (const [name, counts] of [
      ['before', before],
      ['after', after],
    ] as const) {
      if (counts.length !== rank || counts.some((n) => !Number.isInteger(n) || n < 0)) {
        throw new InputError(
          `pad: ${name} must be ${rank} integers of at least 0 (one for each axis of x), got ${formatShape(counts)}.`,
        );
      }
    }
    checkStorable('pad', value, x!.dtype);
    const shape = x!.shape.map((extent, axis) => before[axis]! + extent + after[axis]!);
    return [{ dtype: x!.dtype, shape }];
  },
  reference([x], { before, value }, [out]) {
    const strides = contiguousStrides(out!.shape);
    const start = before.reduce((at, count, axis) => at + count * strides[axis]!, 0);
    out!.data.fill(value);
    walkBroadcast(x!.shape, [strides], (i, o) => {
      out!.data[start + o] = x!.data[i]!;
    });
  },
};

/**
 * Surrounds a tensor with a constant.
 *
 * @param x `[...]` of any dtype.
 * @param options `before` and `after`, counts for each axis; `value`, default 0, which the dtype of x must hold.
 * @returns a tensor whose extents are `before + extent + after`, of the dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 */
export function pad(
  x: Tensor,
  options: Pick<PadAttrs, 'before' | 'after'> & Partial<PadAttrs>,
): Tensor {
  return executeOne(padOp, [x], { ...PAD_DEFAULTS, ...options });
}
