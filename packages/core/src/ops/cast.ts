/** Conversion between dtypes. */
import { executeOne } from '../device.ts';
import { DTYPES, isFloat, type DType } from '../dtype.ts';
import { DTypeError } from '../errors.ts';
import type { Op } from '../op.ts';
import type { Tensor } from '../tensor.ts';

/** Attributes of `cast`. */
export interface CastAttrs {
  readonly dtype: DType;
}

/** Range of an integer dtype, inclusive. */
export function integerRange(dtype: 'i32' | 'u32' | 'u8'): readonly [low: number, high: number] {
  switch (dtype) {
    case 'i32':
      return [-0x80000000, 0x7fffffff];
    case 'u32':
      return [0, 0xffffffff];
    case 'u8':
      return [0, 0xff];
    default:
      return dtype satisfies never;
  }
}

export const castOp: Op<CastAttrs> = {
  name: 'cast',
  family: 'elementwise',
  inputs: [{ name: 'x', dtypes: DTYPES }],
  infer([x], { dtype }) {
    if (!DTYPES.includes(dtype)) {
      throw new DTypeError(`cast: dtype must be one of ${DTYPES.join(', ')}, got ${dtype}.`);
    }
    return [{ dtype, shape: x!.shape }];
  },
  reference([x], { dtype }, [out]) {
    if (dtype === 'bool') {
      for (let i = 0; i < out!.data.length; i++) out!.data[i] = Number(x!.data[i] !== 0);
    } else if (isFloat(x!.dtype) && !isFloat(dtype)) {
      const [low, high] = integerRange(dtype as 'i32' | 'u32' | 'u8');
      for (let i = 0; i < out!.data.length; i++) {
        const value = Math.trunc(x!.data[i]!);
        out!.data[i] = Number.isNaN(value) ? 0 : Math.min(high, Math.max(low, value));
      }
    } else {
      out!.data.set(x!.data);
    }
  },
};

/**
 * Converts the elements to another dtype.
 *
 * To a float: rounds to nearest even, and overflow gives infinity. Float to integer: truncates toward zero and
 * saturates; NaN gives 0. Integer to integer: keeps the low bits. To bool: whether it differs from 0 (NaN does).
 *
 * @param x `[...]` of any dtype.
 * @param dtype the dtype of the result.
 * @returns the shape of x; a copy even when the dtype is the same.
 * @throws DTypeError.
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  return executeOne(castOp, [x], { dtype });
}
