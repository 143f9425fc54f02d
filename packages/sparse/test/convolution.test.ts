/** Sparse convolutions against dense ones and naive loops. */
import { conv3d, createCpuDevice, InputError, ShapeError, type Device } from '@pergola/core';
import { inverseConv3d, sparseConv3d, SparseStructure, submConv3d } from '@pergola/sparse';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { relativeL2 } from './golden.ts';
import {
  flatten,
  rowsByKey,
  unflatten,
  values,
  voxelKey,
  voxelSets,
  type Voxel,
} from './voxels.ts';

let device: Device;
beforeAll(async () => {
  device = await createCpuDevice();
});
afterAll(() => device.dispose());

const SIDE = 7;
const [INPUTS, OUTPUTS] = [3, 4];

/** Features on a zero-filled `[B, C, SIDE, SIDE, SIDE]` grid. */
function toDense(voxels: readonly Voxel[], feats: Float32Array, batches: number): Float32Array {
  const out = new Float32Array(batches * INPUTS * SIDE ** 3);
  for (const [row, [b, x, y, z]] of voxels.entries()) {
    for (let c = 0; c < INPUTS; c++) {
      out[(((b * INPUTS + c) * SIDE + x) * SIDE + y) * SIDE + z] = feats[row * INPUTS + c]!;
    }
  }
  return out;
}

/** `[Cout, k, k, k, Cin]` to `[Cout, Cin, k, k, k]`. */
function toDenseWeight(weight: Float32Array, taps: number): Float32Array {
  return Float32Array.from(weight, (_, at) => {
    const [o, i, t] = [Math.floor(at / INPUTS / taps), Math.floor(at / taps) % INPUTS, at % taps];
    return weight[(o * taps + t) * INPUTS + i]!;
  });
}

const grid = voxelSets({ min: 0, max: SIDE - 1, maxLength: 90 });

test.each([
  [3, 1],
  [3, 2],
  [5, 1],
  [1, 1],
])('submanifold convolution is dense convolution at the voxels: k=%i d=%i', async (k, dilation) => {
  const taps = k ** 3;
  const weights = values(OUTPUTS * taps * INPUTS, 5);
  const biases = values(OUTPUTS, 6);
  const run = fc.asyncProperty(grid, async (voxels) => {
    const feats = values(voxels.length * INPUTS, 7);
    using structure = await SparseStructure.create(
      device.tensor(flatten(voxels), [voxels.length, 4]),
      { batchSize: 2 },
    );
    const map = await structure.kernelMap({ kernelSize: k, dilation });
    const [sparse, dense] = await device.run(async () => {
      const bias = device.tensor(biases, [OUTPUTS]);
      const out = submConv3d(
        device.tensor(feats, [voxels.length, INPUTS]),
        device.tensor(weights, [OUTPUTS, k, k, k, INPUTS]),
        bias,
        map,
      );
      const volume = conv3d(
        device.tensor(toDense(voxels, feats, 2), [2, INPUTS, SIDE, SIDE, SIDE]),
        device.tensor(toDenseWeight(weights, taps), [OUTPUTS, INPUTS, k, k, k]),
        bias,
        { padding: (dilation * (k - 1)) / 2, dilation },
      );
      return Promise.all([out.floats(), volume.floats()]);
    });
    const expected = voxels.flatMap(([b, x, y, z]) =>
      Array.from(
        { length: OUTPUTS },
        (_, o) => dense[(((b * OUTPUTS + o) * SIDE + x) * SIDE + y) * SIDE + z]!,
      ),
    );
    if (voxels.length > 0) expect(relativeL2(sparse, expected)).toBeLessThan(1e-5);
  });
  await fc.assert(run, { numRuns: 8 });
});

const STRIDED = [
  { kernelSize: 2, stride: 2 },
  { kernelSize: 3, stride: 2, padding: 1 },
  { kernelSize: 3, stride: 2 },
  { kernelSize: 3, stride: 3, padding: 2, dilation: 2 },
  { kernelSize: 3, stride: 1, padding: 1 },
] as const;

interface Pair {
  readonly output: string;
  readonly tap: number;
  readonly input: number;
}

