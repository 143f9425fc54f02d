/** Pooling, upsampling and subdividing against naive loops. */
import { createCpuDevice, InputError, type Device, type Tensor } from '@pergola/core';
import {
  downsampleFeats,
  poolMax,
  poolMean,
  segmentReduce,
  sparseGroupNorm,
  SparseStructure,
  subdivideFeats,
  upsampleFeats,
} from '@pergola/sparse';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { relativeL2 } from './golden.ts';
import {
  compareVoxels,
  flatten,
  rowsByKey,
  unflatten,
  values,
  voxelKey,
  voxelSets,
} from './voxels.ts';

let device: Device;
beforeAll(async () => {
  device = await createCpuDevice();
});
afterAll(() => device.dispose());

const CHANNELS = 3;

test('pooling and upsampling are their definitions, at negative coordinates too', async () => {
  const run = fc.asyncProperty(
    voxelSets({ batches: 3, min: -6, max: 6 }),
    fc.integer({ min: 1, max: 4 }),
    async (voxels, factor) => {
      fc.pre(voxels.length > 0);
      using structure = await SparseStructure.create(
        device.tensor(flatten(voxels), [voxels.length, 4]),
        { batchSize: 4 },
      );
      const d = await structure.downsample(factor);
      const cells = voxels.map(([b, ...xyz]) => [b, ...xyz.map((c) => Math.floor(c / factor))]);
      const coarse = [...new Map(cells.map((cell) => [voxelKey(cell), cell])).values()].toSorted(
        compareVoxels,
      );
      const group = rowsByKey(coarse);
      const index = cells.map((cell) => group.get(voxelKey(cell))!);
      expect(unflatten(await d.structure.coords.values(), 4)).toEqual(coarse);
      expect([...(await d.index.values())]).toEqual(index);
      expect(d.structure.lengths.length).toBe(4);
      expect(d.structure.lengths.reduce((sum, n) => sum + n, 0)).toBe(coarse.length);

      const feats = values(voxels.length * CHANNELS);
      const x = device.tensor(feats, [voxels.length, CHANNELS]);
      const children = coarse.map((_, g) => index.flatMap((own, row) => (own === g ? [row] : [])));
      const expected = (reduce: (column: number[]) => number): number[] =>
        children.flatMap((rows) =>
          Array.from({ length: CHANNELS }, (_, c) =>
            reduce(rows.map((row) => feats[row * CHANNELS + c]!)),
          ),
        );
      const sum = (column: number[]): number => column.reduce((a, b) => a + b, 0);
      const check = async (out: Tensor, oracle: ArrayLike<number>): Promise<void> =>
        expect(relativeL2(await out.floats(), oracle)).toBeLessThan(1e-6);
      const means = expected((column) => sum(column) / column.length);
      await check(poolMean(x, d), means);
      await check(downsampleFeats(x, d), means);
      await check(
        downsampleFeats(x, d, { divisor: 'count+1' }),
        expected((column) => sum(column) / (column.length + 1)),
      );
      await check(
        poolMax(x, d),
        expected((column) => Math.max(...column)),
      );
      const back = index.flatMap((g) => means.slice(g * CHANNELS, (g + 1) * CHANNELS));
      await check(upsampleFeats(poolMean(x, d), d), back);
    },
  );
  await fc.assert(run, { numRuns: 20 });
});

test('a subdivided structure pools back to its parents', async () => {
  const run = fc.asyncProperty(voxelSets({}), async (voxels) => {
    fc.pre(voxels.length > 0);
    using structure = await SparseStructure.create(
      device.tensor(flatten(voxels), [voxels.length, 4]),
    );
    const fine = await structure.subdivide();
    expect(fine.lengths).toEqual(structure.lengths.map((n) => 8 * n));
    expect(fine.bounds).toEqual({
      min: structure.bounds!.min.map((c) => 2 * c),
      max: structure.bounds!.max.map((c) => 2 * c + 1),
    });
    const children = unflatten(await fine.coords.values(), 4);
    for (const [at, child] of children.entries()) {
      const [b, x, y, z] = voxels[at >> 3]!;
      const c = at & 7;
      expect(child).toEqual([b, 2 * x + (c >> 2), 2 * y + ((c >> 1) & 1), 2 * z + (c & 1)]);
    }
    const feats = values(voxels.length * 2);
    const out = await subdivideFeats(device.tensor(feats, [voxels.length, 2])).floats();
    expect(unflatten(out, 2)).toEqual(
      unflatten(feats, 2).flatMap((row) => Array.from({ length: 8 }, () => row)),
    );
  });
  await fc.assert(run, { numRuns: 15 });
});

test('segments: empty ones give 0, NaN passes through, f16 rounds once', async () => {
  const order = device.tensor([2, 0, 1, 2], [4], 'i32');
  const offsets = device.tensor([0, 1, 1, 4], [4], 'i32');
  const x = device.tensor([1, 2, NaN], [3]);
  for (const reduce of ['sum', 'mean'] as const) {
    expect([...(await segmentReduce(x, order, offsets, { reduce }).values())]).toEqual([
      NaN,
      0,
      NaN,
    ]);
  }
  // 2048 + 1 rounds to 2048 in f16; summed wider, the mean of three is exact before its one rounding.
  const half = device.tensor([2048, 1, 1], [3], 'f16');
  const whole = device.tensor([0, 3], [2], 'i32');
  const rows = device.tensor([0, 1, 2], [3], 'i32');
  expect(await segmentReduce(half, rows, whole, { reduce: 'sum' }).item()).toBe(2050);
  expect(() => segmentReduce(x, order, offsets, { reduce: 'mode' as 'sum' })).toThrow(InputError);
});

test('group norm: elements are independent, the activation comes last', async () => {
  const [rows, channels, groups] = [9, 6, 2];
  const feats = values(rows * channels);
  const starts = [0, 4, 4, 5, 9];
  const weight = values(channels, 2);
  const bias = values(channels, 3);
  const expected = new Float64Array(feats.length);
  for (let b = 0; b + 1 < starts.length; b++) {
    for (let g = 0; g < groups; g++) {
      const members: number[] = [];
      for (let row = starts[b]!; row < starts[b + 1]!; row++) {
        for (let c = 0; c < 3; c++) members.push(row * channels + g * 3 + c);
      }
      const mean = members.reduce((sum, at) => sum + feats[at]!, 0) / members.length;
      const square = members.reduce((sum, at) => sum + (feats[at]! - mean) ** 2, 0);
      for (const at of members) {
        const normal = (feats[at]! - mean) / Math.sqrt(square / members.length + 1e-3);
        const value = normal * weight[at % channels]! + bias[at % channels]!;
        expected[at] = value / (1 + Math.exp(-value));
      }
    }
  }
  const out = sparseGroupNorm(
    device.tensor(feats, [rows, channels]),
    device.tensor(weight, [channels]),
    device.tensor(bias, [channels]),
    device.tensor(starts, [starts.length], 'i32'),
    { groups, eps: 1e-3, activation: 'silu' },
  );
  expect(relativeL2(await out.floats(), expected)).toBeLessThan(1e-6);
});
