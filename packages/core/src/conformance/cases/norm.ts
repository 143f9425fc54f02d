/** Cases of normalisations and gated residuals. */
import { gatedResidualOp, layerNormModulateOp, qkNormOp } from '../../ops/norm-fused.ts';
import { groupNormOp, layerNormOp, rmsNormOp } from '../../ops/norm.ts';
import type { Shape } from '../../shape.ts';
import {
  conformanceCase,
  DEFAULT_TOLERANCES,
  floats,
  indices,
  singles,
  viewed,
  type ConformanceCase,
  type InputFill,
  type Tolerances,
} from '../case.ts';

const OFF_CENTRE = { kind: 'uniform', low: 9, high: 11 } as const;
const WITH_NAN = { kind: 'values', values: [1, 2, -1, NaN, 5, -6, 3, 8, 0, 1, 2] } as const;
// The variance of values far from zero loses the digits that the mean takes.
const CANCELLING: Tolerances = { ...DEFAULT_TOLERANCES, f32: { nmse: 1e-8, maxAbs: 5e-4 } };

const SIZES: readonly Shape[] = [
  [1, 1],
  [3, 2],
  [4, 31],
  [5, 32],
  [4, 33],
  [7, 255],
  [2, 257],
  [3, 1025],
  [129, 24],
];

function layerNormCase(
  name: string,
  x: InputFill,
  tolerance = DEFAULT_TOLERANCES as Tolerances,
): ConformanceCase {
  return conformanceCase(
    layerNormOp,
    name,
    [x, undefined, undefined],
    { eps: 1e-5 },
    { tolerance },
  );
}

function affineCase(name: string, weight: InputFill, bias?: InputFill): ConformanceCase {
  return conformanceCase(layerNormOp, name, [floats([5, 24]), weight, bias], { eps: 1e-6 });
}

function layerNormCases(): ConformanceCase[] {
  return [
    affineCase('affine', floats([24]), floats([24])),
    affineCase('affine in f32', singles([24]), singles([24])),
    affineCase('weight alone', floats([24])),
    ...SIZES.map((shape) => layerNormCase(shape.join(' by '), floats(shape))),
    layerNormCase('vector', floats([17])),
    layerNormCase('three axes', floats([3, 5, 16])),
    layerNormCase('no rows', floats([0, 8])),
    layerNormCase('no channels', floats([3, 0])),
    layerNormCase('constant', floats([4, 16], { kind: 'values', values: [3] })),
    layerNormCase('off centre', floats([4, 64], OFF_CENTRE), CANCELLING),
    layerNormCase('transposed', viewed(floats([9, 16]), 'transposed')),
    layerNormCase('sliced', viewed(floats([9, 16]), 'sliced')),
    layerNormCase('NaN', floats([5, 9], WITH_NAN)),
  ];
}

function rmsNormCase(name: string, x: InputFill, weight?: InputFill): ConformanceCase {
  return conformanceCase(rmsNormOp, name, [x, weight], { eps: 1e-6 });
}

function rmsNormCases(): ConformanceCase[] {
  return [
    rmsNormCase('weight', floats([5, 24]), floats([24])),
    rmsNormCase('weight in f32', floats([5, 24]), singles([24])),
    ...SIZES.map((shape) => rmsNormCase(shape.join(' by '), floats(shape))),
    rmsNormCase('no rows', floats([0, 8])),
    rmsNormCase('no channels', floats([3, 0])),
    rmsNormCase('zeros', floats([4, 16], { kind: 'values', values: [0] })),
    rmsNormCase('three axes', floats([3, 5, 16])),
    rmsNormCase('transposed', viewed(floats([9, 16]), 'transposed')),
    rmsNormCase('NaN', floats([5, 9], WITH_NAN)),
  ];
}

function groupNormCase(
  name: string,
  x: InputFill,
  groups: number,
  affine?: [InputFill, InputFill],
): ConformanceCase {
  return conformanceCase(groupNormOp, name, [x, ...(affine ?? [undefined, undefined])], {
    groups,
    eps: 1e-5,
  });
}

