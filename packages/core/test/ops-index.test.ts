import { afterAll, describe, expect, test } from 'vitest';
import {
  arange,
  argwhere,
  concat,
  DTypeError,
  full,
  gather,
  InputError,
  ones,
  pad,
  scatterReduce,
  ShapeError,
  sortByKey,
  uniqueByKey,
  zeros,
  type DType,
  type Tensor,
} from '@pergola/core';
import { createReferenceDevice } from './reference-devices.ts';

const device = await createReferenceDevice();
afterAll(() => device.dispose());

async function valuesOf(tensor: Tensor): Promise<number[]> {
  return [...(await tensor.values())];
}

function ints(values: readonly number[], shape: number[] = [values.length], dtype: DType = 'i32') {
  return device.tensor(values, shape, dtype);
}

const x = device.tensor([1, 2, 3, 4, 5, 6], [3, 2]);

describe('creation', () => {
  test('constants of every kind', async () => {
    expect(await valuesOf(zeros(device, [2]))).toEqual([0, 0]);
    expect(await valuesOf(ones(device, [2], 'bool'))).toEqual([1, 1]);
    expect(await valuesOf(full(device, [2], -3, 'i32'))).toEqual([-3, -3]);
    expect(await full(device, [], -Infinity, 'f16').item()).toBe(-Infinity);
    expect(full(device, [0, 3], 1).shape).toEqual([0, 3]);
    expect(() => full(device, [2], 0.5, 'i32')).toThrow(
      'full: value must be an integer from -2147483648 to 2147483647 for i32, got 0.5.',
    );
    expect(() => full(device, [2], 2, 'bool')).toThrow(InputError);
    expect(() => full(device, [2], -1, 'u8')).toThrow(InputError);
    expect(() => full(device, [-1], 0)).toThrow(ShapeError);
  });

  test('ranges', async () => {
    const range = arange(device, 4);
    expect(range.dtype).toBe('i32');
    expect(await valuesOf(range)).toEqual([0, 1, 2, 3]);
    const down = arange(device, 3, { start: 1, step: -0.5, dtype: 'f16' });
    expect(await valuesOf(down)).toEqual([1, 0.5, 0]);
    expect(await valuesOf(arange(device, 0))).toEqual([]);
    expect(() => arange(device, 3, { dtype: 'bool' })).toThrow(DTypeError);
    expect(() => arange(device, 300, { dtype: 'u8' })).toThrow(
      'arange: value must be an integer from 0 to 255 for u8, got 299.',
    );
    expect(() => arange(device, 3, { step: 0.5 })).toThrow(
      'arange: step must be an integer for i32, got 0.5.',
    );
    expect(() => arange(device, -1)).toThrow(InputError);
  });
});

describe('gather', () => {
  test('selects rows, repeats them, and fills with zeros', async () => {
    const rows = gather(x, ints([2, -1, 0, 2, 7]));
    expect(rows.shape).toEqual([5, 2]);
    expect(await valuesOf(rows)).toEqual([5, 6, 0, 0, 1, 2, 5, 6, 0, 0]);
  });

  test('selects along an inner axis, with u32 indices and any dtype', async () => {
    const flags = device.tensor([1, 0, 0, 1, 1, 1], [3, 2], 'bool');
    const swapped = gather(flags, ints([1, 0], [2], 'u32'), { axis: -1 });
    expect(swapped.dtype).toBe('bool');
    expect(await valuesOf(swapped)).toEqual([0, 1, 1, 0, 1, 1]);
    expect(await valuesOf(gather(x, ints([2 ** 32 - 1], [1], 'u32')))).toEqual([0, 0]);
    expect(() => gather(x, ints([0]), { axis: 2 })).toThrow(
      'gather: axis must be an integer from -2 to 1, got 2.',
    );
    expect(() => gather(x, device.tensor([0], [1]))).toThrow('gather: index must be i32, u32');
  });
});

describe('scatterReduce', () => {
  const index = ints([2, 0, 2]);
  test.each([
    ['sum', [3, 4, 0, 0, 6, 8]],
    ['mean', [3, 4, 0, 0, 3, 4]],
    ['max', [3, 4, 0, 0, 5, 6]],
    ['min', [3, 4, 0, 0, 1, 2]],
  ] as const)('%s', async (reduce, expected) => {
    const result = scatterReduce(x, index, { size: 3, reduce });
    expect(result.shape).toEqual([3, 2]);
    expect(await valuesOf(result)).toEqual(expected);
  });

  test('negative maxima survive, -1 drops a row, and one axis is enough', async () => {
    const below = device.tensor([-5, -3, 8], [3]);
    const max = scatterReduce(below, ints([1, 1, -1]), { size: 2, reduce: 'max' });
    expect(await valuesOf(max)).toEqual([0, -3]);
    const none = scatterReduce(device.tensor([], [0, 2]), ints([]), { size: 2 });
    expect(await valuesOf(none)).toEqual([0, 0, 0, 0]);
    const mean = scatterReduce(ints([1, 2]), ints([0, 0]), { size: 1, reduce: 'mean' });
    expect(await valuesOf(mean)).toEqual([1]);
    const odd = scatterReduce(device.tensor([NaN, 1], [2]), ints([0, 0]), {
      size: 1,
      reduce: 'max',
    });
    expect(await odd.item()).toBeNaN();
  });

  test('arguments must fit', () => {
    expect(() => scatterReduce(x, ints([0]), { size: 1 })).toThrow(
      'scatterReduce: index must be [3] (first axis of src), got [1].',
    );
    expect(() => scatterReduce(x, index, { size: -1 })).toThrow(
      'scatterReduce: size must be an integer of at least 0, got -1.',
    );
    expect(() => scatterReduce(x, index, { size: 1, reduce: 'any' as 'sum' })).toThrow(InputError);
  });
});

