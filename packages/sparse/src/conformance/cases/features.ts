/** Cases of ops on features: sparse convolution, reductions of segments, group norm. */
import {
  conformanceCase,
  EXACT,
  floats,
  indices,
  integers,
  singles,
  viewed,
  type ConformanceCase,
  type InputFill,
} from '@pergola/core/conformance';
import { sparseConv3dOp } from '../../ops/conv.ts';
import { sparseGroupNormOp, type SparseGroupNormAttrs } from '../../ops/norm.ts';
import { segmentReduceOp, type SegmentReduceAttrs } from '../../ops/segment.ts';
import { cube, few, neighborsOf, scattered, shells, type Voxel } from '../voxel-sets.ts';

function convCase(
  name: string,
  rows: number,
  [inputs, outputs]: readonly [inputs: number, outputs: number],
  kernelSize: number,
  map: InputFill,
  { bias = true, x = floats([rows, inputs]) }: { bias?: boolean; x?: InputFill } = {},
): ConformanceCase {
  // Weights of unit gain keep the results near 1 whatever the number of channels.
  const scale = 1 / Math.sqrt(Math.max(1, inputs * kernelSize ** 3));
  const shape = [outputs, kernelSize, kernelSize, kernelSize, inputs];
  const weight = floats(shape, { kind: 'normal', scale });
  const tensors = [x, weight, bias ? floats([outputs]) : undefined, map];
  return conformanceCase(sparseConv3dOp, name, tensors, {});
}

function submCase(
  name: string,
  voxels: Voxel[],
  channels: readonly [inputs: number, outputs: number],
  kernelSize = 3,
  options: { bias?: boolean; x?: InputFill } = {},
): ConformanceCase {
  const map = indices([voxels.length, kernelSize ** 3], neighborsOf(voxels, kernelSize));
  return convCase(name, voxels.length, channels, kernelSize, map, options);
}

function convCases(): ConformanceCase[] {
  return [
    submCase('shells', shells(), [16, 24]),
    submCase('cube', cube(), [16, 16]),
    submCase('64 to 32 channels', few(97), [64, 32]),
    submCase('wide', few(23), [72, 130]),
    submCase('deep', few(19), [300, 9]),
    submCase('odd channels', shells(), [7, 5]),
    submCase('one channel', few(97), [1, 1]),
    submCase('no input channels', few(11), [0, 3]),
    submCase('without bias', shells(), [8, 16], 3, { bias: false }),
    submCase('5 taps', few(97), [8, 8], 5),
    submCase('1 tap', few(97), [9, 17], 1),
    submCase('no neighbours', scattered(), [12, 12]),
    submCase('one voxel', few(1), [16, 16]),
    submCase('nothing', [], [16, 16]),
    submCase('transposed', few(97), [16, 16], 3, { x: viewed(floats([97, 16]), 'transposed') }),
    convCase('other rows', 50, [16, 16], 2, integers([33, 8], -1, 49)),
    convCase('all absent', 5, [16, 16], 3, indices([19, 27], [-1])),
    convCase('from nothing', 0, [16, 16], 3, indices([19, 27], [-1])),
    convCase('outside the rows', 4, [8, 8], 2, indices([3, 8], [4, -2, 3, 100000, -100000, 0])),
  ];
}

function segmentCase(
  name: string,
  x: InputFill,
  order: readonly number[],
  offsets: readonly number[],
  attrs: Partial<SegmentReduceAttrs> & Pick<SegmentReduceAttrs, 'reduce'>,
): ConformanceCase {
  const inputs = [x, indices([order.length], order), indices([offsets.length], offsets)];
  const exact = attrs.reduce === 'max' || attrs.reduce === 'min';
  const extras = exact ? { tolerance: EXACT } : {};
  return conformanceCase(segmentReduceOp, name, inputs, { extraCount: 0, ...attrs }, extras);
}

