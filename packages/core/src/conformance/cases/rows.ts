/** Cases of ops that select, combine and join rows, and of padding. */
import type { DType } from '../../dtype.ts';
import { concatOp } from '../../ops/concat.ts';
import { gatherOp, scatterReduceOp } from '../../ops/gather.ts';
import { padOp } from '../../ops/pad.ts';
import {
  conformanceCase,
  DEFAULT_TOLERANCES,
  EXACT,
  floats,
  indices,
  integers,
  viewed,
  type ConformanceCase,
  type InputFill,
} from '../case.ts';

const exact = { tolerance: EXACT };
const OTHERS: readonly DType[] = ['i32', 'u32', 'u8', 'bool'];

function special(shape: readonly number[], dtype: InputFill['dtype'] = 'float'): InputFill {
  return { shape, dtype, fill: { kind: 'special' } };
}

function gatherCase(name: string, x: InputFill, index: InputFill, axis = 0): ConformanceCase {
  return conformanceCase(gatherOp, name, [x, index], { axis }, exact);
}

function gatherCases(): ConformanceCase[] {
  const unsigned: InputFill = {
    shape: [21],
    dtype: 'u32',
    fill: { kind: 'integers', low: 0, high: 8 },
  };
  return [
    gatherCase('rows', floats([9, 7]), integers([13], -1, 8)),
    gatherCase('columns', floats([7, 9]), integers([13], -1, 8), 1),
    gatherCase('middle axis', floats([4, 9, 5]), integers([11], -1, 8), 1),
    gatherCase('u32 index', floats([9, 4]), unsigned),
    gatherCase('all absent', floats([9, 4]), indices([5], [-1])),
    gatherCase('outside the axis', floats([9, 4]), indices([6], [9, -2, 100000, 3, -100000, 8])),
    gatherCase('no index', floats([9, 4]), indices([0], [])),
    gatherCase('from nothing', floats([0, 4]), indices([3], [-1, 0, 2])),
    gatherCase('empty rows', floats([9, 0]), integers([3], 0, 8)),
    gatherCase('numbers', floats([33]), integers([257], -1, 32)),
    gatherCase('one column', floats([33, 1]), integers([65], -1, 32)),
    gatherCase('large', floats([211, 67]), integers([301], -1, 210)),
    gatherCase('transposed', viewed(floats([9, 13]), 'transposed'), integers([21], -1, 8)),
    gatherCase('sliced', viewed(floats([9, 13]), 'sliced'), integers([21], -1, 8)),
    gatherCase('strided index', floats([9, 5]), viewed(integers([17], -1, 8), 'sliced')),
    gatherCase('awkward values', special([9, 7]), integers([13], -1, 8)),
    ...OTHERS.map((dtype) => gatherCase(dtype, special([9, 5], dtype), integers([13], -1, 8))),
  ];
}

/** Targets of rows: seven in eight share one, the others take any. */
function mostlyOne(rows: number): number[] {
  return Array.from({ length: rows }, (_, row) => (row % 8 === 0 ? (row * 31) % 400 : 7));
}

/** Targets of rows: `count` of them, each for `length` rows in a row. */
function runsOf(length: number, count: number): number[] {
  return Array.from({ length: length * count }, (_, row) => Math.floor(row / length));
}

function scatterCases(): ConformanceCase[] {
  const cases: ConformanceCase[] = [];
  for (const reduce of ['sum', 'mean', 'max', 'min'] as const) {
    const tolerance = reduce === 'max' || reduce === 'min' ? EXACT : DEFAULT_TOLERANCES;
    const one = (name: string, src: InputFill, index: InputFill, size: number): ConformanceCase =>
      conformanceCase(
        scatterReduceOp,
        `${reduce}: ${name}`,
        [src, index],
        { size, reduce },
        { tolerance },
      );
    cases.push(
      one('rows', floats([13, 7]), integers([13], -1, 4), 6),
      one('numbers', floats([257]), integers([257], 0, 15), 17),
      one('one target', floats([65, 3]), indices([65], [1]), 2),
      one('permutation', floats([5, 4]), indices([5], [3, 0, 4, 2, 1]), 5),
      one('all dropped', floats([5, 4]), indices([5], [-1, 9, -100000, 7, 100000]), 7),
      one('no rows', floats([0, 4]), indices([0], []), 3),
      one('no targets', floats([5, 4]), indices([5], [-1]), 0),
      one('empty rows', floats([5, 0]), integers([5], 0, 2), 3),
      one('three axes', floats([11, 3, 5]), integers([11], -1, 3), 4),
      one('large', floats([301, 67]), integers([301], -1, 40), 41),
      one('many rows for few targets', floats([2500, 3]), integers([2500], -1, 4), 6),
      one('most rows for one target', floats([1200, 2]), indices([1200], mostlyOne(1200)), 400),
      one('targets of 32 rows', floats([256, 2]), indices([256], runsOf(32, 8)), 8),
      one('strided', viewed(floats([17, 9]), 'transposed'), integers([17], 0, 4), 5),
      one(
        'negative',
        floats([9, 4], { kind: 'uniform', low: -3, high: -1 }),
        integers([9], 0, 3),
        5,
      ),
      one(
        'infinite',
        floats([8, 3], { kind: 'values', values: [1, Infinity, 2, -1] }),
        integers([8], 0, 2),
        3,
      ),
      one('i32', integers([31, 5], -99, 99), integers([31], -1, 6), 7),
      one('u32', integers([31, 5], 0, 99, 'u32'), integers([31], -1, 6), 7),
      one('u8', integers([31, 5], 0, 20, 'u8'), integers([31], -1, 6), 7),
    );
  }
  return cases;
}

