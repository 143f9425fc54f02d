/** Cases of `full` and `cast`. */
import { DTYPES, isFloat, type DType } from '../../dtype.ts';
import { castOp } from '../../ops/cast.ts';
import { fullOp } from '../../ops/create.ts';
import type { Shape } from '../../shape.ts';
import { conformanceCase, EXACT, viewed, type ConformanceCase, type InputFill } from '../case.ts';

const exact = { tolerance: EXACT };

function fullCase(name: string, shape: Shape, value: number, dtype: DType): ConformanceCase {
  return conformanceCase(
    fullOp,
    name,
    [],
    { shape, value, dtype },
    { ...exact, freeAttrs: isFloat(dtype) ? ['value'] : [] },
  );
}

/** Cases of the family `create`. */
export function createCases(): ConformanceCase[] {
  return [
    fullCase('f32', [5, 7], -2.5, 'f32'),
    fullCase('f16 rounds', [257], 0.1, 'f16'),
    fullCase('bf16 rounds', [33], 0.1, 'bf16'),
    fullCase('i32', [31], -7, 'i32'),
    fullCase('u32', [63], 4294967295, 'u32'),
    fullCase('u8', [65], 200, 'u8'),
    fullCase('bool', [3, 3], 1, 'bool'),
    fullCase('scalar', [], 3, 'f32'),
    fullCase('empty', [0, 4], 3, 'f32'),
    fullCase('large', [67, 129], 1e-3, 'f32'),
    fullCase('NaN', [9], NaN, 'f32'),
    fullCase('infinity', [9], -Infinity, 'f16'),
  ];
}

// Halves, values on both sides of every integer range, and ties of the half types.
const AWKWARD = [
  0,
  -0,
  0.5,
  -0.5,
  0.999,
  1,
  -1,
  1.5,
  -1.5,
  2.5,
  127.5,
  255,
  255.9,
  256,
  300,
  -5,
  2049,
  2051,
  65519,
  65520,
  -70000,
  1e10,
  -1e10,
  2147483520,
  2147483648,
  4294967040,
  4294967296,
  1.00390625,
  1.01171875,
  NaN,
  Infinity,
  -Infinity,
  1e-8,
  6e-8,
];

/** An input that a cast from `dtype` finds hard. */
function castInput(dtype: DType, shape: Shape): InputFill {
  if (isFloat(dtype)) return { shape, dtype, fill: { kind: 'values', values: AWKWARD } };
  return { shape, dtype, fill: { kind: 'special' } };
}

/** Cases of `cast`, for every pair of dtypes. */
export function castCases(): ConformanceCase[] {
  const pairs = DTYPES.flatMap((from) => DTYPES.map((to) => [from, to] as const));
  return [
    conformanceCase(
      castOp,
      'plain',
      [{ shape: [5, 7], dtype: 'f32', fill: { kind: 'normal' } }],
      { dtype: 'f16' },
      exact,
    ),
    ...pairs.map(([from, to]) =>
      conformanceCase(castOp, `${from} to ${to}`, [castInput(from, [3, 37])], { dtype: to }, exact),
    ),
    conformanceCase(castOp, 'transposed', [viewed(castInput('f32', [9, 13]), 'transposed')], {
      dtype: 'i32',
    }),
    conformanceCase(
      castOp,
      'sliced',
      [viewed(castInput('u8', [9, 13]), 'sliced')],
      { dtype: 'f32' },
      exact,
    ),
    conformanceCase(castOp, 'empty', [castInput('f32', [0])], { dtype: 'u8' }),
    conformanceCase(castOp, 'scalar', [castInput('i32', [])], { dtype: 'f32' }, exact),
    conformanceCase(
      castOp,
      'large',
      [{ shape: [61, 131], dtype: 'f32', fill: { kind: 'normal', scale: 1000 } }],
      { dtype: 'bf16' },
      exact,
    ),
  ];
}
