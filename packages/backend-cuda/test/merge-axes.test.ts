/** Merged axes visit the same elements in the same order as the axes they came from. */
import { expect, test } from 'vitest';
import { mergeAxes } from '../src/merge-axes.ts';

/** Elements of an operand in row-major order of the shape. */
function walk(shape: readonly number[], strides: readonly number[]): number[] {
  return shape.reduce<number[]>(
    (starts, extent, axis) =>
      starts.flatMap((start) =>
        Array.from({ length: extent }, (_, place) => start + place * strides[axis]!),
      ),
    [0],
  );
}

const CASES: readonly [name: string, shape: number[], operands: number[][], rank: number][] = [
  ['contiguous', [3, 4, 5], [[20, 5, 1]], 1],
  ['a scalar', [], [[]], 1],
  ['only ones', [1, 1], [[7, 9]], 1],
  ['transposed', [3, 4], [[1, 3]], 2],
  ['a transposed pair inside', [2, 3, 4], [[12, 1, 3]], 3],
  ['ones between', [3, 1, 4], [[4, 99, 1]], 1],
  [
    'a row against a matrix',
    [3, 4],
    [
      [4, 1],
      [0, 1],
    ],
    2,
  ],
  [
    'a column against a matrix',
    [3, 4],
    [
      [4, 1],
      [1, 0],
    ],
    2,
  ],
  [
    'repeated over both leading axes',
    [2, 3, 4],
    [
      [12, 4, 1],
      [0, 0, 1],
    ],
    2,
  ],
  ['a sliced last axis', [3, 4], [[10, 1]], 2],
  ['every second element', [6], [[2]], 1],
  ['unbound from a projection', [5, 2, 8], [[48, 8, 1]], 2],
];

test.each(CASES)('%s', (_name, shape, operands, rank) => {
  const merged = mergeAxes(shape, operands);
  expect(merged.extents.length).toBe(rank);
  operands.forEach((strides, i) => {
    expect(walk(merged.extents, merged.strides[i]!)).toEqual(walk(shape, strides));
  });
});
