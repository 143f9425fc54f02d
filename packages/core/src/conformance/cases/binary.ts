/** Cases of elementwise ops with two and three operands. */
import type { DType } from '../../dtype.ts';
import type { Op } from '../../op.ts';
import * as arithmetic from '../../ops/arithmetic.ts';
import type { BinaryAttrs } from '../../ops/binary-op.ts';
import * as comparison from '../../ops/comparison.ts';
import { whereOp } from '../../ops/elementwise.ts';
import {
  conformanceCase,
  DEFAULT_TOLERANCES,
  ELEMENTWISE,
  EXACT,
  floats,
  integers,
  viewed,
  type CaseExtras,
  type ConformanceCase,
  type Fill,
  type InputFill,
  type Tolerances,
} from '../case.ts';

interface Suite {
  readonly op: Op<BinaryAttrs>;
  readonly left: Fill;
  readonly right: Fill;
  readonly tolerance: Tolerances;
  /** Awkward values of both operands. */
  readonly special: Fill;
  readonly integers: readonly DType[];
}

function integerOperands(op: Op<BinaryAttrs>, dtype: DType): ConformanceCase[] {
  const input = (shape: readonly number[]): InputFill => ({
    shape,
    dtype,
    fill: { kind: 'special' },
  });
  const scalar = dtype === 'bool' ? 1 : 3;
  const free = { freeAttrs: [] };
  return [
    conformanceCase(op, `${dtype} extremes`, [input([13, 11]), input([13, 11])], {}, free),
    conformanceCase(op, `${dtype} broadcast`, [input([5, 1]), input([9])], {}, free),
    conformanceCase(op, `${dtype} and number`, [input([37]), undefined], { scalar }, free),
  ];
}

function binaryCases(suite: Suite): ConformanceCase[] {
  const { op, left, right, tolerance, special } = suite;
  const extras: CaseExtras = { tolerance, freeAttrs: ['scalar'] };
  const two = (name: string, a: InputFill, b: InputFill): ConformanceCase =>
    conformanceCase(op, name, [a, b], {}, extras);
  const number = (name: string, attrs: BinaryAttrs): ConformanceCase =>
    conformanceCase(op, name, [floats([5, 9], left), undefined], attrs, extras);
  const a = (...shape: number[]): InputFill => floats(shape, left);
  const b = (...shape: number[]): InputFill => floats(shape, right);
  return [
    two('plain', a(5, 7), b(5, 7)),
    two('awkward values', floats([16, 16], special), floats([16, 16], special)),
    two('row', a(5, 7), b(7)),
    two('column', a(5, 7), b(5, 1)),
    two('outer', a(6, 1), b(1, 9)),
    two('both ways', a(4, 1, 6), b(5, 1)),
    two('scalar tensor', a(3, 11), b()),
    two('scalar tensors', a(), b()),
    two('left is smaller', a(7), b(3, 5, 7)),
    two('empty', a(0, 5), b(5)),
    two('empty meets one', a(0, 5), b(1, 1)),
    two('255 elements', a(255), b(255)),
    two('257 elements', a(257), b(257)),
    two('large', a(3, 37, 41), b(37, 41)),
    two('transposed', viewed(a(9, 13), 'transposed'), b(9, 13)),
    two('both transposed', viewed(a(9, 13), 'transposed'), viewed(b(9, 13), 'transposed')),
    two('sliced', a(8, 11), viewed(b(8, 11), 'sliced')),
    two('expanded', viewed(a(8, 11), 'expanded'), b(8, 11)),
    number('number', { scalar: 1.7 }),
    number('number first', { scalar: 1.7, reverse: true }),
    ...suite.integers.flatMap((dtype) => integerOperands(op, dtype)),
  ];
}

const NORMAL: Fill = { kind: 'normal' };
const SPECIAL: Fill = { kind: 'special' };
// Few different values, so that equal operands meet.
const STEPS: Fill = { kind: 'integers', low: -3, high: 3 };
const NUMERIC: readonly DType[] = ['i32', 'u32', 'u8'];
const ALL: readonly DType[] = [...NUMERIC, 'bool'];
const AWAY_FROM_ZERO: Fill = { kind: 'uniform', low: 0.5, high: 2 };

