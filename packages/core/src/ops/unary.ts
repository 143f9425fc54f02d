/** Elementwise mathematical functions of one tensor. */
import { executeOne } from '../device.ts';
import { FLOAT_DTYPES, type DType } from '../dtype.ts';
import type { Op } from '../op.ts';
import type { Tensor } from '../tensor.ts';
import { erfScalar, reluScalar, sigmoidScalar, siluScalar } from './activation.ts';
import { add, maximum, mul } from './arithmetic.ts';
import { unaryOp } from './unary-op.ts';

const SIGNED: readonly DType[] = [...FLOAT_DTYPES, 'i32'];

/** Rounds to the nearest integer, halves to the even neighbour. */
function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest < 0.5) return below;
  if (rest > 0.5) return below + 1;
  return below % 2 === 0 ? below : below + 1;
}

export const negOp: Op = unaryOp('neg', { dtypes: SIGNED, flops: 1, apply: (v) => -v });

/**
 * `-x`. The smallest i32 wraps to itself.
 *
 * @param x `[...]` float or i32.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function neg(x: Tensor): Tensor {
  return executeOne(negOp, [x], {});
}

export const absOp: Op = unaryOp('abs', { dtypes: SIGNED, flops: 1, apply: Math.abs });

/**
 * Absolute value. The smallest i32 wraps to itself.
 *
 * @param x `[...]` float or i32.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function abs(x: Tensor): Tensor {
  return executeOne(absOp, [x], {});
}

export const signOp: Op = unaryOp('sign', { dtypes: SIGNED, flops: 1, apply: Math.sign });

/**
 * -1, 0 or 1 by the sign of x; NaN stays NaN.
 *
 * @param x `[...]` float or i32.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function sign(x: Tensor): Tensor {
  return executeOne(signOp, [x], {});
}

export const squareOp: Op = unaryOp('square', {
  dtypes: SIGNED,
  flops: 1,
  apply: (v) => v * v,
  applyInteger: (v) => Math.imul(v, v),
});

/**
 * `x * x`. i32 wraps.
 *
 * @param x `[...]` float or i32.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function square(x: Tensor): Tensor {
  return executeOne(squareOp, [x], {});
}

export const expOp: Op = unaryOp('exp', { dtypes: FLOAT_DTYPES, flops: 4, apply: Math.exp });

/**
 * `e^x`.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function exp(x: Tensor): Tensor {
  return executeOne(expOp, [x], {});
}

export const expm1Op: Op = unaryOp('expm1', { dtypes: FLOAT_DTYPES, flops: 4, apply: Math.expm1 });

/**
 * `e^x - 1`, accurate near 0.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function expm1(x: Tensor): Tensor {
  return executeOne(expm1Op, [x], {});
}

export const logOp: Op = unaryOp('log', { dtypes: FLOAT_DTYPES, flops: 4, apply: Math.log });

/**
 * Natural logarithm; NaN below 0, -Infinity at 0.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function log(x: Tensor): Tensor {
  return executeOne(logOp, [x], {});
}

export const log1pOp: Op = unaryOp('log1p', { dtypes: FLOAT_DTYPES, flops: 4, apply: Math.log1p });

/**
 * `ln(1 + x)`, accurate near 0; NaN below -1.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function log1p(x: Tensor): Tensor {
  return executeOne(log1pOp, [x], {});
}

export const sqrtOp: Op = unaryOp('sqrt', { dtypes: FLOAT_DTYPES, flops: 2, apply: Math.sqrt });

/**
 * Square root; NaN below 0.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function sqrt(x: Tensor): Tensor {
  return executeOne(sqrtOp, [x], {});
}

export const rsqrtOp: Op = unaryOp('rsqrt', {
  dtypes: FLOAT_DTYPES,
  flops: 2,
  apply: (v) => 1 / Math.sqrt(v),
  decompose: (x) => reciprocal(sqrt(x)),
});

/**
 * `1 / sqrt(x)`; Infinity at 0, NaN below.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function rsqrt(x: Tensor): Tensor {
  return executeOne(rsqrtOp, [x], {});
}

export const reciprocalOp: Op = unaryOp('reciprocal', {
  dtypes: FLOAT_DTYPES,
  flops: 1,
  apply: (v) => 1 / v,
});

/**
 * `1 / x`.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function reciprocal(x: Tensor): Tensor {
  return executeOne(reciprocalOp, [x], {});
}

export const sinOp: Op = unaryOp('sin', { dtypes: FLOAT_DTYPES, flops: 4, apply: Math.sin });

/**
 * Sine of an angle in radians.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function sin(x: Tensor): Tensor {
  return executeOne(sinOp, [x], {});
}

export const cosOp: Op = unaryOp('cos', { dtypes: FLOAT_DTYPES, flops: 4, apply: Math.cos });

/**
 * Cosine of an angle in radians.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function cos(x: Tensor): Tensor {
  return executeOne(cosOp, [x], {});
}

export const tanhOp: Op = unaryOp('tanh', { dtypes: FLOAT_DTYPES, flops: 4, apply: Math.tanh });

/**
 * Hyperbolic tangent.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function tanh(x: Tensor): Tensor {
  return executeOne(tanhOp, [x], {});
}

export const sigmoidOp: Op = unaryOp('sigmoid', {
  dtypes: FLOAT_DTYPES,
  flops: 4,
  apply: sigmoidScalar,
  decompose: (x) => reciprocal(add(exp(neg(x)), 1)),
});

/**
 * Logistic function, `1 / (1 + e^-x)`.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function sigmoid(x: Tensor): Tensor {
  return executeOne(sigmoidOp, [x], {});
}

export const reluOp: Op = unaryOp('relu', {
  dtypes: FLOAT_DTYPES,
  flops: 1,
  apply: reluScalar,
  decompose: (x) => maximum(x, 0),
});

/**
 * `max(x, 0)`; NaN stays NaN.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function relu(x: Tensor): Tensor {
  return executeOne(reluOp, [x], {});
}

export const siluOp: Op = unaryOp('silu', {
  dtypes: FLOAT_DTYPES,
  flops: 5,
  apply: siluScalar,
  decompose: (x) => mul(x, sigmoid(x)),
});

/**
 * `x * sigmoid(x)`, also called swish.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 * @see Hendrycks and Gimpel, Gaussian Error Linear Units, arXiv 1606.08415
 */
