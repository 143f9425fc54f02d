/** Mesh extraction as tensor operations, against the host's loops. */
import type { Device } from '@pergola/core';
import {
  arrangeMeshCells,
  arrangeMeshVoxels,
  extractMesh,
  extractMeshOnDevice,
  type ExtractedMesh,
  type MeshCells,
} from '@pergola/trellis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openTestDevice } from '../../../testdata/device.ts';
import { synthInput, unitValues } from '../../../testdata/synthetic.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

/** Cells of a grid, those left out that the noise says. */
function gridCells(resolution: number, name: string, share: number): Int32Array {
  const noise = unitValues(name, resolution ** 3);
  const rows: number[] = [];
  for (let i = 0; i < noise.length; i++) {
    const x = Math.floor(i / resolution ** 2);
    const y = Math.floor(i / resolution) % resolution;
    if ((noise[i]! + 1) / 2 < share) rows.push(x, y, i % resolution);
  }
  return Int32Array.from(rows);
}

/** Distances about zero: every second point lies inside, so all cases occur. */
function noiseRecords(name: string, count: number, channels: number): Float32Array {
  return synthInput(name, [count, channels]);
}

async function extract(
  cells: MeshCells,
  features: Float32Array,
  channels: number,
): Promise<ExtractedMesh> {
  using records = device.tensor(features, [cells.count, channels]);
  return await extractMeshOnDevice(cells, records);
}

function farthest(a: Float32Array | null, b: Float32Array | null): number {
  expect(a?.length).toBe(b?.length);
  let worst = 0;
  for (let i = 0; i < (a?.length ?? 0); i++) worst = Math.max(worst, Math.abs(a![i]! - b![i]!));
  return worst;
}

function expectSame(mesh: ExtractedMesh, expected: ExtractedMesh): void {
  expect(mesh.success).toBe(expected.success);
  expect(mesh.faces).toEqual(expected.faces);
  for (const column of ['vertices', 'colors', 'normals'] as const) {
    expect(farthest(mesh[column], expected[column])).toBeLessThan(2e-6);
  }
}

describe('on a device as on the host', () => {
  test.each([
    // Grids that end within a block, at its end, and one of a single block; dense and with cells missing.
    { resolution: 6, share: 1, channels: 101 },
    { resolution: 8, share: 0.8, channels: 53 },
    { resolution: 9, share: 0.3, channels: 101 },
    { resolution: 3, share: 1, channels: 53 },
    { resolution: 1, share: 1, channels: 101 },
    { resolution: 13, share: 0.1, channels: 101 },
  ])(
    'noise in a grid of $resolution, $share of the cells, $channels channels',
    async ({ resolution, share, channels }) => {
      const name = `device-mesh.${resolution}`;
      const coords = gridCells(resolution, `${name}.cells`, share);
      const count = coords.length / 3;
      const features = noiseRecords(name, count, channels);
      const before = device.memory().liveBytes;
      const mesh = await extract(
        arrangeMeshCells(coords, count, { resolution }),
        features,
        channels,
      );
      const expected = extractMesh(coords, features, { resolution });
      expect(expected.success).toBe(true);
      expectSame(mesh, expected);
      expect(device.memory().liveBytes).toBe(before);
    },
  );

  test('cells of subdivided voxels, up to the border of the grid', async () => {
    const voxels = Int32Array.of(0, 0, 0, 2, 2, 2, 2, 2, 1, 0, 1, 2, 1, 1, 1);
    const cells = arrangeMeshVoxels(voxels, 5, { resolution: 12 });
    const coords = new Int32Array(cells.count * 3);
    for (let row = 0; row < cells.count; row++) {
      // Bits 5 to 3 of the row within a voxel are the octant, bits 2 to 0 that within it, x highest.
      for (let axis = 0; axis < 3; axis++) {
        const within = 2 * ((row >> (5 - axis)) & 1) + ((row >> (2 - axis)) & 1);
        coords[row * 3 + axis] = 4 * voxels[(row >> 6) * 3 + axis]! + within;
      }
    }
    const features = noiseRecords('device-mesh.voxels', cells.count, 101);
    expectSame(
      await extract(cells, features, 101),
      extractMesh(coords, features, { resolution: 12 }),
    );
  });
});

test.each([53, 101])('no surface gives an empty mesh, %i channels', async (channels) => {
  const cells = arrangeMeshCells(Int32Array.of(1, 2, 3), 1, { resolution: 8 });
  const features = new Float32Array(channels).fill(1);
  const mesh = await extract(cells, features, channels);
  expect(mesh).toEqual(extractMesh(Int32Array.of(1, 2, 3), features, { resolution: 8 }));
  expect(mesh.success).toBe(false);
});

test('rejects records that do not fit the cells', async () => {
  const cells = arrangeMeshCells(Int32Array.of(1, 2, 3), 1, { resolution: 8 });
  await expect(extract({ ...cells, count: 2 }, new Float32Array(106), 53)).rejects.toThrow(
    'extractMeshOnDevice: records must be [1, 53] or [1, 101], got [2, 53].',
  );
  await expect(extract(cells, new Float32Array(54), 54)).rejects.toThrow('got [1, 54].');
});
