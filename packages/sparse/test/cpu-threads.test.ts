/** CPU kernels on inputs large enough for several threads: the same bits as one thread, and as the general path. */
import { createCpuDevice, type Device, type StorageArray, type Tensor } from '@pergola/core';
import {
  buildHash,
  inspectCoords,
  lookupHash,
  neighborMap,
  poolMax,
  poolMean,
  sparseGroupNorm,
  SparseStructure,
  submConv3d,
} from '@pergola/sparse';
import { expect, test } from 'vitest';
import { flatten, values } from './voxels.ts';

/** A shell of about 12 000 voxels, and one half of it in a second batch element. */
function voxels(): number[][] {
  const out: number[][] = [];
  for (const [batch, from] of [
    [0, -40],
    [1, 0],
  ] as const) {
    for (let x = from; x <= 40; x++) {
      for (let y = -40; y <= 40; y++) {
        for (let z = -40; z <= 40; z++) {
          if (Math.abs(Math.hypot(x, y, z) - 25) < 0.55) out.push([batch, x, y, z]);
        }
      }
    }
  }
  return out;
}

function sameBytes(a: StorageArray, b: StorageArray): boolean {
  return Buffer.from(a.buffer).equals(Buffer.from(b.buffer));
}

async function everything(device: Device): Promise<Record<string, StorageArray>> {
  const list = voxels();
  const coords = device.tensor(flatten(list), [list.length, 4]);
  using structure = await SparseStructure.create(coords);
  const map = await structure.kernelMap({ kernelSize: 3 });
  const d = await structure.downsample(2);
  const windows = await structure.windows({ size: 8, shift: 4 });
  const x = device.tensor(values(list.length * 16), [list.length, 16]);
  const weight = device.tensor(values(24 * 27 * 16, 3), [24, 3, 3, 3, 16]);
  const bias = device.tensor(values(24, 4), [24]);
  const results: Record<string, Tensor> = {
    map: map.map,
    index: d.index,
    order: windows.order,
    report: inspectCoords(coords, buildHash(coords).slots),
    rows: lookupHash(buildHash(coords), coords),
    conv: submConv3d(x, weight, bias, map),
    norm: sparseGroupNorm(x, undefined, undefined, structure.offsets, { groups: 4 }),
    mean: poolMean(x, d),
    max: poolMax(x, d),
  };
  const out: Record<string, StorageArray> = {};
  for (const [name, tensor] of Object.entries(results)) out[name] = await tensor.data();
  return out;
}

test('results do not depend on the number of threads', async () => {
  using one = await createCpuDevice({ threads: 1 });
  using four = await createCpuDevice({ threads: 4 });
  const [alone, together] = [await everything(one), await everything(four)];
  for (const [name, data] of Object.entries(alone))
    expect(sameBytes(together[name]!, data), name).toBe(true);
});

test.each([3, 5])(
  'both ways to a neighbour map agree, also with repeated rows: %i taps',
  async (k) => {
    using device = await createCpuDevice({ threads: 4 });
    const list = voxels().slice(0, 4000);
    for (const rows of [
      list,
      [...list.slice(0, 300), ...list.slice(100, 250), ...list.slice(0, 9)],
    ]) {
      const coords = device.tensor(flatten(rows), [rows.length, 4]);
      const table = buildHash(coords);
      // Another buffer with the same queries hides from the kernel that they are the table's own.
      const others = device.tensor(flatten(rows), [rows.length, 4]);
      const symmetric = await neighborMap(coords, table, { kernelSize: k }).data();
      const general = await neighborMap(others, table, { kernelSize: k }).data();
      expect(sameBytes(general, symmetric)).toBe(true);
    }
  },
);
