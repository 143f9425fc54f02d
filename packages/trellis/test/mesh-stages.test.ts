/** Mesh extraction by stages, on a device and against the one-shot function. */
import type { Device } from '@pergola/core';
import { SparseStructure, SparseTensor } from '@pergola/sparse';
import {
  arrangeMeshCells,
  arrangeMeshVoxels,
  buildSurfaceMesh,
  extractMesh,
  findMeshSurface,
  readMeshes,
  type ExtractedMesh,
} from '@pergola/trellis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openTestDevice } from '../../../testdata/device.ts';
import { synthInput } from '../../../testdata/synthetic.ts';

const RESOLUTION = 20;

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.dispose());

/** Cells of a shell round a sphere, as rows `(batch, x, y, z)`. */
function shell(batch: number, radius: number): number[] {
  const rows: number[] = [];
  for (let x = 0; x < RESOLUTION; x++) {
    for (let y = 0; y < RESOLUTION; y++) {
      for (let z = 0; z < RESOLUTION; z++) {
        const distance = Math.hypot(x - 9.3, y - 9.6, z - 9.1) - radius;
        if (Math.abs(distance) < 2.2) rows.push(batch, x, y, z);
      }
    }
  }
  return rows;
}

/** Predictions of a sphere with noise everywhere, so that every contribution matters. */
function predictions(coords: Int32Array, radius: number, channels: number): Float32Array {
  const count = coords.length / 4;
  const features = synthInput(`stages.${radius}`, [count, channels]);
  for (let cell = 0; cell < count; cell++) {
    for (let corner = 0; corner < 8; corner++) {
      const distance = Math.hypot(
        coords[cell * 4 + 1]! + (corner & 1) - 9.8,
        coords[cell * 4 + 2]! + ((corner >> 1) & 1) - 10.1,
        coords[cell * 4 + 3]! + (corner >> 2) - 9.6,
      );
      const at = cell * channels + corner;
      features[at] = (distance - radius + 1 + 0.4 * features[at]!) / RESOLUTION;
    }
  }
  return features;
}

/** The device's activations differ from the host's in the last places; everything else is the same. */
function expectClose(mesh: ExtractedMesh, expected: ExtractedMesh): void {
  const { vertices, colors, normals, ...rest } = mesh;
  expect(rest).toEqual({ kind: 'mesh', faces: expected.faces, success: expected.success });
  expect(maxDifference(vertices, expected.vertices)).toBeLessThan(2e-6);
  expect(maxDifference(colors, expected.colors)).toBeLessThan(2e-6);
  expect(maxDifference(normals, expected.normals)).toBeLessThan(2e-6);
}

function maxDifference(a: Float32Array | null, b: Float32Array | null): number {
  expect(a?.length).toBe(b?.length);
  let worst = 0;
  for (let i = 0; i < (a?.length ?? 0); i++) worst = Math.max(worst, Math.abs(a![i]! - b![i]!));
  return worst;
}

describe('readMeshes', () => {
  test.each([101, 53])(
    'equals extractMesh for every batch element, %i channels',
    async (channels) => {
      const before = device.memory().liveBytes;
      const radii = [5.2, 8.1];
      const parts = radii.map((radius, batch) => {
        const coords = Int32Array.from(shell(batch, radius));
        return { coords, features: predictions(coords, radius, channels) };
      });
      // The second element has no surface: all of its points lie outside.
      const far = Int32Array.of(2, 4, 4, 4, 2, 4, 4, 5);
      parts.splice(1, 0, { coords: far, features: new Float32Array(2 * channels).fill(1) });
      parts.forEach(({ coords }, batch) => {
        for (let at = 0; at < coords.length; at += 4) coords[at] = batch;
      });
      const coords = Int32Array.from(parts.flatMap((part) => [...part.coords]));
      const features = Float32Array.from(parts.flatMap((part) => [...part.features]));
      {
        const rows = coords.length / 4;
        using table = device.tensor(coords, [rows, 4]);
        using structure = await SparseStructure.create(table);
        using cells = new SparseTensor(structure, device.tensor(features, [rows, channels]));
        using _owned = cells.feats;
        const meshes = await readMeshes(cells, () =>
          parts.map((part) =>
            arrangeMeshCells(part.coords, part.coords.length / 4, { resolution: RESOLUTION }),
          ),
        );
        const whole = parts.map((part) =>
          extractMesh(part.coords, part.features, { resolution: RESOLUTION }),
        );
        meshes.forEach((mesh, element) => expectClose(mesh, whole[element]!));
        expect(meshes.map(({ success }) => success)).toEqual([true, false, true]);
        expect(meshes[2]!.faces.length).toBeGreaterThan(meshes[0]!.faces.length);
        expect(meshes[0]!.colors === null).toBe(channels === 53);
      }
      expect(device.memory().liveBytes).toBe(before);
    },
  );
});