describe('concat and pad', () => {
  test('concat joins along any axis', async () => {
    const y = device.tensor([7, 8], [1, 2]);
    expect(await valuesOf(concat([x, y]))).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const wide = concat([x, device.tensor([7, 8, 9], [3, 1]), x.slice(1, 0, 0)], { axis: -1 });
    expect(wide.shape).toEqual([3, 3]);
    expect(await valuesOf(wide)).toEqual([1, 2, 7, 3, 4, 8, 5, 6, 9]);
    expect(() => concat([])).toThrow(InputError);
    expect(() => concat([x, device.tensor([1], [1, 1])])).toThrow(
      'concat: tensors[1] must be [3, 2] outside axis 0, got [1, 1].',
    );
    expect(() => concat([x, ints([1, 2], [1, 2])])).toThrow(DTypeError);
  });

  test('pad surrounds with a value', async () => {
    const padded = pad(x, { before: [1, 0], after: [0, 1], value: -1 });
    expect(padded.shape).toEqual([4, 3]);
    expect(await valuesOf(padded)).toEqual([-1, -1, -1, 1, 2, -1, 3, 4, -1, 5, 6, -1]);
    expect(await valuesOf(pad(device.tensor([], [0]), { before: [1], after: [1] }))).toEqual([
      0, 0,
    ]);
    expect(() => pad(x, { before: [1], after: [0, 0] })).toThrow(
      'pad: before must be 2 integers of at least 0 (one for each axis of x), got [1].',
    );
    expect(() => pad(ints([1]), { before: [0], after: [1], value: 0.5 })).toThrow(InputError);
  });
});

describe('sorting', () => {
  test('sortByKey is stable and lexicographic', async () => {
    const single = sortByKey(ints([3, 1, 2, 1]));
    expect(await valuesOf(single.keys)).toEqual([1, 1, 2, 3]);
    expect(await valuesOf(single.order)).toEqual([1, 3, 2, 0]);
    const pairs = sortByKey(ints([1, 2, 0, 5, 1, -2, 0, 5], [4, 2]));
    expect(await valuesOf(pairs.keys)).toEqual([0, 5, 0, 5, 1, -2, 1, 2]);
    expect(await valuesOf(pairs.order)).toEqual([1, 3, 2, 0]);
    const unsigned = sortByKey(ints([2 ** 32 - 1, 1], [2], 'u32'));
    expect(await valuesOf(unsigned.keys)).toEqual([1, 2 ** 32 - 1]);
  });

  test('float keys: negative zero equals zero, NaN comes last', async () => {
    const keys = device.tensor([NaN, 0, Infinity, -0, -1, NaN], [6]);
    const sorted = sortByKey(keys);
    expect(await valuesOf(sorted.order)).toEqual([4, 1, 3, 2, 0, 5]);
    const unique = await uniqueByKey(keys);
    expect(await valuesOf(unique.keys)).toEqual([-1, 0, Infinity, NaN]);
    expect(await valuesOf(unique.counts)).toEqual([1, 2, 1, 2]);
  });

  test('uniqueByKey finds every row once', async () => {
    const rows = ints([1, 1, 0, 2, 1, 1, 0, 2, 0, 1], [5, 2]);
    const { keys, inverse, counts } = await uniqueByKey(rows);
    expect(keys.shape).toEqual([3, 2]);
    expect(await valuesOf(keys)).toEqual([0, 1, 0, 2, 1, 1]);
    expect(await valuesOf(inverse)).toEqual([2, 1, 2, 1, 0]);
    expect(await valuesOf(counts)).toEqual([1, 2, 2]);
    const none = await uniqueByKey(ints([]));
    expect([none.keys.shape, none.counts.shape]).toEqual([[0], [0]]);
  });

  test('argwhere lists coordinates in row-major order', async () => {
    const grid = ints([0, 3, 0, 1, 0, 1], [2, 3], 'u8');
    const found = await argwhere(grid);
    expect(found.dtype).toBe('i32');
    expect(found.shape).toEqual([3, 2]);
    expect(await valuesOf(found)).toEqual([0, 1, 1, 0, 1, 2]);
    expect((await argwhere(zeros(device, [4]))).shape).toEqual([0, 1]);
    expect((await argwhere(zeros(device, [0, 4]))).shape).toEqual([0, 2]);
  });

  test('results of data-dependent size leave nothing behind', async () => {
    const before = device.memory().storages;
    const keys = ints([5, 5, 5, 5]);
    const { keys: unique, inverse, counts } = await uniqueByKey(keys);
    for (const tensor of [keys, unique, inverse, counts]) tensor.dispose();
    (await argwhere(x)).dispose();
    expect(device.memory().storages).toBe(before);
  });

  test('keys have up to two axes and a sortable dtype', () => {
    expect(() => sortByKey(ints([1], [1, 1, 1]))).toThrow('sortByKey: keys must have rank 1 to 2');
    expect(() => sortByKey(ints([1], [1], 'u8'))).toThrow('sortByKey: keys must be i32, u32, f32');
  });
});
