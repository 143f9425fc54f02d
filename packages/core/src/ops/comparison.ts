/** Elementwise comparisons, logic and tests, whose results are bool. */
import { executeOne } from '../device.ts';
import { DTYPES, FLOAT_DTYPES, NUMERIC_DTYPES } from '../dtype.ts';
import type { Op } from '../op.ts';
import type { Tensor } from '../tensor.ts';
import { binaryOp, executeBinary, type BinaryAttrs } from './binary-op.ts';
import { unaryOp } from './unary-op.ts';
import { abs } from './unary.ts';

export const equalOp: Op<BinaryAttrs> = binaryOp('equal', {
  dtypes: DTYPES,
  output: 'bool',
  apply: (a, b) => Number(a === b),
});

/**
 * Whether `a == b`; false when either is NaN.
 *
 * @param a a tensor of any dtype, or a number when b is a tensor.
 * @param b a tensor of any dtype of the dtype of a, or a number when a is a tensor.
 * @returns bool of the broadcast shape.
 * @throws ShapeError, DTypeError, InputError.
 */
export function equal(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(equalOp, a, b);
}

export const notEqualOp: Op<BinaryAttrs> = binaryOp('notEqual', {
  dtypes: DTYPES,
  output: 'bool',
  apply: (a, b) => Number(a !== b),
});

/**
 * Whether `a != b`; true when either is NaN.
 *
 * @param a a tensor of any dtype, or a number when b is a tensor.
 * @param b a tensor of any dtype of the dtype of a, or a number when a is a tensor.
 * @returns bool of the broadcast shape.
 * @throws ShapeError, DTypeError, InputError.
 */
export function notEqual(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(notEqualOp, a, b);
}

export const lessOp: Op<BinaryAttrs> = binaryOp('less', {
  dtypes: NUMERIC_DTYPES,
  output: 'bool',
  apply: (a, b) => Number(a < b),
});

/**
 * Whether `a < b`; false when either is NaN.
 *
 * @param a a numeric tensor, or a number when b is a tensor.
 * @param b a numeric tensor of the dtype of a, or a number when a is a tensor.
 * @returns bool of the broadcast shape.
 * @throws ShapeError, DTypeError, InputError.
 */
export function less(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(lessOp, a, b);
}

export const lessEqualOp: Op<BinaryAttrs> = binaryOp('lessEqual', {
  dtypes: NUMERIC_DTYPES,
  output: 'bool',
  apply: (a, b) => Number(a <= b),
});

/**
 * Whether `a <= b`; false when either is NaN.
 *
 * @param a a numeric tensor, or a number when b is a tensor.
 * @param b a numeric tensor of the dtype of a, or a number when a is a tensor.
 * @returns bool of the broadcast shape.
 * @throws ShapeError, DTypeError, InputError.
 */
export function lessEqual(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(lessEqualOp, a, b);
}

export const greaterOp: Op<BinaryAttrs> = binaryOp('greater', {
  dtypes: NUMERIC_DTYPES,
  output: 'bool',
  apply: (a, b) => Number(a > b),
});

/**
 * Whether `a > b`; false when either is NaN.
 *
 * @param a a numeric tensor, or a number when b is a tensor.
 * @param b a numeric tensor of the dtype of a, or a number when a is a tensor.
 * @returns bool of the broadcast shape.
 * @throws ShapeError, DTypeError, InputError.
 */
export function greater(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(greaterOp, a, b);
}

export const greaterEqualOp: Op<BinaryAttrs> = binaryOp('greaterEqual', {
  dtypes: NUMERIC_DTYPES,
  output: 'bool',
  apply: (a, b) => Number(a >= b),
});

/**
 * Whether `a >= b`; false when either is NaN.
 *
 * @param a a numeric tensor, or a number when b is a tensor.
 * @param b a numeric tensor of the dtype of a, or a number when a is a tensor.
 * @returns bool of the broadcast shape.
 * @throws ShapeError, DTypeError, InputError.
 */
export function greaterEqual(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(greaterEqualOp, a, b);
}

export const logicalAndOp: Op<BinaryAttrs> = binaryOp('logicalAnd', {
  dtypes: DTYPES,
  output: 'bool',
  apply: (a, b) => Number(a !== 0 && b !== 0),
});

/**
 * Whether both elements differ from 0.
 *
 * @param a a tensor of any dtype, or a number when b is a tensor.
 * @param b a tensor of any dtype of the dtype of a, or a number when a is a tensor.
 * @returns bool of the broadcast shape.
 * @throws ShapeError, DTypeError, InputError.
 */
export function logicalAnd(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(logicalAndOp, a, b);
}

export const logicalOrOp: Op<BinaryAttrs> = binaryOp('logicalOr', {
  dtypes: DTYPES,
  output: 'bool',
  apply: (a, b) => Number(a !== 0 || b !== 0),
});

/**
 * Whether at least one element differs from 0.
 *
 * @param a a tensor of any dtype, or a number when b is a tensor.
 * @param b a tensor of any dtype of the dtype of a, or a number when a is a tensor.
 * @returns bool of the broadcast shape.
 * @throws ShapeError, DTypeError, InputError.
 */
export function logicalOr(a: Tensor | number, b: Tensor | number): Tensor {
  return executeBinary(logicalOrOp, a, b);
}

export const logicalNotOp: Op = unaryOp('logicalNot', {
  dtypes: DTYPES,
  output: 'bool',
  flops: 1,
  apply: (v) => Number(v === 0),
});

/**
 * Whether x is 0 (false). NaN counts as true, so gives false.
 *
 * @param x `[...]` any dtype.
 * @returns bool of the shape of x.
 * @throws DTypeError.
 */
export function logicalNot(x: Tensor): Tensor {
  return executeOne(logicalNotOp, [x], {});
}

export const isNaNOp: Op = unaryOp('isNaN', {
  dtypes: FLOAT_DTYPES,
  output: 'bool',
  flops: 1,
  apply: (v) => Number(Number.isNaN(v)),
  decompose: (x) => notEqual(x, x),
});

/**
 * Whether x is not a number.
 *
 * @param x `[...]` float.
 * @returns bool of the shape of x.
 * @throws DTypeError.
 */
export function isNaN(x: Tensor): Tensor {
  return executeOne(isNaNOp, [x], {});
}

export const isFiniteOp: Op = unaryOp('isFinite', {
  dtypes: FLOAT_DTYPES,
  output: 'bool',
  flops: 1,
  apply: (v) => Number(Number.isFinite(v)),
  decompose: (x) => less(abs(x), Infinity),
});

/**
 * Whether x is neither infinite nor NaN.
 *
 * @param x `[...]` float.
 * @returns bool of the shape of x.
 * @throws DTypeError.
 */
export function isFinite(x: Tensor): Tensor {
  return executeOne(isFiniteOp, [x], {});
}