test('the mesh does not depend on the order of the rows where distances agree', () => {
  const coords = Int32Array.from(shell(0, 6));
  const count = coords.length / 4;
  const features = predictions(coords, 6, 101);
  // Sums of distances follow the rows; whole numbers make them exact.
  for (let cell = 0; cell < count; cell++) {
    for (let c = cell * 101; c < cell * 101 + 8; c++) features[c] = Math.round(64 * features[c]!);
  }
  const options = { resolution: 16 };
  const fits = (at: number): boolean => Math.max(...coords.subarray(at + 1, at + 4)) < 16;
  const rows = Array.from({ length: count }, (_, cell) => cell).filter((cell) => fits(cell * 4));
  const pick = (order: number[]) =>
    extractMesh(
      Int32Array.from(order.flatMap((cell) => [...coords.subarray(cell * 4, cell * 4 + 4)])),
      Float32Array.from(
        order.flatMap((cell) => [...features.subarray(cell * 101, cell * 101 + 101)]),
      ),
      options,
    );
  const mesh = pick(rows);
  expect(mesh.faces.length).toBeGreaterThan(0);
  expect(pick(rows.toReversed())).toEqual(mesh);
});

test('cells of subdivided voxels are arranged as their coordinates say', async () => {
  const voxels = Int32Array.of(0, 1, 0, 2, 0, 1, 1, 2, 0, 4, 4, 4, 0, 0, 3, 1);
  const rows = voxels.length / 4;
  using table = device.tensor(voxels, [rows, 4]);
  using structure = await SparseStructure.create(table);
  const cells = await (await structure.subdivide()).subdivide();
  const coords = (await cells.coords.values()) as Int32Array;
  const own = (await structure.coords.values()) as Int32Array;
  const options = { resolution: RESOLUTION };
  const expected = arrangeMeshCells(coords, coords.length / 4, options);
  expect(arrangeMeshVoxels(own, rows, options)).toEqual(expected);
  const twice = Int32Array.of(1, 1, 1, 1, 1, 1);
  expect(() => arrangeMeshVoxels(twice, 2, options)).toThrow(
    'arrangeMeshVoxels: voxels must be distinct, got row 1 again.',
  );
  expect(() => arrangeMeshVoxels(twice, 2, { resolution: 18 })).toThrow(
    'arrangeMeshVoxels: resolution must be a multiple of 4, got 18.',
  );
  expect(() => arrangeMeshVoxels(Int32Array.of(5, 0, 0), 1, options)).toThrow(
    'arrangeMeshVoxels: coords must lie in 0 to 4, got 5 in row 0.',
  );
});

test('rejects what does not fit', () => {
  const cells = arrangeMeshCells(Int32Array.of(1, 1, 1), 1, { resolution: 4 });
  expect(() => findMeshSurface(cells, new Float32Array(9))).toThrow(
    'extractMesh: distances must be [1, 8], got 9 numbers.',
  );
  const surface = findMeshSurface(cells, new Float32Array(8).fill(-1));
  expect(surface.cellRows).toHaveLength(27 - 1);
  expect(surface.pointCorners.length % 8).toBe(0);
  const weights = new Float32Array(26 * 21);
  const displacements = new Float32Array((surface.pointCorners.length / 8) * 3);
  const build = (parts: object) => (): unknown =>
    buildSurfaceMesh(surface, { weights, displacements, attributes: null, ...parts });
  expect(build({})).not.toThrow();
  expect(build({ weights: new Float32Array(1) })).toThrow('weights must be [26, 21], got 1');
  expect(build({ displacements: weights })).toThrow('displacements must be [32, 3]');
  expect(build({ attributes: weights })).toThrow('attributes must be [32, 6]');
});
