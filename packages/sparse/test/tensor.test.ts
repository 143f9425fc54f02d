/** Sparse tensors: arithmetic, joining and selecting. */
import { createCpuDevice, InputError, ShapeError, type Device } from '@pergola/core';
import {
  catBatches,
  catFeats,
  selectBatches,
  sparseAttention,
  sparseCrossAttention,
  SparseTensor,
} from '@pergola/sparse';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { flatten, unflatten, values } from './voxels.ts';

let device: Device;
beforeAll(async () => {
  device = await createCpuDevice();
});
afterAll(() => device.dispose());

const VOXELS = [
  [0, 1, 1, 1],
  [0, 0, 0, 0],
  [2, 5, 5, 5],
  [2, 0, 0, 0],
  [2, 1, 0, 0],
];

async function example(): Promise<SparseTensor> {
  const coords = device.tensor(flatten(VOXELS), [5, 4]);
  const feats = device.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [5, 2]);
  return SparseTensor.create(coords, feats, { batchSize: 4 });
}

test('arithmetic with numbers, rows, elements of the batch and sparse tensors', async () => {
  const x = await example();
  const read = async (t: SparseTensor): Promise<number[]> => [...(await t.feats.floats())];
  expect(await read(x.add(1))).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  expect(await read(x.mul(x))).toEqual([1, 4, 9, 16, 25, 36, 49, 64, 81, 100]);
  const perChannel = device.tensor([10, 20], [2]);
  expect(await read(x.sub(perChannel))).toEqual([-9, -18, -7, -16, -5, -14, -3, -12, -1, -10]);
  const one = device.tensor([10, 20], [1, 2]);
  expect(await read(x.sub(one))).toEqual([-9, -18, -7, -16, -5, -14, -3, -12, -1, -10]);
  const perElement = device.tensor([1, 2, 100, 100, 4, 8, 100, 100], [4, 2]);
  expect(await read(x.div(perElement))).toEqual([1, 1, 3, 2, 1.25, 0.75, 1.75, 1, 2.25, 1.25]);
  const column = device.tensor([1, 0, 2, 0], [4, 1]);
  expect(await read(x.mul(column))).toEqual([1, 2, 3, 4, 10, 12, 14, 16, 18, 20]);
  const rows = device.tensor([0, 1, 2, 3, 4], [5, 1]);
  expect(await read(x.add(rows))).toEqual([1, 2, 4, 5, 7, 8, 10, 11, 13, 14]);
});

test('operands are rounded to the dtype of the features', async () => {
  const x = (await example()).to('f16');
  const sum = x.mul(device.tensor([1.0001, 1], [2]));
  expect(sum.dtype).toBe('f16');
  expect([...(await sum.feats.floats())].slice(0, 2)).toEqual([1, 2]);
});

test('arithmetic says what does not fit', async () => {
  const x = await example();
  expect(() => x.add(device.tensor(values(6), [3, 2]))).toThrow(
    'broadcastToRows: operand must be broadcastable to [4, 2] or [5, 2], got [3, 2].',
  );
  expect(() => x.add(device.tensor(values(3), [3]))).toThrow(ShapeError);
  const stranger = await example();
  expect(() => x.add(stranger)).toThrow('add: both sparse tensors must share one structure.');
  expect(() => x.withFeats(device.tensor(values(4), [4]))).toThrow(ShapeError);
});

test('joining along the batch renumbers, selecting undoes it', async () => {
  const x = await example();
  const both = await catBatches([x, x]);
  expect(both.batchSize).toBe(8);
  expect(both.structure.lengths).toEqual([2, 0, 3, 0, 2, 0, 3, 0]);
  expect(unflatten(await both.coords.values(), 4).slice(5)).toEqual(
    VOXELS.map(([b, ...xyz]) => [b! + 4, ...xyz]),
  );
  const again = await selectBatches(both, [4, 5, 6, 7]);
  expect([...(await again.coords.values())]).toEqual(VOXELS.flat());
  expect([...(await again.feats.floats())]).toEqual([...(await x.feats.floats())]);
  const mixed = await selectBatches(x, [2, 1, 2]);
  expect(mixed.structure.lengths).toEqual([3, 0, 3]);
  expect([...(await mixed.feats.floats())]).toEqual([5, 6, 7, 8, 9, 10, 5, 6, 7, 8, 9, 10]);
  expect((await selectBatches(x, [])).count).toBe(0);
  await expect(selectBatches(x, [4])).rejects.toThrow(
    'selectBatches: elements must be integers from 0 to 3, got 4.',
  );
  await expect(catBatches([])).rejects.toThrow(InputError);
});

test('joining features', async () => {
  const x = await example();
  const wide = catFeats([x, x.mul(10)]);
  expect(unflatten(await wide.feats.floats(), 4)[0]).toEqual([1, 2, 10, 20]);
  const stranger = await example();
  expect(() => catFeats([x, stranger])).toThrow(InputError);
  expect(wide.reshape(2, 2).feats.shape).toEqual([5, 2, 2]);
});

test('a tensor returned from a scope keeps its structure', async () => {
  const before = device.memory().storages;
  const x = await device.run(async () => (await example()).add(1));
  expect(x.structure.disposed).toBe(false);
  expect([...(await x.feats.floats())].slice(0, 2)).toEqual([2, 3]);
  x.dispose();
  x.structure.dispose();
  expect(device.memory().storages).toBe(before);
});

test('attention with an empty element in the batch, and with a context', async () => {
  const { structure } = await example();
  const constant = device.tensor(new Float32Array(10).fill(0.5), [5, 1, 2]);
  const v = device.tensor([1, 1, 3, 3, 6, 0, 0, 6, 3, 3], [5, 1, 2]);
  const out = await sparseAttention(constant, constant, v, structure).floats();
  // Equal scores: every voxel gets the mean of its element's values.
  expect([...out].map((n) => Math.round(n * 1e5) / 1e5)).toEqual([2, 2, 2, 2, 3, 3, 3, 3, 3, 3]);
  const context = device.tensor(values(4 * 3 * 2), [4, 3, 1, 2]);
  expect(sparseCrossAttention(constant, context, context, structure).shape).toEqual([5, 1, 2]);
  const narrow = device.tensor(values(6), [1, 3, 1, 2]);
  expect(() => sparseCrossAttention(constant, narrow, narrow, structure)).toThrow(
    'sparseCrossAttention: k must be [4, L, H, D], got [1, 3, 1, 2].',
  );
});
