import { createCpuDevice, type Device } from '@pergola/core';
import { SparseTensor, transformCoords, uniqueCoords } from '@pergola/sparse';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { forward, prepare, randomWeights, type MinkUNetConfig } from '../src/minkunet.ts';
import { voxelize } from '../src/voxel-pooling.ts';
import { streetScan } from './scan.ts';

const CONFIG: MinkUNetConfig = { inputs: 1, classes: 5, widths: [8, 16, 24] };
let device: Device;
beforeAll(async () => {
  device = await createCpuDevice();
});
afterAll(() => device.dispose());

/** Scores of every voxel, row by row, for a scan moved by whole voxels along each axis. */
async function segment(move: number): Promise<Float32Array> {
  return device.run(async () => {
    const { coords } = await uniqueCoords(voxelize(device, streetScan(), 0.2));
    const count = coords.shape[0]!;
    const ones = device.tensor(new Float32Array(count).fill(1), [count, 1]);
    const scan = await SparseTensor.create(transformCoords(coords, { shift: move }), ones);
    await prepare(scan.structure, CONFIG.widths.length);
    const scores = forward(scan, randomWeights(device, CONFIG), CONFIG);
    expect(scores.shape).toEqual([count, CONFIG.classes]);
    return scores.floats();
  });
}

test('every voxel of a scan gets class scores, and nothing leaks', async () => {
  const before = device.memory().storages;
  const scores = await segment(0);
  expect(scores.length).toBeGreaterThan(1000 * CONFIG.classes);
  expect(scores.every(Number.isFinite)).toBe(true);
  expect(Math.max(...scores) - Math.min(...scores)).toBeGreaterThan(0.5);
  expect(device.memory().storages).toBe(before);
});

test('scores move with the scan by voxels of the coarsest level, and not by less', async () => {
  const [still, moved, between] = [await segment(0), await segment(-8), await segment(1)];
  const distance = (other: Float32Array): number =>
    Math.max(...still.map((score, i) => Math.abs(score - other[i]!)));
  expect(distance(moved)).toBeLessThan(1e-4);
  expect(distance(between)).toBeGreaterThan(1e-2);
});
