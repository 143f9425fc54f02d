/** Cases of reductions, running sums and softmax. */
import type { DType } from '../../dtype.ts';
import type { Op } from '../../op.ts';
import { argmaxOp, argminOp } from '../../ops/arg-reduce.ts';
import { cumsumOp } from '../../ops/cumsum.ts';
import * as reduce from '../../ops/reduce.ts';
import { softmaxOp } from '../../ops/softmax.ts';
import {
  conformanceCase,
  DEFAULT_TOLERANCES,
  EXACT,
  floats,
  FUNCTION,
  integers,
  viewed,
  type ConformanceCase,
  type Fill,
  type InputFill,
  type Tolerances,
} from '../case.ts';

const NORMAL: Fill = { kind: 'normal' };
const SPECIAL: Fill = { kind: 'special' };
// Infinities without a NaN: what a sum makes of them does not depend on its order.
const INFINITE: Fill = { kind: 'values', values: [1, 2, Infinity, -3, 0.5, 4, 7] };
const WITH_NAN: Fill = { kind: 'values', values: [1, 2, -1, NaN, 5, -6, 3, 8, 0, 1, 2] };

interface Suite {
  readonly op: Op<reduce.ReduceAttrs>;
  readonly fill: Fill;
  readonly tolerance: Tolerances;
  readonly integers: readonly DType[];
  /** There is no result over no elements. */
  readonly needsElements?: true;
}

function reductionCases({ op, fill, tolerance, integers: dtypes, needsElements }: Suite) {
  const one = (name: string, input: InputFill, axes: number[], keepDims = false): ConformanceCase =>
    conformanceCase(op, name, [input], { axes, keepDims }, { tolerance });
  const cases = [
    one('last axis', floats([5, 7], fill), [1]),
    one('all axes', floats([3, 5, 7], fill), [0, 1, 2]),
    one('first axis', floats([17, 9], fill), [0]),
    one('middle axis', floats([5, 13, 6], fill), [1]),
    one('outer and inner axis', floats([5, 13, 6], fill), [0, 2]),
    one('axes stay', floats([5, 13, 6], fill), [1, 2], true),
    one('no axis', floats([5, 3], fill), []),
    one('scalar', floats([], fill), []),
    one('one element', floats([1, 1], fill), [0, 1]),
    one('no rows', floats([0, 5], fill), [1]),
    one('255 elements', floats([255], fill), [0]),
    one('257 elements', floats([2, 257], fill), [1]),
    one('long', floats([2, 5003], fill), [1]),
    one('wide', floats([31, 129], fill), [0]),
    one('transposed', floats([13, 33], fill, 'transposed'), [1]),
    one('sliced', floats([9, 33], fill, 'sliced'), [1]),
    one('infinite', floats([5, 8], INFINITE), [1]),
    one('NaN', floats([6, 9], WITH_NAN), [1]),
  ];
  if (needsElements !== true) cases.push(one('over nothing', floats([3, 0], fill), [1]));
  for (const dtype of dtypes) {
    const input: InputFill = { shape: [7, 19], dtype, fill: SPECIAL };
    cases.push(one(`${dtype} rows`, input, [1]), one(`${dtype} columns`, input, [0]));
  }
  return cases;
}

// A sum of n terms carries the rounding of its partial sums, which are larger than the result.
const SUMS: Tolerances = { ...DEFAULT_TOLERANCES, f32: { nmse: 1e-10, maxAbs: 5e-5 } };
const NUMERIC: readonly DType[] = ['i32', 'u32', 'u8'];

function argCases(op: Op<{ readonly axis: number }>): ConformanceCase[] {
  // Few values, so that the first of equals matters.
  const ties: Fill = { kind: 'integers', low: 0, high: 4 };
  const one = (name: string, input: InputFill, axis: number): ConformanceCase =>
    conformanceCase(op, name, [input], { axis });
  return [
    one('last axis', floats([5, 7]), 1),
    one('first axis', floats([17, 9]), 0),
    one('middle axis', floats([4, 13, 5]), 1),
    one('ties', floats([9, 65], ties), 1),
    one('all equal', floats([3, 33], { kind: 'values', values: [2] }), 1),
    one('one element', floats([1]), 0),
    one('no rows', floats([0, 3]), 1),
    one('257 elements', floats([257]), 0),
    one('long', floats([2, 3001], { kind: 'normal' }), 1),
    one('NaN', floats([7, 11], WITH_NAN), 1),
    one('infinite', floats([6, 8], { kind: 'choice', values: [Infinity, -Infinity] }), 1),
    one('transposed', floats([9, 13], ties, 'transposed'), 1),
    ...NUMERIC.map((dtype) => one(dtype, integers([5, 37], 0, 9, dtype), 1)),
    one('i32 extremes', { shape: [6, 9], dtype: 'i32', fill: SPECIAL }, 1),
  ];
}

