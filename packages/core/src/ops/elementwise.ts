/** Elementwise functions with attributes or three operands: `gelu`, `clamp` and `where`. */
import { executeOne } from '../device.ts';
import { DTYPES, FLOAT_DTYPES, isFloat, NUMERIC_DTYPES } from '../dtype.ts';
import { InputError } from '../errors.ts';
import { commonDType, type Op } from '../op.ts';
import { broadcastShapes } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { geluScalar, geluTanhScalar, quickGeluScalar } from './activation.ts';
import { add, maximum, minimum, mul } from './arithmetic.ts';
import { operandStrides, walkBroadcast } from './broadcast-walk.ts';
import { perOutputElement } from './cost.ts';
import { erf, sigmoid, square, tanh } from './unary.ts';
import { narrow, widen } from './widen.ts';

/** Attributes of `gelu`. */
export interface GeluAttrs {
  /** `none`: exact, by erf; `tanh`: the tanh form; `quick`: `x * sigmoid(1.702 x)`. */
  readonly approximate: 'none' | 'tanh' | 'quick';
}

export const GELU_DEFAULTS: GeluAttrs = { approximate: 'none' };

/** The forms as ops, on an f32 tensor. */
const GELU_DECOMPOSITIONS: Readonly<Record<GeluAttrs['approximate'], (x: Tensor) => Tensor>> = {
  none: (x) => mul(mul(x, 0.5), add(erf(mul(x, Math.SQRT1_2)), 1)),
  tanh(x) {
    const cubic = mul(mul(square(x), x), 0.044715);
    return mul(mul(x, 0.5), add(tanh(mul(add(x, cubic), Math.sqrt(2 / Math.PI))), 1));
  },
  quick: (x) => mul(x, sigmoid(mul(x, 1.702))),
};

const GELU_FORMS: Readonly<Record<GeluAttrs['approximate'], (x: number) => number>> = {
  none: geluScalar,
  tanh: geluTanhScalar,
  quick: quickGeluScalar,
};

export const geluOp: Op<GeluAttrs> = {
  name: 'gelu',
  family: 'elementwise',
  inputs: [{ name: 'x', dtypes: FLOAT_DTYPES }],
  infer([x], { approximate }) {
    if (!Object.hasOwn(GELU_FORMS, approximate)) {
      throw new InputError(
        `gelu: approximate must be one of ${Object.keys(GELU_FORMS).join(', ')}, got ${approximate}.`,
      );
    }
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  reference([x], { approximate }, [out]) {
    const form = GELU_FORMS[approximate];
    for (let i = 0; i < out!.data.length; i++) out!.data[i] = form(x!.data[i]!);
  },
  decompose: ([x], { approximate }) => [
    narrow(GELU_DECOMPOSITIONS[approximate](widen(x!)), x!.dtype),
  ],
  cost: perOutputElement(10),
};

/**
 * Gaussian error linear unit, `x * Phi(x)`, or one of its approximations.
 *
 * @param x `[...]` float.
 * @param options `approximate`: `none` (default), `tanh` or `quick`.
 * @returns the shape and dtype of x.
 * @throws DTypeError, InputError.
 * @see Hendrycks and Gimpel, Gaussian Error Linear Units, arXiv 1606.08415
 */
export function gelu(x: Tensor, options: Partial<GeluAttrs> = {}): Tensor {
  return executeOne(geluOp, [x], { ...GELU_DEFAULTS, ...options });
}

/** Attributes of `clamp`; an absent bound does not bind. */
export interface ClampAttrs {
  readonly min?: number;
  readonly max?: number;
}

/** No bounds. */
export const CLAMP_DEFAULTS: ClampAttrs = {};

export const clampOp: Op<ClampAttrs> = {
  name: 'clamp',
  family: 'elementwise',
  inputs: [{ name: 'x', dtypes: NUMERIC_DTYPES }],
  infer([x], { min, max }) {
    for (const [name, bound] of [
      ['min', min],
      ['max', max],
    ] as const) {
      if (bound === undefined) continue;
      if (!Number.isFinite(bound) || (!isFloat(x!.dtype) && !Number.isInteger(bound))) {
        const kind = isFloat(x!.dtype) ? 'a finite number' : `an integer for ${x!.dtype}`;
        throw new InputError(`clamp: ${name} must be ${kind}, got ${bound}.`);
      }
    }
    if (min !== undefined && max !== undefined && min > max) {
      throw new InputError(`clamp: min must be at most max (${max}), got ${min}.`);
    }
    return [{ dtype: x!.dtype, shape: x!.shape }];
  },
  reference([x], { min = -Infinity, max = Infinity }, [out]) {
    // Math.min and Math.max pass NaN on.
    for (let i = 0; i < out!.data.length; i++) {
      out!.data[i] = Math.min(max, Math.max(min, x!.data[i]!));
    }
  },
  decompose([x], { min: low, max: high }) {
    const raised = low === undefined ? x!.alias() : maximum(x!, low);
    return [high === undefined ? raised : minimum(raised, high)];
  },
  cost: perOutputElement(2),
};

/**
 * Limits the elements to `[min, max]`; NaN stays NaN.
 *
 * @param x `[...]` numeric.
 * @param options `min` and `max`, each optional; integers when x is an integer tensor.
 * @returns the shape and dtype of x.
 * @throws DTypeError; InputError when a bound is not finite or `min > max`.
 */
export function clamp(x: Tensor, options: ClampAttrs): Tensor {
  return executeOne(clampOp, [x], { ...CLAMP_DEFAULTS, ...options });
}

export const whereOp: Op = {
  name: 'where',
  family: 'elementwise',
  inputs: [
    { name: 'condition', dtypes: ['bool'] },
    { name: 'a', dtypes: DTYPES },
    { name: 'b', dtypes: DTYPES },
  ],
  infer([condition, a, b]) {
    const dtype = commonDType(whereOp, [condition, a, b], 1, 2);
    return [{ dtype, shape: broadcastShapes('where', condition!.shape, a!.shape, b!.shape) }];
  },
  reference([condition, a, b], _attrs, [out]) {
    const operands = [condition!, a!, b!].map(({ shape }) => operandStrides(shape, out!.shape));
    walkBroadcast(out!.shape, operands, (i, c, x, y) => {
      out!.data[i] = condition!.data[c] !== 0 ? a!.data[x]! : b!.data[y]!;
    });
  },
  cost: perOutputElement(1),
};

/**
 * Elements of `a` where the condition holds, else of `b`. The three shapes broadcast.
 *
 * @param condition `[...]` bool.
 * @param a `[...]` of any dtype.
 * @param b `[...]`, the dtype of a.
 * @returns the broadcast shape, the dtype of a.
 * @throws ShapeError, DTypeError.
 */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  return executeOne(whereOp, [condition, a, b], {});
}
