/** Cases of elementwise ops with one operand. */
import type { DType } from '../../dtype.ts';
import type { Op } from '../../op.ts';
import { isFiniteOp, isNaNOp, logicalNotOp } from '../../ops/comparison.ts';
import { clampOp, geluOp } from '../../ops/elementwise.ts';
import * as unary from '../../ops/unary.ts';
import {
  conformanceCase,
  ELEMENTWISE,
  EXACT,
  FUNCTION,
  floats,
  integers,
  type ConformanceCase,
  type Fill,
  type Tolerances,
} from '../case.ts';

/** Awkward values at which functions are still well conditioned. */
const TAME: Fill = {
  kind: 'values',
  values: [NaN, Infinity, -Infinity, 0, -0, 1, -1, 0.5, -0.5, 2, -3, 20, -20, 1e-3, -1e-3],
};

interface Suite<Attrs extends object> {
  readonly op: Op<Attrs>;
  readonly attrs: Attrs;
  /** Where the function is interesting. */
  readonly fill: Fill;
  readonly tolerance: Tolerances;
  /** Awkward values; `TAME` when absent. */
  readonly special?: Fill;
}

/** The shapes and layouts that every elementwise op is tried on. */
export function elementwiseCases<Attrs extends object>(suite: Suite<Attrs>): ConformanceCase[] {
  const { op, attrs, fill, tolerance, special = TAME } = suite;
  const one = (
    name: string,
    input: Parameters<typeof conformanceCase>[2][number],
  ): ConformanceCase => conformanceCase(op, name, [input], attrs, { tolerance });
  return [
    one('plain', floats([5, 7], fill)),
    one('awkward values', floats([7, 9], special)),
    one('scalar', floats([], fill)),
    one('one element', floats([1, 1], fill)),
    one('empty', floats([3, 0], fill)),
    one('255 elements', floats([255], fill)),
    one('257 elements', floats([257], fill)),
    one('large', floats([3, 37, 41], fill)),
    one('transposed', floats([13, 9], fill, 'transposed')),
    one('sliced', floats([8, 11], fill, 'sliced')),
  ];
}

function uniform(low: number, high: number): Fill {
  return { kind: 'uniform', low, high };
}

/** An integer case of an op, over the extremes of the dtype. */
export function specialIntegers(op: Op, dtype: DType, attrs: object = {}): ConformanceCase {
  const input = { shape: [6, 13], dtype, fill: { kind: 'special' } } as const;
  return conformanceCase(op, `${dtype} extremes`, [input], attrs);
}

// exp loses half a unit for each unit of its argument: its relative error is that of a large argument.
const EXPONENTIAL: Tolerances = {
  ...ELEMENTWISE,
  f32: { nmse: 1e-11, maxAbs: 1e-5, maxRelative: 1e-5 },
};
const NORMAL: Fill = { kind: 'normal', scale: 3 };
const SPECIAL: Fill = { kind: 'special' };

/** Cases of the one-operand functions, tests and activations. */
export function unaryCases(): ConformanceCase[] {
  const suites: [op: Op, fill: Fill, tolerance: Tolerances, special?: Fill][] = [
    [unary.negOp, NORMAL, EXACT, SPECIAL],
    [unary.absOp, NORMAL, EXACT, SPECIAL],
    [unary.signOp, NORMAL, EXACT, SPECIAL],
    [unary.squareOp, NORMAL, ELEMENTWISE, SPECIAL],
    [unary.expOp, uniform(-10, 10), EXPONENTIAL],
    [unary.expm1Op, uniform(-0.02, 0.02), EXPONENTIAL],
    [unary.logOp, uniform(1e-3, 50), FUNCTION],
    [unary.log1pOp, uniform(-0.02, 0.02), EXPONENTIAL],
    [unary.sqrtOp, uniform(1e-3, 50), ELEMENTWISE],
    [unary.rsqrtOp, uniform(1e-3, 50), ELEMENTWISE],
    [unary.reciprocalOp, uniform(0.01, 50), ELEMENTWISE],
    [unary.sinOp, uniform(-30, 30), FUNCTION],
    [unary.cosOp, uniform(-30, 30), FUNCTION],
    [unary.tanhOp, uniform(-4, 4), FUNCTION],
    [unary.sigmoidOp, uniform(-12, 12), FUNCTION],
    [unary.reluOp, NORMAL, EXACT, SPECIAL],
    [unary.siluOp, uniform(-12, 12), FUNCTION],
    [unary.softplusOp, uniform(-12, 12), FUNCTION],
    [unary.erfOp, uniform(-4, 4), FUNCTION],
    [unary.floorOp, NORMAL, EXACT],
    [unary.ceilOp, NORMAL, EXACT],
    [
      unary.roundOp,
      NORMAL,
      EXACT,
      { kind: 'values', values: [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 7, NaN, Infinity] },
    ],
    [isNaNOp, NORMAL, EXACT, SPECIAL],
    [isFiniteOp, NORMAL, EXACT, SPECIAL],
    [logicalNotOp, { kind: 'integers', low: -1, high: 1 }, EXACT, SPECIAL],
  ];
  const cases = suites.flatMap(([op, fill, tolerance, special]) =>
    elementwiseCases({ op, attrs: {}, fill, tolerance, ...(special && { special }) }),
  );
  for (const op of [unary.negOp, unary.absOp, unary.signOp, unary.squareOp]) {
    cases.push(specialIntegers(op, 'i32'));
  }
  for (const dtype of ['i32', 'u32', 'u8', 'bool'] as const) {
    cases.push(specialIntegers(logicalNotOp, dtype));
  }
  for (const approximate of ['none', 'tanh', 'quick'] as const) {
    const suite = elementwiseCases({
      op: geluOp,
      attrs: { approximate },
      fill: uniform(-5, 5),
      tolerance: FUNCTION,
      // Backends may multiply infinity by 0 here: the forms are limits, not values, at infinity.
      special: { kind: 'values', values: [NaN, 0, -0, 1, -1, 8, -8, 1e-3, 20, -20] },
    });
    for (const item of suite) cases.push({ ...item, name: `${approximate}: ${item.name}` });
  }
  return [...cases, ...clampCases()];
}

function clampCases(): ConformanceCase[] {
  const attrs = { min: -0.5, max: 1.25 };
  return [
    ...elementwiseCases({ op: clampOp, attrs, fill: NORMAL, tolerance: EXACT, special: SPECIAL }),
    conformanceCase(
      clampOp,
      'min alone',
      [floats([37], NORMAL)],
      { min: 0.5 },
      { tolerance: EXACT },
    ),
    conformanceCase(
      clampOp,
      'max alone',
      [floats([37], NORMAL)],
      { max: 0.5 },
      { tolerance: EXACT },
    ),
    conformanceCase(clampOp, 'i32', [integers([41], -9, 9)], { min: -3, max: 4 }),
    conformanceCase(clampOp, 'u8', [integers([41], 0, 255, 'u8')], { min: 10, max: 200 }),
  ];
}
