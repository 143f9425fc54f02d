/** Cases of pooling and of changes of resolution. */
import type { DType } from '../../dtype.ts';
import type { Op } from '../../op.ts';
import { avgPoolOp, maxPoolOp, type PoolAttrs } from '../../ops/pool.ts';
import { pixelShuffleOp, resizeBicubicOp, upsampleNearestOp } from '../../ops/resample.ts';
import type { Shape } from '../../shape.ts';
import {
  conformanceCase,
  DEFAULT_TOLERANCES,
  EXACT,
  floats,
  viewed,
  type ConformanceCase,
  type InputFill,
} from '../case.ts';

const exact = { tolerance: EXACT };

function poolCase(
  op: Op<PoolAttrs>,
  name: string,
  x: InputFill,
  kernel: number[],
  options: { stride?: number[]; padding?: number[]; ceilMode?: boolean } = {},
): ConformanceCase {
  const { stride = kernel, padding = kernel.map(() => 0), ceilMode = false } = options;
  const tolerance = op === maxPoolOp ? EXACT : DEFAULT_TOLERANCES;
  return conformanceCase(op, name, [x], { kernel, stride, padding, ceilMode }, { tolerance });
}

function poolCases(op: Op<PoolAttrs>): ConformanceCase[] {
  const image = floats([2, 3, 7, 9]);
  const volume = floats([2, 3, 5, 6, 7]);
  const awkward = {
    kind: 'values',
    values: [1, NaN, -2, 3, Infinity, 0.5, 2, 1, -4, 7, 8],
  } as const;
  return [
    poolCase(op, 'image', image, [2, 2]),
    poolCase(op, 'volume', volume, [2, 2, 2]),
    poolCase(op, 'overlapping', image, [3, 3], { stride: [1, 2] }),
    poolCase(op, 'padding', image, [3, 3], { stride: [2, 2], padding: [1, 1] }),
    poolCase(op, 'hanging over', image, [3, 2], { stride: [2, 2], ceilMode: true }),
    poolCase(op, 'hanging over padding', image, [4, 4], {
      stride: [3, 4],
      padding: [2, 2],
      ceilMode: true,
    }),
    poolCase(op, 'gaps', image, [1, 1], { stride: [3, 2] }),
    poolCase(op, 'oblong', volume, [1, 3, 2], { stride: [1, 2, 1], padding: [0, 1, 1] }),
    poolCase(op, 'whole image', image, [7, 9]),
    poolCase(op, 'no batch', floats([0, 3, 4, 4]), [2, 2]),
    poolCase(op, 'no channels', floats([2, 0, 4, 4]), [2, 2]),
    poolCase(op, 'large', floats([2, 5, 33, 65]), [2, 2]),
    poolCase(op, 'channels last', viewed(floats([2, 3, 6, 6]), 'transposed'), [3, 3]),
    poolCase(op, 'sliced', viewed(image, 'sliced'), [2, 2]),
    poolCase(op, 'awkward values', floats([1, 2, 6, 8], awkward), [2, 2]),
  ];
}

function special(shape: Shape, dtype: InputFill['dtype']): InputFill {
  return { shape, dtype, fill: { kind: 'special' } };
}

const OTHERS: readonly DType[] = ['i32', 'u32', 'u8', 'bool'];

function shuffleCases(): ConformanceCase[] {
  const cases: ConformanceCase[] = [];
  for (const layout of ['channelsFirst', 'channelsLast'] as const) {
    const one = (name: string, channels: number, extents: Shape, factor: number): void => {
      const first = layout === 'channelsFirst';
      const x = floats(first ? [2, channels, ...extents] : [2, ...extents, channels]);
      const attrs = { factor, layout };
      cases.push(conformanceCase(pixelShuffleOp, `${name}, ${layout}`, [x], attrs, exact));
    };
    one('image', 12, [3, 5], 2);
    one('volume', 16, [3, 2, 4], 2);
    one('factor 3', 18, [4, 3], 3);
    one('factor 1', 5, [4, 3], 1);
    one('no channels', 0, [4, 3], 2);
    one('empty image', 4, [0, 3], 2);
    one('large', 32, [5, 6, 7], 2);
  }
  const attrs = { factor: 2, layout: 'channelsFirst' } as const;
  const x = viewed(floats([2, 8, 3, 5]), 'sliced');
  cases.push(conformanceCase(pixelShuffleOp, 'sliced', [x], attrs, exact));
  for (const dtype of OTHERS) {
    const input = special([1, 8, 3, 3], dtype);
    cases.push(conformanceCase(pixelShuffleOp, dtype, [input], attrs, exact));
  }
  return cases;
}

function upsampleCase(name: string, x: InputFill, factor: number): ConformanceCase {
  return conformanceCase(upsampleNearestOp, name, [x], { factor }, exact);
}

function upsampleCases(): ConformanceCase[] {
  return [
    upsampleCase('image', floats([2, 3, 5, 7]), 2),
    upsampleCase('volume', floats([2, 3, 4, 3, 5]), 2),
    upsampleCase('factor 3', floats([1, 2, 5, 7]), 3),
    upsampleCase('factor 1', floats([1, 2, 5, 7]), 1),
    upsampleCase('one pixel', floats([1, 1, 1, 1]), 5),
    upsampleCase('empty image', floats([1, 2, 0, 7]), 2),
    upsampleCase('large', floats([1, 16, 6, 7, 8]), 2),
    upsampleCase('transposed', viewed(floats([2, 3, 5, 7]), 'transposed'), 2),
    upsampleCase('awkward values', special([1, 2, 5, 7], 'float'), 2),
    ...OTHERS.map((dtype) => upsampleCase(dtype, special([1, 2, 3, 5], dtype), 2)),
  ];
}

function resizeCases(): ConformanceCase[] {
  const cases: ConformanceCase[] = [];
  for (const antialias of [true, false]) {
    const one = (name: string, x: InputFill, size: [number, number]): void => {
      const label = antialias ? name : `${name}, no antialias`;
      cases.push(conformanceCase(resizeBicubicOp, label, [x], { size, antialias }));
    };
    one('smaller', floats([2, 3, 13, 17]), [5, 7]);
    one('larger', floats([2, 3, 5, 7]), [13, 16]);
    one('taller and narrower', floats([1, 2, 6, 19]), [11, 8]);
    one('same size', floats([1, 2, 6, 5]), [6, 5]);
    one('from one pixel', floats([1, 2, 1, 1]), [4, 3]);
    one('to one pixel', floats([1, 2, 9, 8]), [1, 1]);
    one('no batch', floats([0, 2, 9, 8]), [4, 4]);
    one('half', floats([1, 1, 40, 32]), [20, 16]);
    one('large', floats([1, 3, 37, 37]), [64, 51]);
    one('transposed', viewed(floats([1, 2, 9, 8]), 'transposed'), [5, 12]);
  }
  return cases;
}

/** Cases of the families `pool` and `resample`. */
export function resampleCases(): ConformanceCase[] {
  return [
    ...poolCases(maxPoolOp),
    ...poolCases(avgPoolOp),
    ...shuffleCases(),
    ...upsampleCases(),
    ...resizeCases(),
  ];
}
