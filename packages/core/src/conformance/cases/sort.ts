/** Cases of sorting, deduplication and searching. */
import type { DType } from '../../dtype.ts';
import type { Op } from '../../op.ts';
import { argwhereOp } from '../../ops/argwhere.ts';
import { sortByKeyOp, uniqueByKeyOp } from '../../ops/sort.ts';
import type { Shape } from '../../shape.ts';
import {
  conformanceCase,
  EXACT,
  floats,
  integers,
  singles,
  viewed,
  type ConformanceCase,
  type InputFill,
} from '../case.ts';

const KEY_DTYPES: readonly DType[] = ['i32', 'u32', 'f32'];

function extremes(shape: Shape, dtype: DType): InputFill {
  return {
    shape,
    dtype,
    fill: { kind: 'special' },
  };
}

function keyCases(op: Op): ConformanceCase[] {
  const one = (name: string, keys: InputFill): ConformanceCase =>
    conformanceCase(op, name, [keys], {}, { tolerance: EXACT });
  return [
    one('numbers', integers([37], -9, 9)),
    one('rows', integers([41, 3], 0, 2)),
    one('one row', integers([1, 4], 0, 9)),
    one('none', integers([0], 0, 9)),
    one('no rows', integers([0, 4], 0, 9)),
    one('all equal', integers([65], 5, 5)),
    one('255 numbers', integers([255], -1000, 1000)),
    one('257 numbers', integers([257], 0, 4294967295, 'u32')),
    one('many', integers([5003], -2147483648, 2147483647)),
    one('many ties', integers([3001], 0, 40)),
    one('voxels', integers([1009, 4], 0, 7)),
    one('floats', singles([513])),
    one('strided', viewed(integers([4, 33], 0, 3), 'transposed')),
    ...KEY_DTYPES.map((dtype) => one(`${dtype} extremes`, extremes([67], dtype))),
    ...KEY_DTYPES.map((dtype) => one(`${dtype} extreme rows`, extremes([67, 2], dtype))),
  ];
}

function argwhereCase(name: string, x: InputFill): ConformanceCase {
  return conformanceCase(argwhereOp, name, [x], {});
}

function argwhereCases(): ConformanceCase[] {
  const sparse = { kind: 'choice', values: [0, 0, 0, -0, 1, -2.5] } as const;
  return [
    argwhereCase('plane', floats([5, 7], sparse)),
    argwhereCase('volume', floats([4, 5, 6], sparse)),
    argwhereCase('numbers', floats([257], sparse)),
    argwhereCase('nothing found', floats([5, 7], { kind: 'values', values: [0, -0] })),
    argwhereCase('everything found', floats([5, 7], { kind: 'values', values: [1] })),
    argwhereCase('no elements', floats([0, 3])),
    argwhereCase('one element', floats([1])),
    argwhereCase('large', floats([3, 37, 41], sparse)),
    argwhereCase('transposed', viewed(floats([9, 13], sparse), 'transposed')),
    argwhereCase('NaN', floats([9], { kind: 'values', values: [0, NaN, Infinity] })),
    ...(['i32', 'u32', 'u8', 'bool'] as const).map((dtype) =>
      argwhereCase(dtype, integers([9, 17], 0, 1, dtype)),
    ),
  ];
}

/** Cases of the family `sort`. */
export function sortCases(): ConformanceCase[] {
  return [...keyCases(sortByKeyOp), ...keyCases(uniqueByKeyOp), ...argwhereCases()];
}
