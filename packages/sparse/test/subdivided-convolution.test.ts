/** Convolution of subdivided features on their parents, against the convolution on the children. */
import { createCpuDevice, ShapeError, type Device } from '@pergola/core';
import { SparseStructure, subdividedConv3d, subdivideFeats, submConv3d } from '@pergola/sparse';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { synthInput } from '../../../testdata/synthetic.ts';

describe('subdividedConv3d', () => {
  let device: Device;
  beforeAll(async () => {
    device = await createCpuDevice();
  });
  afterAll(() => device.dispose());

  /** Voxels of two grids, some of them neighbours. */
  function coords(): Int32Array {
    const rows: number[] = [];
    for (const batch of [0, 1]) {
      for (let i = 0; i < 125; i++) {
        const [x, y, z] = [Math.floor(i / 25), Math.floor(i / 5) % 5, i % 5];
        if ((x * 7 + y * 3 + z * 5 + batch) % 4 < 2) rows.push(batch, x, y, z);
      }
    }
    return Int32Array.from(rows);
  }

  test('equals the convolution on the children', async () => {
    await device.run(async () => {
      const rows = coords();
      const structure = await SparseStructure.create(device.tensor(rows, [rows.length / 4, 4]));
      const children = await structure.subdivide();
      const [inputs, outputs] = [5, 7];
      const shape = [outputs, 3, 3, 3, inputs];
      const x = device.tensor(synthInput('x', [structure.count, inputs]), [
        structure.count,
        inputs,
      ]);
      const weight = device.tensor(synthInput('weight', shape), shape);
      const bias = device.tensor(synthInput('bias', [outputs]), [outputs]);
      const onParents = await structure.kernelMap({ kernelSize: 3 });
      const onChildren = await children.kernelMap({ kernelSize: 3 });
      const expected = submConv3d(subdivideFeats(x), weight, bias, onChildren);
      const got = subdividedConv3d(x, weight, bias, onParents);
      expect(got.shape).toEqual(expected.shape);
      const [a, b] = [await got.floats(), await expected.floats()];
      const apart = a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
      const largest = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(apart).toBeLessThan(1e-6 * largest);
    });
  });

  test('leaves nothing behind and refuses other kernels', async () => {
    const rows = coords();
    const structure = await SparseStructure.create(device.tensor(rows, [rows.length / 4, 4]));
    const map = await structure.kernelMap({ kernelSize: 3 });
    const x = device.tensor(new Float32Array(structure.count * 2), [structure.count, 2]);
    const weight = device.tensor(new Float32Array(3 * 27 * 2), [3, 3, 3, 3, 2]);
    const before = device.memory().liveBytes;
    subdividedConv3d(x, weight, undefined, map).dispose();
    expect(device.memory().liveBytes).toBe(before);
    const small = device.tensor(new Float32Array(3 * 2), [3, 1, 1, 1, 2]);
    expect(() => subdividedConv3d(x, small, undefined, map)).toThrow(ShapeError);
    expect(() => subdividedConv3d(small.reshape(3, 2), weight, undefined, map)).toThrow(ShapeError);
    for (const resource of [x, weight, small, structure]) resource.dispose();
  });
});