/** Every (output, tap, input) of a strided convolution, by searching all outputs round every voxel. */
function naivePairs(
  voxels: readonly Voxel[],
  options: { kernelSize: number; stride: number; padding?: number; dilation?: number },
  side: number | undefined,
): Pair[] {
  const { kernelSize: k, stride, padding = 0, dilation = 1 } = options;
  const extent =
    side === undefined
      ? Infinity
      : Math.floor((side + 2 * padding - dilation * (k - 1) - 1) / stride) + 1;
  const along = (q: number): [output: number, tap: number][] =>
    Array.from({ length: 61 }, (_, i) => i - 30).flatMap((p) =>
      Array.from({ length: k }, (_, tap): [number, number] => [p, tap]).filter(
        ([, tap]) =>
          p * stride - padding + dilation * tap === q &&
          (side === undefined || (p >= 0 && p < extent)),
      ),
    );
  return voxels.flatMap(([b, x, y, z], input) =>
    along(x).flatMap(([px, tx]) =>
      along(y).flatMap(([py, ty]) =>
        along(z).map(([pz, tz]) => ({
          output: voxelKey([b, px, py, pz]),
          tap: (tx * k + ty) * k + tz,
          input,
        })),
      ),
    ),
  );
}

test.each(STRIDED)(
  'strided and inverse convolution are their defining sums: %o',
  async (options) => {
    const taps = options.kernelSize ** 3;
    const k = options.kernelSize;
    const run = fc.asyncProperty(grid, fc.boolean(), async (voxels, unbounded) => {
      using structure = await SparseStructure.create(
        device.tensor(flatten(voxels), [voxels.length, 4]),
        { batchSize: 2 },
      );
      const map = await structure.strided({
        ...options,
        spatialShape: unbounded ? 'unbounded' : [SIDE, SIDE, SIDE],
      });
      const pairs = naivePairs(voxels, options, unbounded ? undefined : SIDE);
      const outputs = unflatten(await map.structure.coords.values(), 4);
      const rows = rowsByKey(outputs);
      expect(new Set(rows.keys())).toEqual(new Set(pairs.map((pair) => pair.output)));

      const [x, y] = [values(voxels.length * INPUTS, 3), values(outputs.length * INPUTS, 4)];
      const weights = values(OUTPUTS * taps * INPUTS, 5);
      const forward = new Float64Array(outputs.length * OUTPUTS);
      const inverse = new Float64Array(voxels.length * OUTPUTS);
      for (const { output, tap, input } of pairs) {
        const row = rows.get(output)!;
        for (let o = 0; o < OUTPUTS; o++) {
          for (let i = 0; i < INPUTS; i++) {
            const w = weights[(o * taps + tap) * INPUTS + i]!;
            forward[row * OUTPUTS + o]! += w * x[input * INPUTS + i]!;
            inverse[input * OUTPUTS + o]! += w * y[row * INPUTS + i]!;
          }
        }
      }
      const [there, back] = await device.run(async () => {
        const weight = device.tensor(weights, [OUTPUTS, k, k, k, INPUTS]);
        const down = sparseConv3d(
          device.tensor(x, [voxels.length, INPUTS]),
          weight,
          undefined,
          map,
        );
        const up = inverseConv3d(
          device.tensor(y, [outputs.length, INPUTS]),
          weight,
          undefined,
          map,
        );
        return Promise.all([down.floats(), up.floats()]);
      });
      if (pairs.length === 0) return;
      expect(relativeL2(there, forward)).toBeLessThan(1e-5);
      expect(relativeL2(back, inverse)).toBeLessThan(1e-5);
    });
    await fc.assert(run, { numRuns: 8 });
  },
);

test('convolutions say what does not fit', async () => {
  const coords = device.tensor(flatten([[0, 0, 0, 0]]), [1, 4]);
  using structure = await SparseStructure.create(coords);
  const map = await structure.kernelMap({ kernelSize: 3 });
  const x = device.tensor(values(4), [1, 4]);
  const weight = device.tensor(values(2 * 125 * 4), [2, 5, 5, 5, 4]);
  expect(() => submConv3d(x, weight, undefined, map)).toThrow(
    'submConv3d: weight must be [Cout, k, k, k, Cin] with k = 3 (kernel map), got [2, 5, 5, 5, 4].',
  );
  expect(() => submConv3d(x, weight, undefined, undefined)).toThrow(InputError);
  const narrow = device.tensor(values(2 * 27 * 3), [2, 3, 3, 3, 3]);
  expect(() => submConv3d(x, narrow, undefined, map)).toThrow(ShapeError);
  const rows = device.tensor(values(8), [2, 4]);
  const fitting = device.tensor(values(2 * 27 * 4), [2, 3, 3, 3, 4]);
  expect(() => submConv3d(rows, fitting, undefined, map)).toThrow(
    'submConv3d: x must be [1, ...] (one row per voxel), got [2, 4].',
  );
  await expect(structure.kernelMap({ kernelSize: 2 })).rejects.toThrow(
    'kernelMap: kernelSize must be odd, got 2.',
  );
});