function cumsumCase(
  name: string,
  input: InputFill,
  axis: number,
  exclusive = false,
): ConformanceCase {
  return conformanceCase(cumsumOp, name, [input], { axis, exclusive }, { tolerance: SUMS });
}

function cumsumCases(): ConformanceCase[] {
  return [
    cumsumCase('last axis', floats([5, 7]), 1),
    cumsumCase('exclusive', floats([5, 7]), 1, true),
    cumsumCase('first axis', floats([17, 9]), 0),
    cumsumCase('middle axis', floats([3, 13, 5]), 1, true),
    cumsumCase('one element', floats([1]), 0),
    cumsumCase('no elements', floats([3, 0]), 1),
    cumsumCase('no rows', floats([0, 3]), 1, true),
    cumsumCase('255 elements', floats([255]), 0),
    cumsumCase('257 elements', floats([257]), 0, true),
    cumsumCase('long', floats([2, 2053]), 1),
    cumsumCase('transposed', floats([9, 13], NORMAL, 'transposed'), 1),
    cumsumCase('i32', integers([3, 1031], -9, 9), 1),
    cumsumCase('i32 exclusive', integers([3, 1031], -9, 9), 1, true),
    cumsumCase('i32 wraps', { shape: [3, 41], dtype: 'i32', fill: SPECIAL }, 1),
    cumsumCase('u32 wraps', { shape: [3, 41], dtype: 'u32', fill: SPECIAL }, 1),
    cumsumCase('u8 wraps', { shape: [3, 41], dtype: 'u8', fill: SPECIAL }, 1),
  ];
}

function softmaxCase(name: string, input: InputFill, axis: number): ConformanceCase {
  return conformanceCase(softmaxOp, name, [input], { axis }, { tolerance: FUNCTION });
}

function softmaxCases(): ConformanceCase[] {
  const masked: Fill = { kind: 'values', values: [1, -Infinity, 0.5, 3, -Infinity] };
  return [
    softmaxCase('last axis', floats([5, 7]), 1),
    softmaxCase('first axis', floats([17, 9]), 0),
    softmaxCase('middle axis', floats([3, 13, 5]), 1),
    softmaxCase('one element', floats([3, 1]), 1),
    softmaxCase('no elements', floats([3, 0]), 1),
    softmaxCase('255 elements', floats([3, 255]), 1),
    softmaxCase('257 elements', floats([257]), 0),
    softmaxCase('long', floats([2, 2053]), 1),
    softmaxCase('large values', floats([4, 33], { kind: 'normal', scale: 300 }), 1),
    softmaxCase('masked', floats([4, 13], masked), 1),
    softmaxCase('fully masked', floats([2, 5], { kind: 'values', values: [-Infinity] }), 1),
    softmaxCase('NaN', floats([5, 11], WITH_NAN), 1),
    softmaxCase('transposed', viewed(floats([9, 13]), 'transposed'), 1),
    softmaxCase('sliced', viewed(floats([9, 33]), 'sliced'), 1),
  ];
}

/** Cases of the family `reduce`. */
export function reduceCases(): ConformanceCase[] {
  const factors: Fill = { kind: 'choice', values: [0.5, 2, -1, 1, 1.25] };
  const bits: Fill = { kind: 'choice', values: [0, 0, 0, 0, 0, 0, 0, 1] };
  const set: Fill = { kind: 'choice', values: [1, 2, -3, 1, 1, 1, 1, 0] };
  const logic: readonly DType[] = [...NUMERIC, 'bool'];
  const exact = { tolerance: EXACT, fill: NORMAL, integers: NUMERIC };
  const suites: Suite[] = [
    { op: reduce.sumOp, fill: NORMAL, tolerance: SUMS, integers: NUMERIC },
    { op: reduce.meanOp, fill: NORMAL, tolerance: DEFAULT_TOLERANCES, integers: [] },
    { op: reduce.maxOp, ...exact, needsElements: true },
    { op: reduce.minOp, ...exact, needsElements: true },
    { op: reduce.prodOp, fill: factors, tolerance: DEFAULT_TOLERANCES, integers: NUMERIC },
    { op: reduce.anyOp, ...exact, fill: bits, integers: logic },
    { op: reduce.allOp, ...exact, fill: set, integers: logic },
    { op: reduce.varianceOp, fill: NORMAL, tolerance: DEFAULT_TOLERANCES, integers: [] },
  ];
  return [
    ...suites.flatMap(reductionCases),
    conformanceCase(
      reduce.varianceOp,
      'far from zero',
      [floats([4, 300], { kind: 'uniform', low: 100, high: 101 })],
      { axes: [1], keepDims: false },
      { tolerance: { ...DEFAULT_TOLERANCES, f32: { nmse: 1e-8, maxAbs: 1e-4 } } },
    ),
    ...argCases(argmaxOp),
    ...argCases(argminOp),
    ...cumsumCases(),
    ...softmaxCases(),
  ];
}