function groupNormCases(): ConformanceCase[] {
  return [
    groupNormCase('affine', floats([2, 8, 5]), 4, [floats([8]), floats([8])]),
    groupNormCase('affine in f32', floats([2, 8, 5]), 2, [singles([8]), singles([8])]),
    groupNormCase('one group', floats([2, 6, 7]), 1),
    groupNormCase('a group for each channel', floats([2, 6, 7]), 6),
    groupNormCase('image', floats([2, 6, 5, 7]), 3, [floats([6]), floats([6])]),
    groupNormCase('volume', floats([1, 8, 5, 3, 4]), 4, [floats([8]), floats([8])]),
    groupNormCase('no positions', floats([7, 16]), 4, [floats([16]), floats([16])]),
    groupNormCase('no batch', floats([0, 8, 3]), 4),
    groupNormCase('nothing', floats([2, 8, 0]), 4),
    groupNormCase('257 positions', floats([1, 6, 257]), 2),
    groupNormCase('large', floats([2, 32, 9, 13]), 8, [floats([32]), floats([32])]),
    groupNormCase('off centre but', floats([2, 4, 16], { kind: 'uniform', low: 1, high: 3 }), 2),
    groupNormCase('channels last', viewed(floats([2, 8, 15]), 'transposed'), 4),
    groupNormCase('sliced', viewed(floats([3, 8, 15]), 'sliced'), 4),
  ];
}

function qkNormCase(name: string, x: InputFill): ConformanceCase {
  return conformanceCase(qkNormOp, name, [x, singles([x.shape[1]!, x.shape[2]!])], {});
}

function qkNormCases(): ConformanceCase[] {
  return [
    qkNormCase('plain', floats([5, 2, 8])),
    qkNormCase('unbound', viewed(floats([9, 3, 16]), 'unbound')),
    qkNormCase('one number', floats([3, 2, 1])),
    qkNormCase('odd depth', floats([7, 3, 31])),
    qkNormCase('64', floats([17, 4, 64])),
    qkNormCase('128', floats([9, 2, 128])),
    qkNormCase('no rows', floats([0, 2, 8])),
    qkNormCase('zeros', floats([3, 2, 8], { kind: 'values', values: [0] })),
    qkNormCase('sliced', viewed(floats([9, 2, 16]), 'sliced')),
    qkNormCase('transposed', viewed(floats([9, 4, 16]), 'transposed')),
    qkNormCase('large', floats([129, 6, 32])),
    qkNormCase('NaN', floats([5, 2, 9], WITH_NAN)),
  ];
}

/** Row offsets of sequences: two, one of them empty, and one alone. */
const PARTS: readonly [name: string, rows: number, offsets: number[]][] = [
  ['two elements', 13, [0, 5, 13]],
  ['one element', 7, [0, 7]],
  ['empty elements', 9, [0, 0, 4, 4, 9, 9]],
  ['no rows', 0, [0, 0, 0]],
  ['no elements', 0, [0]],
  ['many rows', 257, [0, 1, 129, 257]],
];

function modulateCases(): ConformanceCase[] {
  const cases: ConformanceCase[] = [];
  for (const activation of ['none', 'silu'] as const) {
    const one = (name: string, x: InputFill, offsets: number[]): void => {
      const shape = [offsets.length - 1, x.shape[1]!];
      const inputs = [x, floats(shape), floats(shape), indices([offsets.length], offsets)];
      cases.push(
        conformanceCase(layerNormModulateOp, `${activation}: ${name}`, inputs, {
          eps: 1e-6,
          activation,
        }),
      );
    };
    for (const [name, rows, offsets] of PARTS) one(name, floats([rows, 24]), offsets);
    one('257 channels', floats([5, 257]), [0, 2, 5]);
    one('one channel', floats([5, 1]), [0, 2, 5]);
    one('transposed', viewed(floats([9, 16]), 'transposed'), [0, 4, 9]);
    one('sliced', viewed(floats([9, 31]), 'sliced'), [0, 4, 9]);
  }
  return cases;
}

function residualCase(
  name: string,
  x: InputFill,
  h: InputFill,
  offsets: number[],
): ConformanceCase {
  const gate = floats([offsets.length - 1, x.shape[1]!]);
  const inputs = [x, h, gate, indices([offsets.length], offsets)];
  return conformanceCase(gatedResidualOp, name, inputs, {});
}

function residualCases(): ConformanceCase[] {
  const infinite = floats([5, 6], { kind: 'values', values: [1, Infinity, 2, 3, 4] });
  return [
    ...PARTS.map(([name, rows, offsets]) =>
      residualCase(name, floats([rows, 24]), floats([rows, 24]), offsets),
    ),
    residualCase('257 channels', floats([5, 257]), floats([5, 257]), [0, 2, 5]),
    residualCase('one channel', floats([5, 1]), floats([5, 1]), [0, 2, 5]),
    residualCase(
      'strided',
      viewed(floats([9, 16]), 'transposed'),
      viewed(floats([9, 16]), 'sliced'),
      [0, 4, 9],
    ),
    residualCase('infinite', infinite, floats([5, 6]), [0, 2, 5]),
  ];
}

/** Cases of the family `norm`. */
export function normCases(): ConformanceCase[] {
  return [
    ...layerNormCases(),
    ...rmsNormCases(),
    ...groupNormCases(),
    ...qkNormCases(),
    ...modulateCases(),
    ...residualCases(),
  ];
}
