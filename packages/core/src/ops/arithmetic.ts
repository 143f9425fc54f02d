/** Elementwise arithmetic of two operands with NumPy broadcasting. */
import { FLOAT_DTYPES, NUMERIC_DTYPES } from '../dtype.ts';
import type { Op } from '../op.ts';
import type { Tensor } from '../tensor.ts';
import { binaryOp, executeBinary, type BinaryAttrs } from './binary-op.ts';

/** C's `pow`: unlike `**`, 1 to any power is 1, also when the power is infinite or NaN. */
function power(base: number, exponent: number): number {
  if (base === 1) return 1;
  if (base === -1 && Math.abs(exponent) === Infinity) return 1;
  return base ** exponent;
}

/** Remainder with the sign of the divisor. */
function floorRemainder(a: number, b: number): number {
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
}

export const addOp: Op<BinaryAttrs> = binaryOp('add', {
  dtypes: NUMERIC_DTYPES,
  apply: (a, b) => a + b,
});

/**
 * `a + b`. Integers wrap.
 *
 * @param a a numeric tensor, or a number when b is a tensor.
 * @param b a numeric tensor of the dtype of a, or a number when a is a tensor.
 * @returns the broadcast shape, the dtype of the operands.
 * @throws ShapeError, DTypeError, InputError.
 */
export function add(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(addOp, a, b);
}

export const subOp: Op<BinaryAttrs> = binaryOp('sub', {
  dtypes: NUMERIC_DTYPES,
  apply: (a, b) => a - b,
});

/**
 * `a - b`. Integers wrap.
 *
 * @param a a numeric tensor, or a number when b is a tensor.
 * @param b a numeric tensor of the dtype of a, or a number when a is a tensor.
 * @returns the broadcast shape, the dtype of the operands.
 * @throws ShapeError, DTypeError, InputError.
 */
export function sub(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(subOp, a, b);
}

export const mulOp: Op<BinaryAttrs> = binaryOp('mul', {
  dtypes: NUMERIC_DTYPES,
  apply: (a, b) => a * b,
  applyInteger: Math.imul,
});

/**
 * `a * b`. Integers wrap.
 *
 * @param a a numeric tensor, or a number when b is a tensor.
 * @param b a numeric tensor of the dtype of a, or a number when a is a tensor.
 * @returns the broadcast shape, the dtype of the operands.
 * @throws ShapeError, DTypeError, InputError.
 */
export function mul(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(mulOp, a, b);
}

export const divOp: Op<BinaryAttrs> = binaryOp('div', {
  dtypes: FLOAT_DTYPES,
  apply: (a, b) => a / b,
});

/**
 * `a / b`.
 *
 * @param a a float tensor, or a number when b is a tensor.
 * @param b a float tensor of the dtype of a, or a number when a is a tensor.
 * @returns the broadcast shape, the dtype of the operands.
 * @throws ShapeError, DTypeError, InputError.
 */
export function div(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(divOp, a, b);
}

export const powOp: Op<BinaryAttrs> = binaryOp('pow', { dtypes: FLOAT_DTYPES, apply: power });

/**
 * `a` to the power `b`; NaN for a negative base with a power that is not an integer.
 *
 * @param a a float tensor, or a number when b is a tensor.
 * @param b a float tensor of the dtype of a, or a number when a is a tensor.
 * @returns the broadcast shape, the dtype of the operands.
 * @throws ShapeError, DTypeError, InputError.
 */
export function pow(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(powOp, a, b);
}

export const minimumOp: Op<BinaryAttrs> = binaryOp('minimum', {
  dtypes: NUMERIC_DTYPES,
  apply: Math.min,
});

/**
 * The smaller of two elements; NaN when either is NaN.
 *
 * @param a a numeric tensor, or a number when b is a tensor.
 * @param b a numeric tensor of the dtype of a, or a number when a is a tensor.
 * @returns the broadcast shape, the dtype of the operands.
 * @throws ShapeError, DTypeError, InputError.
 */
export function minimum(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(minimumOp, a, b);
}

export const maximumOp: Op<BinaryAttrs> = binaryOp('maximum', {
  dtypes: NUMERIC_DTYPES,
  apply: Math.max,
});

/**
 * The larger of two elements; NaN when either is NaN.
 *
 * @param a a numeric tensor, or a number when b is a tensor.
 * @param b a numeric tensor of the dtype of a, or a number when a is a tensor.
 * @returns the broadcast shape, the dtype of the operands.
 * @throws ShapeError, DTypeError, InputError.
 */
export function maximum(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(maximumOp, a, b);
}

export const floorDivideOp: Op<BinaryAttrs> = binaryOp('floorDivide', {
  dtypes: NUMERIC_DTYPES,
  apply: (a, b) => Math.floor(a / b),
  applyInteger: (a, b) => (b === 0 ? 0 : Math.floor(a / b)),
});

/**
 * `floor(a / b)`. Integer division by 0 gives 0.
 *
 * @param a a numeric tensor, or a number when b is a tensor.
 * @param b a numeric tensor of the dtype of a, or a number when a is a tensor.
 * @returns the broadcast shape, the dtype of the operands.
 * @throws ShapeError, DTypeError, InputError.
 */
export function floorDivide(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(floorDivideOp, a, b);
}

export const remainderOp: Op<BinaryAttrs> = binaryOp('remainder', {
  dtypes: NUMERIC_DTYPES,
  apply: floorRemainder,
  applyInteger: (a, b) => (b === 0 ? 0 : floorRemainder(a, b)),
});

/**
 * Remainder of the floor division, with the sign of `b`. The integer remainder by 0 is 0.
 *
 * @param a a numeric tensor, or a number when b is a tensor.
 * @param b a numeric tensor of the dtype of a, or a number when a is a tensor.
 * @returns the broadcast shape, the dtype of the operands.
 * @throws ShapeError, DTypeError, InputError.
 */
export function remainder(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(remainderOp, a, b);
}