function segmentCases(): ConformanceCase[] {
  const rows = 61;
  const order = Array.from({ length: rows }, (_, i) => (i * 17) % rows);
  const offsets = [0, 1, 9, 9, 10, 18, 40, 61, 61];
  const cases: ConformanceCase[] = [];
  for (const reduce of ['mean', 'sum', 'max', 'min'] as const) {
    const one = (name: string, x: InputFill, extraCount = 0): ConformanceCase =>
      segmentCase(`${reduce}: ${name}`, x, order, offsets, { reduce, extraCount });
    cases.push(
      one('rows', floats([rows, 24])),
      one('odd channels', floats([rows, 7])),
      one('numbers', floats([rows])),
      one('three axes', floats([rows, 3, 5])),
      one('no channels', floats([rows, 0])),
      one('with an extra count', floats([rows, 8]), 1),
      one('strided', viewed(floats([rows, 9]), 'transposed')),
      one('infinite', floats([rows, 3], { kind: 'values', values: [1, Infinity, 2, -1, 0, 3, 4] })),
      one('negative', floats([rows, 4], { kind: 'uniform', low: -3, high: -1 })),
    );
    cases.push(
      segmentCase(`${reduce}: rows taken twice`, floats([5, 6]), [4, 4, 0, 1], [0, 3, 4], {
        reduce,
      }),
      segmentCase(`${reduce}: no rows`, floats([0, 6]), [], [0, 0, 0], { reduce }),
      segmentCase(`${reduce}: no segments`, floats([5, 6]), [], [0], { reduce }),
      segmentCase(`${reduce}: one long segment`, floats([rows, 33]), order, [0, rows], { reduce }),
    );
  }
  return cases;
}

function normCase(
  name: string,
  [rows, channels]: readonly [rows: number, channels: number],
  offsets: readonly number[],
  attrs: Partial<SparseGroupNormAttrs> & Pick<SparseGroupNormAttrs, 'groups'>,
  { x = floats([rows, channels]), affine = singles([channels]) } = {},
): ConformanceCase {
  const inputs = [x, affine, affine, indices([offsets.length], offsets)];
  const full = { eps: 1e-5, activation: 'none', ...attrs } as const;
  return conformanceCase(sparseGroupNormOp, name, inputs, full);
}

function normCases(): ConformanceCase[] {
  const offsets = [0, 50, 50, 51, 131];
  return [
    normCase('4 groups', [131, 32], offsets, { groups: 4 }),
    normCase('with silu', [131, 32], offsets, { groups: 8, activation: 'silu' }),
    normCase('odd channels', [131, 15], offsets, { groups: 3 }),
    normCase('one group', [131, 12], offsets, { groups: 1 }),
    normCase('one channel to a group', [131, 6], offsets, { groups: 6 }),
    normCase('affine of the dtype of x', [131, 8], offsets, { groups: 2 }, { affine: floats([8]) }),
    normCase('wide', [67, 192], [0, 67], { groups: 32 }),
    normCase('one row', [1, 32], [0, 1], { groups: 4 }),
    normCase('nothing', [0, 32], [0, 0, 0], { groups: 4 }),
    normCase('large eps', [131, 8], offsets, { groups: 2, eps: 0.5 }),
    normCase(
      'far from 0',
      [131, 8],
      offsets,
      { groups: 2 },
      { x: floats([131, 8], { kind: 'uniform', low: 19, high: 21 }) },
    ),
    normCase(
      'constant',
      [131, 8],
      offsets,
      { groups: 2 },
      { x: floats([131, 8], { kind: 'values', values: [2] }) },
    ),
    normCase(
      'transposed',
      [131, 8],
      offsets,
      { groups: 2 },
      { x: viewed(floats([131, 8]), 'transposed') },
    ),
    {
      ...normCase('without affine', [131, 32], offsets, { groups: 4 }),
      inputs: [floats([131, 32]), undefined, undefined, indices([5], offsets)],
    },
  ];
}

/** Cases of the families `sparse-conv`, `segment` and `norm`. */
export function featureCases(): ConformanceCase[] {
  return [...convCases(), ...segmentCases(), ...normCases()];
}