function concatCase(name: string, inputs: InputFill[], axis: number): ConformanceCase {
  return conformanceCase(concatOp, name, inputs, { axis }, exact);
}

function concatCases(): ConformanceCase[] {
  const many = Array.from({ length: 19 }, (_, i) => floats([(i % 4) + 1, 3]));
  return [
    concatCase('rows', [floats([5, 7]), floats([3, 7])], 0),
    concatCase('columns', [floats([5, 7]), floats([5, 2]), floats([5, 11])], 1),
    concatCase('middle axis', [floats([3, 2, 5]), floats([3, 4, 5])], 1),
    concatCase('one tensor', [floats([5, 7])], 0),
    concatCase('nineteen tensors', many, 0),
    concatCase('empty parts', [floats([0, 3]), floats([4, 3]), floats([0, 3])], 0),
    concatCase('nothing', [floats([0, 3]), floats([0, 3])], 0),
    concatCase('numbers', [floats([255]), floats([2]), floats([1])], 0),
    concatCase('large', [floats([67, 33]), floats([67, 65])], 1),
    concatCase(
      'strided',
      [viewed(floats([9, 5]), 'transposed'), viewed(floats([9, 4]), 'sliced')],
      1,
    ),
    concatCase('awkward values', [special([5, 3]), special([5, 4])], 1),
    ...OTHERS.map((dtype) =>
      concatCase(dtype, [special([5, 3], dtype), special([5, 6], dtype)], 1),
    ),
  ];
}

function padCase(
  name: string,
  x: InputFill,
  [before, after]: [number[], number[]],
  value = 0,
): ConformanceCase {
  const freeAttrs = x.dtype === 'float' ? ['value'] : [];
  return conformanceCase(padOp, name, [x], { before, after, value }, { ...exact, freeAttrs });
}

function padCases(): ConformanceCase[] {
  return [
    padCase(
      'both sides',
      floats([5, 7]),
      [
        [1, 2],
        [3, 0],
      ],
      0.5,
    ),
    padCase('numbers', floats([255]), [[2], [0]]),
    padCase('nothing added', floats([5, 7]), [
      [0, 0],
      [0, 0],
    ]),
    padCase(
      'around nothing',
      floats([0, 3]),
      [
        [2, 1],
        [1, 0],
      ],
      -1,
    ),
    padCase('volume', floats([2, 3, 5, 4]), [
      [0, 0, 1, 1],
      [0, 0, 1, 2],
    ]),
    padCase(
      'large',
      floats([31, 65]),
      [
        [3, 5],
        [2, 7],
      ],
      2,
    ),
    padCase(
      'NaN',
      floats([4, 3]),
      [
        [1, 0],
        [0, 1],
      ],
      NaN,
    ),
    padCase('transposed', viewed(floats([9, 13]), 'transposed'), [
      [1, 1],
      [1, 1],
    ]),
    padCase('awkward values', special([5, 3]), [
      [1, 1],
      [0, 2],
    ]),
    ...OTHERS.map((dtype) =>
      padCase(
        dtype,
        special([5, 3], dtype),
        [
          [1, 0],
          [1, 1],
        ],
        1,
      ),
    ),
  ];
}

/** Cases of the family `index`. */
export function rowCases(): ConformanceCase[] {
  return [...gatherCases(), ...scatterCases(), ...concatCases(), ...padCases()];
}