export function silu(x: Tensor): Tensor {
  return executeOne(siluOp, [x], {});
}

export const softplusOp: Op = unaryOp('softplus', {
  dtypes: FLOAT_DTYPES,
  flops: 8,
  apply: (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v))),
  decompose: (x) => add(maximum(x, 0), log1p(exp(neg(abs(x))))),
});

/**
 * `ln(1 + e^x)`, without overflow.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function softplus(x: Tensor): Tensor {
  return executeOne(softplusOp, [x], {});
}

export const erfOp: Op = unaryOp('erf', { dtypes: FLOAT_DTYPES, flops: 8, apply: erfScalar });

/**
 * Error function, `2 / sqrt(pi)` times the integral of `e^(-t^2)` from 0 to x. Within 1e-6 on every backend.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function erf(x: Tensor): Tensor {
  return executeOne(erfOp, [x], {});
}

export const floorOp: Op = unaryOp('floor', { dtypes: FLOAT_DTYPES, flops: 1, apply: Math.floor });

/**
 * Largest integer not above x.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function floor(x: Tensor): Tensor {
  return executeOne(floorOp, [x], {});
}

export const ceilOp: Op = unaryOp('ceil', { dtypes: FLOAT_DTYPES, flops: 1, apply: Math.ceil });

/**
 * Smallest integer not below x.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function ceil(x: Tensor): Tensor {
  return executeOne(ceilOp, [x], {});
}

export const roundOp: Op = unaryOp('round', {
  dtypes: FLOAT_DTYPES,
  flops: 1,
  apply: roundHalfEven,
});

/**
 * Nearest integer; halves go to the even neighbour.
 *
 * @param x `[...]` float.
 * @returns the shape and dtype of x.
 * @throws DTypeError.
 */
export function round(x: Tensor): Tensor {
  return executeOne(roundOp, [x], {});
}
