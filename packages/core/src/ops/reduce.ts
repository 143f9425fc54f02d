/** Reductions over any set of axes. */
import { executeOne } from '../device.ts';
import { DTYPES, FLOAT_DTYPES, isFloat, NUMERIC_DTYPES, type DType } from '../dtype.ts';
import { InputError, ShapeError } from '../errors.ts';
import { shapeMismatch, type HostTensor, type Op, type TensorSpec } from '../op.ts';
import { contiguousStrides, formatShape, resolveAxis, sizeOf, type Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { sub } from './arithmetic.ts';
import { walkBroadcast } from './broadcast-walk.ts';
import { perInputElement } from './cost.ts';
import { square } from './unary.ts';
import { narrow, widen } from './widen.ts';

/** Attributes of every reduction. */
export interface ReduceAttrs {
  /** Axes to reduce: not negative, ascending, each once. */
  readonly axes: readonly number[];
  /** Reduced axes stay, with extent 1. */
  readonly keepDims: boolean;
}

/** Options of every reduction. */
export interface ReduceOptions {
  /** Axes to reduce, in any order, possibly negative; all when absent. */
  readonly axes?: readonly number[];
  /** Keeps reduced axes with extent 1; default false. */
  readonly keepDims?: boolean;
}

/** `axes` defaults to all axes. */
export const REDUCE_DEFAULTS: Pick<ReduceAttrs, 'keepDims'> = { keepDims: false };

function reducedShape(op: string, shape: Shape, { axes, keepDims }: ReduceAttrs): number[] {
  axes.forEach((axis, i) => {
    const least = i === 0 ? 0 : axes[i - 1]! + 1;
    if (!Number.isInteger(axis) || axis < least || axis >= shape.length) {
      throw new ShapeError(
        `${op}: axes must be ascending integers from 0 to ${shape.length - 1}, got ${formatShape(axes)}.`,
      );
    }
  });
  if (keepDims) return shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
  return shape.filter((_, axis) => !axes.includes(axis));
}

/** Strides of the output as seen from x: 0 along reduced axes. */
function outputStrides(shape: Shape, axes: readonly number[]): number[] {
  const kept = shape.map((extent, axis) => (axes.includes(axis) ? 1 : extent));
  return contiguousStrides(kept).map((stride, axis) => (axes.includes(axis) ? 0 : stride));
}

/** What sets one reduction apart from the others. */
interface ReduceRule {
  readonly dtypes: readonly DType[];
  /** Result dtype; that of x when absent. */
  readonly output?: 'bool';
  /** Result over no elements. */
  readonly start: number;
  /** Elements are needed: there is no result over none. */
  readonly needsElements?: true;
  readonly step: (total: number, value: number) => number;
  /** In place of `step` for integers; results wrap when they are stored. */
  readonly stepInteger?: (total: number, value: number) => number;
  readonly finish?: (total: number, count: number) => number;
}

function totals(
  x: HostTensor,
  axes: readonly number[],
  size: number,
  rule: ReduceRule,
): Float64Array {
  const step = isFloat(x.dtype) ? rule.step : (rule.stepInteger ?? rule.step);
  const result = new Float64Array(size).fill(rule.start);
  walkBroadcast(x.shape, [outputStrides(x.shape, axes)], (i, o) => {
    result[o] = step(result[o]!, x.data[i]!);
  });
  return result;
}

function inferReduction(
  name: string,
  x: TensorSpec,
  attrs: ReduceAttrs,
  rule: Pick<ReduceRule, 'output' | 'needsElements'>,
): readonly TensorSpec[] {
  const shape = reducedShape(name, x.shape, attrs);
  if (rule.needsElements === true && sizeOf(x.shape) === 0 && sizeOf(shape) > 0) {
    throw shapeMismatch(name, 'x', 'at least 1 long along the reduced axes', x.shape);
  }
  return [{ dtype: rule.output ?? x.dtype, shape }];
}

function reduceOp(name: string, rule: ReduceRule): Op<ReduceAttrs> {
  return {
    name,
    family: 'reduce',
    inputs: [{ name: 'x', dtypes: rule.dtypes, rank: [0, 8] }],
    infer: ([x], attrs) => inferReduction(name, x!, attrs, rule),
    reference([x], { axes }, [out]) {
      const result = totals(x!, axes, out!.data.length, rule);
      const count = x!.data.length / out!.data.length;
      const { finish } = rule;
      for (let i = 0; i < result.length; i++) {
        out!.data[i] = finish === undefined ? result[i]! : finish(result[i]!, count);
      }
    },
    cost: perInputElement(1),
  };
}

function reduceAttrs(op: string, x: Tensor, options: ReduceOptions): ReduceAttrs {
  const axes = options.axes?.map((axis) => resolveAxis(op, axis, x.rank)) ?? [...x.shape.keys()];
  axes.sort((a, b) => a - b);
  if (new Set(axes).size !== axes.length) {
    throw new InputError(
      `${op}: axes must name each axis once, got ${formatShape(options.axes!)}.`,
    );
  }
  return { axes, keepDims: options.keepDims ?? REDUCE_DEFAULTS.keepDims };
}

function executeReduction(op: Op<ReduceAttrs>, x: Tensor, options: ReduceOptions): Tensor {
  return executeOne(op, [x], reduceAttrs(op.name, x, options));
}

const SUM: ReduceRule = { dtypes: NUMERIC_DTYPES, start: 0, step: (total, value) => total + value };

export const sumOp: Op<ReduceAttrs> = reduceOp('sum', SUM);

/**
 * Sum over axes. Accumulates in f32 or better; integers wrap. The sum of nothing is 0.
 *
 * @param x `[...]` numeric.
 * @param options `axes`, default all; `keepDims`, default false.
 * @returns x without the reduced axes (or with extent 1 there), of the dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return executeReduction(sumOp, x, options);
}

const MEAN: ReduceRule = {
  ...SUM,
  dtypes: FLOAT_DTYPES,
  finish: (total, count) => total / count,
};

export const meanOp: Op<ReduceAttrs> = reduceOp('mean', MEAN);

/**
 * Mean over axes. Accumulates in f32 or better. The mean of nothing is NaN.
 *
 * @param x `[...]` float.
 * @param options `axes`, default all; `keepDims`, default false.
 * @returns x without the reduced axes (or with extent 1 there), of the dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  return executeReduction(meanOp, x, options);
}

export const maxOp: Op<ReduceAttrs> = reduceOp('max', {
  dtypes: NUMERIC_DTYPES,
  start: -Infinity,
  needsElements: true,
  step: Math.max,
});

/**
 * Largest element over axes; NaN when one of them is NaN.
 *
 * @param x `[...]` numeric, at least 1 long along the reduced axes.
 * @param options `axes`, default all; `keepDims`, default false.
 * @returns x without the reduced axes (or with extent 1 there), of the dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  return executeReduction(maxOp, x, options);
}

export const minOp: Op<ReduceAttrs> = reduceOp('min', {
  dtypes: NUMERIC_DTYPES,
  start: Infinity,
  needsElements: true,
  step: Math.min,
});

/**
 * Smallest element over axes; NaN when one of them is NaN.
 *
 * @param x `[...]` numeric, at least 1 long along the reduced axes.
 * @param options `axes`, default all; `keepDims`, default false.
 * @returns x without the reduced axes (or with extent 1 there), of the dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 */
export function min(x: Tensor, options: ReduceOptions = {}): Tensor {
  return executeReduction(minOp, x, options);
}

export const prodOp: Op<ReduceAttrs> = reduceOp('prod', {
  dtypes: NUMERIC_DTYPES,
  start: 1,
  step: (total, value) => total * value,
  stepInteger: Math.imul,
});

/**
 * Product over axes. Accumulates in f32 or better; integers wrap. The product of nothing is 1.
 *
 * @param x `[...]` numeric.
 * @param options `axes`, default all; `keepDims`, default false.
 * @returns x without the reduced axes (or with extent 1 there), of the dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 */
export function prod(x: Tensor, options: ReduceOptions = {}): Tensor {
  return executeReduction(prodOp, x, options);
}

export const anyOp: Op<ReduceAttrs> = reduceOp('any', {
  dtypes: DTYPES,
  output: 'bool',
  start: 0,
  step: (total, value) => (value !== 0 ? 1 : total),
});

/**
 * Whether any element over axes differs from 0 (NaN does). False over nothing.
 *
 * @param x `[...]` of any dtype.
 * @param options `axes`, default all; `keepDims`, default false.
 * @returns bool, x without the reduced axes (or with extent 1 there).
 * @throws ShapeError, DTypeError, InputError.
 */
export function any(x: Tensor, options: ReduceOptions = {}): Tensor {
  return executeReduction(anyOp, x, options);
}

export const allOp: Op<ReduceAttrs> = reduceOp('all', {
  dtypes: DTYPES,
  output: 'bool',
  start: 1,
  step: (total, value) => (value === 0 ? 0 : total),
});

/**
 * Whether all elements over axes differ from 0 (NaN does). True over nothing.
 *
 * @param x `[...]` of any dtype.
 * @param options `axes`, default all; `keepDims`, default false.
 * @returns bool, x without the reduced axes (or with extent 1 there).
 * @throws ShapeError, DTypeError, InputError.
 */
export function all(x: Tensor, options: ReduceOptions = {}): Tensor {
  return executeReduction(allOp, x, options);
}

export const varianceOp: Op<ReduceAttrs> = {
  name: 'variance',
  family: 'reduce',
  inputs: [{ name: 'x', dtypes: FLOAT_DTYPES, rank: [0, 8] }],
  infer: ([x], attrs) => inferReduction('variance', x!, attrs, {}),
  reference([x], { axes }, [out]) {
    const size = out!.data.length;
    const count = x!.data.length / size;
    const means = totals(x!, axes, size, SUM).map((total) => total / count);
    const squares = new Float64Array(size);
    walkBroadcast(x!.shape, [outputStrides(x!.shape, axes)], (i, o) => {
      squares[o]! += (x!.data[i]! - means[o]!) ** 2;
    });
    for (let i = 0; i < size; i++) out!.data[i] = squares[i]! / count;
  },
  decompose([x], { axes, keepDims }) {
    const wide = widen(x!);
    const centred = sub(wide, mean(wide, { axes, keepDims: true }));
    return [narrow(mean(square(centred), { axes, keepDims }), x!.dtype)];
  },
  cost: perInputElement(4),
};

/**
 * Biased (population) variance over axes: the mean square distance from the mean. Accumulates in f32 or better. The
 * variance of nothing is NaN.
 *
 * @param x `[...]` float.
 * @param options `axes`, default all; `keepDims`, default false.
 * @returns x without the reduced axes (or with extent 1 there), of the dtype of x.
 * @throws ShapeError, DTypeError, InputError.
 */
export function variance(x: Tensor, options: ReduceOptions = {}): Tensor {
  return executeReduction(varianceOp, x, options);
}
