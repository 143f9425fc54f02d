/** Sparse structures and features on the WebGPU device: everything equals what the CPU makes of the same voxels. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCpuDevice, InputError, type Device, type Tensor } from '@pergola/core';
import {
  downsampleFeats,
  inverseConv3d,
  poolMax,
  sparseConv3d,
  sparseGroupNorm,
  SparseStructure,
  subdivideFeats,
  submConv3d,
  upsampleFeats,
  windowAttention,
} from '@pergola/sparse';
import { openDevice } from './adapter.ts';

let gpu: Device;
let cpu: Device;
beforeAll(async () => {
  [gpu, cpu] = await Promise.all([openDevice(), createCpuDevice()]);
});
afterAll(() => {
  gpu.dispose();
  cpu.dispose();
});

/** Half of the voxels of two boxes, rows of a batch element in no order. */
function voxels(): Int32Array {
  const rows: number[][] = [];
  for (let batch = 0; batch < 2; batch++) {
    for (let i = 0; i < 343; i++) {
      const place = (i * 101) % 343;
      if ((place * 7919 + batch) % 97 < 48) {
        rows.push([batch, Math.floor(place / 49), Math.floor(place / 7) % 7, place % 7]);
      }
    }
  }
  return Int32Array.from(rows.flat());
}

/** Numbers of about unit size. */
function wave(length: number, seed: number): Float32Array {
  return Float32Array.from(
    { length },
    (_, i) => 1.5 * Math.sin(1.7 * i * (1 + 0.37 * seed) + seed),
  );
}

async function structureOn(device: Device): Promise<SparseStructure> {
  const coords = voxels();
  using tensor = device.tensor(coords, [coords.length / 4, 4]);
  return SparseStructure.create(tensor);
}

type Values = readonly number[];

async function read(tensors: readonly Tensor[]): Promise<Values[]> {
  const out: Values[] = [];
  for (const tensor of tensors) {
    out.push([...(await tensor.values())]);
    tensor.dispose();
  }
  return out;
}

/** Runs `body` on both devices; \`close\` bounds the difference, 0 for equality. */
async function compare(
  body: (structure: SparseStructure, device: Device) => Promise<Tensor[]>,
  close = 0,
): Promise<void> {
  const results: Values[][] = [];
  for (const device of [cpu, gpu]) {
    const before = device.memory().storages;
    using structure = await structureOn(device);
    results.push(await read(await body(structure, device)));
    structure.dispose();
    expect(device.memory().storages).toBe(before);
  }
  const [expected, actual] = results as [Values[], Values[]];
  for (const [i, values] of expected.entries()) {
    const got = actual[i]!;
    expect(got).toHaveLength(values.length);
    const worst = values.reduce((most, v, at) => Math.max(most, Math.abs(v - got[at]!)), 0);
    expect(worst).toBeLessThanOrEqual(close);
  }
}

describe('structures', () => {
  test('facts and kernel maps', () =>
    compare(async (structure) => {
      expect(structure.batchSize).toBe(2);
      expect(structure.lengths.reduce((sum, n) => sum + n, 0)).toBe(structure.count);
      const map = await structure.kernelMap({ kernelSize: 3 });
      const wide = await structure.kernelMap({ kernelSize: 3, dilation: 2 });
      return [structure.offsets.alias(), map.map.alias(), wide.map.alias()];
    }));

  test('windows and curves', () =>
    compare(async (structure) => {
      const windows = await structure.windows({ size: 4, shift: 2 });
      const chunks = await structure.serialize({ order: 'hilbert', window: 32, sequenceShift: 5 });
      return [windows, chunks].flatMap(({ order, inverse, offsets }) => [
        order.alias(),
        inverse.alias(),
        offsets.alias(),
      ]);
    }));

  test('coarser, finer and strided', () =>
    compare(async (structure) => {
      const coarse = await structure.downsample(2);
      const fine = await structure.subdivide();
      const strided = await structure.strided({ kernelSize: 3, stride: 2, padding: 1 });
      return [
        coarse.structure.coords,
        coarse.index,
        coarse.order,
        coarse.offsets,
        fine.coords,
        strided.structure.coords,
        strided.forward.map,
        strided.inverse.map,
      ].map((tensor) => tensor.alias());
    }));

  test('duplicates are refused and named', async () => {
    using coords = gpu.tensor(Int32Array.of(0, 1, 2, 3, 0, 4, 5, 6, 0, 1, 2, 3), [3, 4]);
    await expect(SparseStructure.create(coords)).rejects.toThrow(InputError);
    await expect(SparseStructure.create(coords)).rejects.toThrow('row 2, (0, 1, 2, 3)');
  });
});

describe('features', () => {
  test('convolutions, group norm and changes of resolution', () =>
    compare(async (structure, device) => {
      const map = await structure.kernelMap({ kernelSize: 3 });
      const strided = await structure.strided({ kernelSize: 3, stride: 2, padding: 1 });
      const coarse = await structure.downsample(2);
      return device.run(() => {
        const x = device.tensor(wave(structure.count * 12, 1), [structure.count, 12]);
        const weight = device.tensor(wave(16 * 27 * 12, 2), [16, 3, 3, 3, 12]);
        const back = device.tensor(wave(12 * 27 * 16, 3), [12, 3, 3, 3, 16]);
        const bias = device.tensor(wave(16, 4), [16]);
        const h = submConv3d(x, weight, bias, map);
        const n = sparseGroupNorm(h, bias, undefined, structure.offsets, {
          groups: 4,
          activation: 'silu',
        });
        const down = sparseConv3d(x, weight, bias, strided);
        const pooled = downsampleFeats(n, coarse, { divisor: 'count+1' });
        return [
          h,
          n,
          down,
          inverseConv3d(down, back, undefined, strided),
          pooled,
          poolMax(n, coarse),
          upsampleFeats(pooled, coarse),
          subdivideFeats(pooled),
        ];
      });
    }, 5e-3));

  test('attention in windows', () =>
    compare(async (structure, device) => {
      const windows = await structure.windows({ size: 4 });
      return device.run(() => {
        const [q, k, v] = [1, 2, 3].map((seed) =>
          device.tensor(wave(structure.count * 2 * 8, seed), [structure.count, 2, 8]),
        );
        return [windowAttention(q!, k!, v!, windows)];
      });
    }, 1e-4));
});
