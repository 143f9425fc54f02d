import { createCpuDevice } from '@pergola/core';
import { expect, test } from 'vitest';
import { poolPoints, unpoolPoints } from '../src/voxel-pooling.ts';
import { streetScan } from './scan.ts';

test('points pool into voxels and back, as a loop over them says', async () => {
  using device = await createCpuDevice();
  const before = device.memory().storages;
  const points = streetScan();
  const count = points.length / 3;
  using feats = device.tensor(points, [count, 3]);
  const pooled = await poolPoints(points, feats, 0.5);

  const members = new Map<string, number[]>();
  for (let p = 0; p < count; p++) {
    const key = [0, 1, 2].map((axis) => Math.floor(points[p * 3 + axis]! / 0.5)).join();
    members.set(key, [...(members.get(key) ?? []), p]);
  }
  const { voxels, counts, voxelOf } = pooled;
  expect(voxels.count).toBe(members.size);
  const coords = await voxels.coords.values();
  const rows = await voxels.feats.floats();
  const sizes = await counts.values();
  for (let v = 0; v < voxels.count; v++) {
    const own = members.get(coords.slice(v * 4 + 1, v * 4 + 4).join())!;
    expect(sizes[v]).toBe(own.length);
    for (let axis = 0; axis < 3; axis++) {
      const column = own.map((p) => points[p * 3 + axis]!);
      const mean = column.reduce((a, b) => a + b, 0) / column.length;
      expect(rows[v * 6 + axis]).toBeCloseTo(mean, 5);
      expect(rows[v * 6 + 3 + axis]).toBe(Math.max(...column));
    }
  }
  using back = unpoolPoints(voxels.feats, pooled);
  const [index, spread] = [await voxelOf.values(), await back.floats()];
  for (let p = 0; p < count; p++) expect(spread[p * 6]).toBe(rows[index[p]! * 6]);

  for (const part of [counts, voxelOf, back, feats, voxels, voxels.structure]) part.dispose();
  expect(device.memory().storages).toBe(before);
});