const POWER: Tolerances = { ...ELEMENTWISE, f32: { nmse: 1e-10, maxAbs: 2e-5, maxRelative: 2e-5 } };

/** Cases of arithmetic, comparisons, logic and `where`. */
export function binaryOpCases(): ConformanceCase[] {
  const sum = { left: NORMAL, right: NORMAL, special: SPECIAL, integers: NUMERIC };
  const compared = { left: STEPS, right: STEPS, special: SPECIAL, tolerance: EXACT };
  const whole: Fill = { kind: 'choice', values: [6, -6, 7, -7, 0, 1, -1, 3, -3, 2, 12, 5] };
  const divided = {
    left: { kind: 'normal', scale: 10 },
    right: AWAY_FROM_ZERO,
    special: whole,
    integers: NUMERIC,
  } as const;
  const suites: Suite[] = [
    // Sums may cancel: an error relative to a small result means nothing.
    { op: arithmetic.addOp, ...sum, tolerance: DEFAULT_TOLERANCES },
    { op: arithmetic.subOp, ...sum, tolerance: DEFAULT_TOLERANCES },
    { op: arithmetic.mulOp, ...sum, tolerance: ELEMENTWISE },
    { op: arithmetic.divOp, ...sum, right: AWAY_FROM_ZERO, tolerance: ELEMENTWISE, integers: [] },
    {
      op: arithmetic.powOp,
      left: { kind: 'uniform', low: 0.1, high: 4 },
      right: { kind: 'uniform', low: -3, high: 3 },
      special: { kind: 'choice', values: [0, 1, 2, -1, -2, 3, 0.5, -3] },
      tolerance: POWER,
      integers: [],
    },
    { op: arithmetic.minimumOp, ...sum, tolerance: EXACT },
    { op: arithmetic.maximumOp, ...sum, tolerance: EXACT },
    { op: arithmetic.floorDivideOp, ...divided, tolerance: EXACT },
    { op: arithmetic.remainderOp, ...divided, tolerance: DEFAULT_TOLERANCES },
    { op: comparison.equalOp, ...compared, integers: ALL },
    { op: comparison.notEqualOp, ...compared, integers: ALL },
    { op: comparison.lessOp, ...compared, integers: NUMERIC },
    { op: comparison.lessEqualOp, ...compared, integers: NUMERIC },
    { op: comparison.greaterOp, ...compared, integers: NUMERIC },
    { op: comparison.greaterEqualOp, ...compared, integers: NUMERIC },
    { op: comparison.logicalAndOp, ...compared, integers: ALL },
    { op: comparison.logicalOrOp, ...compared, integers: ALL },
  ];
  return [...suites.flatMap(binaryCases), ...whereCases()];
}

function mask(...shape: number[]): InputFill {
  return integers(shape, 0, 1, 'bool');
}

function whereCases(): ConformanceCase[] {
  const exact = { tolerance: EXACT };
  const on = (name: string, ...inputs: InputFill[]): ConformanceCase =>
    conformanceCase(whereOp, name, inputs, {}, exact);
  return [
    on('plain', mask(5, 7), floats([5, 7]), floats([5, 7])),
    on('broadcast', mask(5, 1), floats([7]), floats([5, 7])),
    on('broadcast all', mask(4, 1, 1), floats([5, 1]), floats([6])),
    on('scalars', mask(9), floats([]), floats([])),
    on('empty', mask(0, 3), floats([3]), floats([1, 3])),
    on('257 elements', mask(257), floats([257]), floats([257])),
    on('awkward values', mask(11, 9), floats([11, 9], SPECIAL), floats([11, 9], SPECIAL)),
    on(
      'strided',
      viewed(mask(9, 13), 'transposed'),
      viewed(floats([9, 13]), 'sliced'),
      viewed(floats([9, 13]), 'transposed'),
    ),
    ...ALL.map((dtype) => {
      const input: InputFill = { shape: [5, 9], dtype, fill: SPECIAL };
      return on(dtype, mask(5, 9), input, input);
    }),
  ];
}
