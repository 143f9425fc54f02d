/** Cases of matrix products. */
import type { Activation } from '../../ops/activation.ts';
import { linearOp, matmulOp } from '../../ops/matmul.ts';
import {
  conformanceCase,
  DEFAULT_TOLERANCES,
  floats,
  viewed,
  type ConformanceCase,
  type InputFill,
  type Tolerances,
} from '../case.ts';

// Sums of K products of unit variance: rounding grows with K, results with its square root.
const PRODUCTS: Tolerances = { ...DEFAULT_TOLERANCES, f32: { nmse: 1e-10, maxAbs: 5e-5 } };
// Weights of about 1 / sqrt(K) keep activations near their interesting range.
const WEIGHT = { kind: 'normal', scale: 0.2 } as const;

function matmulCase(name: string, a: InputFill, b: InputFill): ConformanceCase {
  return conformanceCase(matmulOp, name, [a, b], {}, { tolerance: PRODUCTS });
}

function matmulCases(): ConformanceCase[] {
  const square = (size: number): ConformanceCase =>
    matmulCase(`${size} cubed`, floats([size, size]), floats([size, size]));
  return [
    matmulCase('plain', floats([5, 7]), floats([7, 3])),
    matmulCase(
      'both transposed',
      floats([9, 6], undefined, 'transposed'),
      floats([6, 5], undefined, 'transposed'),
    ),
    ...[1, 4, 15, 16, 17, 31, 32, 33, 63, 64, 65].map(square),
    matmulCase('rectangle', floats([13, 130]), floats([130, 37])),
    matmulCase('one row', floats([1, 67]), floats([67, 129])),
    matmulCase('one column', floats([129, 67]), floats([67, 1])),
    matmulCase('outer product', floats([33, 1]), floats([1, 17])),
    matmulCase('inner product', floats([1, 513]), floats([513, 1])),
    matmulCase('no rows', floats([0, 5]), floats([5, 3])),
    matmulCase('no columns', floats([5, 3]), floats([3, 0])),
    matmulCase('no depth', floats([5, 0]), floats([0, 3])),
    matmulCase('batch', floats([3, 5, 9]), floats([3, 9, 7])),
    matmulCase('batch against one', floats([3, 5, 9]), floats([9, 7])),
    matmulCase('one against batch', floats([5, 9]), floats([3, 9, 7])),
    matmulCase('batches broadcast', floats([2, 1, 5, 9]), floats([3, 9, 7])),
    matmulCase('no batch', floats([0, 5, 9]), floats([0, 9, 7])),
    matmulCase('a transposed', viewed(floats([33, 18]), 'transposed'), floats([18, 21])),
    matmulCase('b transposed', floats([33, 18]), viewed(floats([18, 21]), 'transposed')),
    matmulCase('batch transposed', floats([3, 17, 18]), viewed(floats([3, 18, 21]), 'transposed')),
    matmulCase('sliced', viewed(floats([33, 18]), 'sliced'), viewed(floats([18, 21]), 'sliced')),
    matmulCase('a repeats', viewed(floats([9, 18]), 'expanded'), floats([18, 5])),
    matmulCase(
      'infinite',
      floats([5, 3], { kind: 'values', values: [1, 2, Infinity, 3, 4] }),
      floats([3, 4], { kind: 'values', values: [1, 2] }),
    ),
    matmulCase(
      'NaN',
      floats([5, 3], { kind: 'values', values: [1, 2, NaN, 3, 4, 5, 6] }),
      floats([3, 4]),
    ),
    matmulCase('large', floats([97, 128]), floats([128, 160])),
  ];
}

const ACTIVATIONS: readonly Activation[] = ['relu', 'silu', 'gelu', 'geluTanh', 'quickGelu'];

function linearCases(): ConformanceCase[] {
  const one = (
    name: string,
    x: InputFill,
    [units, depth]: [number, number],
    { bias = true, activation = 'none' }: { bias?: boolean; activation?: Activation } = {},
  ): ConformanceCase => {
    const inputs = [x, floats([units, depth], WEIGHT), bias ? floats([units]) : undefined];
    return conformanceCase(linearOp, name, inputs, { activation }, { tolerance: PRODUCTS });
  };
  const half = floats([16, 9], undefined, 'transposed');
  return [
    one('plain', floats([5, 7]), [3, 7]),
    one('no bias', floats([5, 33]), [17, 33], { bias: false }),
    ...ACTIVATIONS.map((activation) => one(activation, floats([9, 24]), [20, 24], { activation })),
    one('gelu, no bias', floats([9, 24]), [20, 24], { bias: false, activation: 'gelu' }),
    one('one vector', floats([33]), [17, 33]),
    one('three axes', floats([3, 5, 16]), [32, 16]),
    one('no rows', floats([0, 7]), [3, 7]),
    one('no units', floats([5, 7]), [0, 7]),
    one('no depth', floats([5, 0]), [3, 0]),
    one('31 by 31', floats([31, 31]), [31, 31]),
    one('32 by 32', floats([32, 32]), [32, 32]),
    one('33 by 33', floats([33, 33]), [33, 33]),
    one('65 rows', floats([65, 63]), [64, 63]),
    one('one unit', floats([129, 40]), [1, 40]),
    one('transposed', half, [5, 9]),
    one('sliced', viewed(floats([17, 24]), 'sliced'), [8, 24]),
    conformanceCase(
      linearOp,
      'weight transposed',
      [floats([17, 24]), viewed(floats([9, 24], WEIGHT), 'transposed'), floats([9])],
      { activation: 'none' },
      { tolerance: PRODUCTS },
    ),
    one(
      'NaN',
      floats([4, 9], { kind: 'values', values: [1, 2, 3, 4, NaN, 5, 6, 7, 8, 9, 1] }),
      [5, 9],
    ),
    one('large', floats([70, 192]), [136, 192], { activation: 'silu' }),
  ];
}

/** Cases of the family `matmul`. */
export function matrixCases(): ConformanceCase[] {
  return [...matmulCases(), ...linearCases()];
}
