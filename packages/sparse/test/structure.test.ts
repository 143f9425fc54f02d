/** Structures: what they refuse, what they build once, what they own. */
import { createCpuDevice, InputError, LifetimeError, ShapeError, type Device } from '@pergola/core';
import { SparseStructure, SparseTensor } from '@pergola/sparse';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareVoxels, flatten, unflatten, voxelKey, voxelSets } from './voxels.ts';

let device: Device;
beforeAll(async () => {
  device = await createCpuDevice();
});
afterAll(() => device.dispose());

async function create(voxels: readonly (readonly number[])[]): Promise<SparseStructure> {
  using coords = device.tensor(flatten(voxels), [voxels.length, 4]);
  return SparseStructure.create(coords);
}

describe('coordinates that are refused', () => {
  test.each([
    [
      'a duplicate',
      [
        [0, 1, 2, 3],
        [0, 4, 5, 6],
        [0, 1, 2, 3],
      ],
      'row 2, (0, 1, 2, 3) a second time',
    ],
    [
      'an unsorted batch',
      [
        [1, 0, 0, 0],
        [0, 0, 0, 0],
      ],
      'row 1, (0, 0, 0, 0) after a larger batch',
    ],
    ['a negative batch', [[-1, 0, 0, 0]], 'batch must be at least 0, got row 0'],
    [
      'a coordinate too large',
      [
        [0, 0, 0, 0],
        [0, 0, 32768, 0],
      ],
      'got row 1, (0, 0, 32768, 0)',
    ],
    ['a coordinate too small', [[0, 0, 0, -32769]], 'must be -32768 to 32767, got row 0'],
    ['a corrupt batch', [[2000000000, 0, 0, 0]], 'batchSize must be an integer from 0 to 1048576'],
  ])('%s', async (_name, voxels, message) => {
    const before = device.memory().storages;
    await expect(create(voxels)).rejects.toThrow(InputError);
    await expect(create(voxels)).rejects.toThrow(message);
    expect(device.memory().storages).toBe(before);
  });

  test('the first offending row is named, whatever else is wrong', async () => {
    const run = fc.asyncProperty(voxelSets({ maxLength: 30 }), fc.nat(), async (voxels, at) => {
      fc.pre(voxels.length > 1);
      const copied = voxels[at % (voxels.length - 1)]!;
      const last = voxels.findLastIndex((voxel) => voxel[0] === copied[0]) + 1;
      const twice = [...voxels.slice(0, last), copied, ...voxels.slice(last)];
      await expect(create(twice)).rejects.toThrow(`row ${last}, (${copied.join(', ')}) a second`);
    });
    await fc.assert(run, { numRuns: 20 });
  });

  test('a batchSize that does not hold the batches', async () => {
    using coords = device.tensor(flatten([[3, 0, 0, 0]]), [1, 4]);
    await expect(SparseStructure.create(coords, { batchSize: 3 })).rejects.toThrow(
      'SparseTensor: batch must be below batchSize (3), got 3 in the last row.',
    );
    await expect(SparseStructure.create(coords, { batchSize: 1.5 })).rejects.toThrow(InputError);
  });

  test('shapes', async () => {
    await expect(SparseStructure.create(device.tensor([1, 2, 3], [1, 3], 'i32'))).rejects.toThrow(
      ShapeError,
    );
    const coords = device.tensor(new Int32Array(4), [1, 4]);
    await expect(SparseTensor.create(coords, device.tensor([1, 2], [2, 1]))).rejects.toThrow(
      'coords and feats must have the same rows, got [1, 4] and [2, 1]',
    );
  });
});

test('lengths, offsets and bounds', async () => {
  using coords = device.tensor(
    flatten([
      [1, -5, 2, 3],
      [1, 4, 2, 9],
      [3, 0, 0, 0],
    ]),
    [3, 4],
  );
  using structure = await SparseStructure.create(coords, { batchSize: 5 });
  expect(structure.lengths).toEqual([0, 2, 0, 1, 0]);
  expect([...(await structure.offsets.values())]).toEqual([0, 0, 2, 2, 3, 3]);
  expect([...(await structure.batchIndex().values())]).toEqual([1, 1, 3]);
  expect(structure.maxLength).toBe(2);
  expect(structure.bounds).toEqual({ min: [-5, 0, 0], max: [4, 2, 9] });
});

test('no voxels at all is a valid structure', async () => {
  using structure = await create([]);
  expect([structure.count, structure.batchSize, structure.maxLength]).toEqual([0, 0, 0]);
  const map = await structure.kernelMap({ kernelSize: 3 });
  expect(map.map.shape).toEqual([0, 27]);
  const d = await structure.downsample(2);
  expect(d.structure.count).toBe(0);
  expect((await structure.subdivide()).count).toBe(0);
  expect((await structure.windows({ size: 4 })).maxLength).toBe(0);
  const strided = await structure.strided({ kernelSize: 2, stride: 2 });
  expect(strided.structure.count).toBe(0);
});

test('parts are built once, and read without waiting when they are there', async () => {
  using structure = await create([[0, 1, 2, 3]]);
  expect(() => structure.built.kernelMap({ kernelSize: 3 })).toThrow(LifetimeError);
  const [a, b] = await Promise.all([
    structure.kernelMap({ kernelSize: 3 }),
    structure.kernelMap({ kernelSize: 3, dilation: 1 }),
  ]);
  expect(b).toBe(a);
  expect(structure.built.kernelMap({ kernelSize: 3 })).toBe(a);
  expect(() => structure.built.kernelMap({ kernelSize: 3, dilation: 2 })).toThrow(LifetimeError);
  const windows = await structure.windows({ size: 4, shift: 2 });
  expect(structure.built.windows({ size: [4, 4, 4], shift: [2, 2, 2] })).toBe(windows);
  const d = await structure.downsample(2);
  expect(structure.built.downsample(2)).toBe(d);
});

test('parts outlive the scope that asked for them, and die with the structure', async () => {
  const before = device.memory().storages;
  const structure = (await create([[0, 1, 2, 3]])).keep();
  await device.run(async () => {
    await structure.kernelMap({ kernelSize: 3 });
    await structure.windows({ size: 2 });
    const d = await structure.downsample(2);
    await (await d.structure.downsample(2)).structure.kernelMap({ kernelSize: 3 });
    await structure.subdivide();
    await structure.strided({ kernelSize: 2, stride: 2 });
    structure.batchIndex();
    structure.contextOffsets(5);
  });
  const d = structure.built.downsample(2);
  expect([...(await d.index.values())]).toEqual([0]);
  const coarser = d.structure.built.downsample(2).structure;
  expect(coarser.built.kernelMap({ kernelSize: 3 }).map.disposed).toBe(false);
  structure.dispose();
  structure.dispose();
  expect(coarser.disposed).toBe(true);
  expect(device.memory().storages).toBe(before);
  await expect(structure.downsample(2)).rejects.toThrow(LifetimeError);
});

test('a structure returned from a scope survives it, with the one it belongs to', async () => {
  const before = device.memory().storages;
  const coarse = await device.run(async () => {
    const structure = await create([[0, 2, 2, 3]]);
    return (await structure.downsample(2)).structure;
  });
  expect([...(await coarse.coords.values())]).toEqual([0, 1, 1, 1]);
  coarse.root.dispose();
  expect(device.memory().storages).toBe(before);

  await device.run(async () => {
    await create([[0, 2, 2, 3]]);
  });
  expect(device.memory().storages).toBe(before);
});

test('windows hold the voxels of one cell each, in row order', async () => {
  const run = fc.asyncProperty(
    voxelSets({ batches: 3, min: -6, max: 6 }),
    fc.integer({ min: 1, max: 5 }),
    fc.integer({ min: -3, max: 3 }),
    async (voxels, size, shift) => {
      using structure = await create(voxels);
      const partition = await structure.windows({ size, shift });
      const cells = voxels.map(([b, ...xyz]) => [
        b,
        ...xyz.map((c) => Math.floor((c + shift) / size)),
      ]);
      const expected = new Map<string, number[]>();
      for (const cell of cells.toSorted(compareVoxels)) expected.set(voxelKey(cell), []);
      for (const [row, cell] of cells.entries()) expected.get(voxelKey(cell))!.push(row);
      const order = [...(await partition.order.values())];
      const offsets = [...(await partition.offsets.values())];
      const inverse = [...(await partition.inverse.values())];
      const sequences = offsets.slice(1).map((end, s) => order.slice(offsets[s], end));
      expect(sequences).toEqual([...expected.values()]);
      expect(inverse.map((place) => order[place])).toEqual(voxels.map((_, row) => row));
      expect(partition.maxLength).toBe(Math.max(0, ...sequences.map((rows) => rows.length)));
    },
  );
  await fc.assert(run, { numRuns: 25 });
});

test('children that leave the coordinate range are refused', async () => {
  using structure = await create([[0, 0, 20000, 0]]);
  await expect(structure.subdivide()).rejects.toThrow(
    'subdivide: children must be at -32768 to 32767, got 0 to 40001.',
  );
});

test('a strided convolution without bounds is asked for by name', async () => {
  using structure = await create([
    [0, -1, 0, 0],
    [0, 2, 0, 0],
  ]);
  await expect(structure.strided({ kernelSize: 2, stride: 2 })).rejects.toThrow(
    "strided: voxels must lie in 0 to 2 along x (or pass spatialShape 'unbounded'), got -1 to 2.",
  );
  const free = await structure.strided({ kernelSize: 2, stride: 2, spatialShape: 'unbounded' });
  expect(unflatten(await free.structure.coords.values(), 4)).toEqual([
    [0, -1, 0, 0],
    [0, 1, 0, 0],
  ]);
});
