/** Space-filling curves, and attention over chunks of them. */
import { createCpuDevice, InputError, type Device } from '@pergola/core';
import {
  CURVE_ORDERS,
  curveCodes,
  SparseStructure,
  windowAttention,
  type CurveOrder,
} from '@pergola/sparse';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { relativeL2 } from './golden.ts';
import { flatten, values, voxelSets, type Voxel } from './voxels.ts';

let device: Device;
beforeAll(async () => {
  device = await createCpuDevice();
});
afterAll(() => device.dispose());

function grid(side: number): Voxel[] {
  return Array.from({ length: side ** 3 }, (_, i): Voxel => [
    0,
    Math.floor(i / side / side),
    Math.floor(i / side) % side,
    i % side,
  ]);
}

async function codesOf(
  voxels: readonly Voxel[],
  options: { order: CurveOrder; bits?: number; shift?: number },
): Promise<number[]> {
  const coords = device.tensor(flatten(voxels), [voxels.length, 4]);
  return [...(await curveCodes(coords, options).values())];
}

describe.each([...CURVE_ORDERS])('%s order', (order) => {
  test('is a bijection of the grid that fills aligned cubes one after another', async () => {
    const voxels = grid(8);
    // The first 8^3 codes of a larger curve are those of its first cube.
    for (const bits of [3, 10]) {
      const codes = await codesOf(voxels, { order, bits });
      expect(codes.toSorted((a, b) => a - b)).toEqual(codes.map((_, i) => i));
      const cubes = new Map<number, Set<string>>();
      for (const [row, [, x, y, z]] of voxels.entries()) {
        const eighth = Math.floor(codes[row]! / 64);
        const cube = [x >> 2, y >> 2, z >> 2].join();
        cubes.set(eighth, (cubes.get(eighth) ?? new Set()).add(cube));
      }
      expect([...cubes.values()].map((set) => set.size)).toEqual(Array(8).fill(1));
    }
  });

  test('the transposed order is the plain one with x and y exchanged', async () => {
    const voxels = grid(6);
    const base = order.replace('-transposed', '') as CurveOrder;
    const swapped = voxels.map(([b, x, y, z]): Voxel => [b, y, x, z]);
    const [plain, transposed] = await Promise.all([
      codesOf(voxels, { order: base }),
      codesOf(swapped, { order: `${base}-transposed` as CurveOrder }),
    ]);
    expect(transposed).toEqual(plain);
  });
});

test.each(['hilbert', 'hilbert-transposed'] as const)(
  'neighbours along the %s curve are neighbours in space',
  async (order) => {
    for (const [side, bits] of [
      [8, 10],
      [16, 4],
    ] as const) {
      const voxels = grid(side);
      const codes = await codesOf(voxels, { order, bits });
      const along = voxels.toSorted(
        (a, b) => codes[voxels.indexOf(a)]! - codes[voxels.indexOf(b)]!,
      );
      for (const [i, [, x, y, z]] of along.slice(1).entries()) {
        const [, px, py, pz] = along[i]!;
        expect(Math.abs(x - px) + Math.abs(y - py) + Math.abs(z - pz)).toBe(1);
      }
    }
  },
);

test('z-order interleaves bits, x on top', async () => {
  expect(
    await codesOf(
      [
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
        [0, 2, 0, 0],
        [0, 1023, 1023, 1023],
      ],
      { order: 'z' },
    ),
  ).toEqual([4, 2, 1, 32, 2 ** 30 - 1]);
});

/** The definition, chunk by chunk: (sequence of curve positions, positions it owns) of one element of n voxels. */
function naiveChunks(n: number, window: number, shift: number): [number[], number[]][] {
  const all = Array.from({ length: n }, (_, i) => i);
  if (n <= window) return n === 0 ? [] : [[all, all]];
  const count = Math.ceil(n / window);
  const share = n / count;
  const modulo = (i: number): number => ((i % n) + n) % n;
  return Array.from({ length: count }, (_, i): [number[], number[]] => {
    const start = Math.floor((i + 0.5) * share + shift - window / 2);
    const [low, high] = [Math.floor(i * share + shift), Math.floor((i + 1) * share + shift)];
    return [
      Array.from({ length: window }, (_place, j) => modulo(start + j)),
      Array.from({ length: high - low }, (_place, j) => modulo(low + j)),
    ];
  });
}

test('chunks own every voxel once and are padded by their neighbours along the curve', async () => {
  const run = fc.asyncProperty(
    voxelSets({ batches: 3, min: 0, max: 6, maxLength: 80 }),
    fc.integer({ min: 1, max: 24 }),
    fc.nat(),
    fc.constantFrom(...CURVE_ORDERS),
    async (voxels, window, shift, order) => {
      const sequenceShift = shift % (window + 1);
      using coords = device.tensor(flatten(voxels), [voxels.length, 4]);
      using structure = await SparseStructure.create(coords, { batchSize: 3 });
      const part = await structure.serialize({ order, window, sequenceShift, shift: 2 });
      const codes = await codesOf(voxels, { order, shift: 2 });
      const places = [...(await part.order.values())];
      const offsets = [...(await part.offsets.values())];
      const inverse = [...(await part.inverse.values())];
      const expected = [0, 1, 2].flatMap((batch) => {
        const rows = voxels
          .flatMap(([b], row) => (b === batch ? [row] : []))
          .toSorted((a, b) => codes[a]! - codes[b]!);
        return naiveChunks(rows.length, window, sequenceShift).map(([all, own]) => ({
          all: all.map((at) => rows[at]!),
          own: new Set(own.map((at) => rows[at]!)),
        }));
      });
      expect(offsets.slice(1).map((end, s) => places.slice(offsets[s], end))).toEqual(
        expected.map(({ all }) => all),
      );
      expect(part.maxLength).toBe(Math.max(0, ...expected.map(({ all }) => all.length)));
      for (const [row, place] of inverse.entries()) {
        expect(places[place]).toBe(row);
        const sequence = offsets.findLastIndex((start) => start <= place);
        expect(expected[sequence]!.own.has(row)).toBe(true);
      }
    },
  );
  await fc.assert(run, { numRuns: 40 });
});

test('attention over chunks is attention inside each of them', async () => {
  const voxels = grid(4).slice(0, 50);
  using coords = device.tensor(flatten(voxels), [voxels.length, 4]);
  using structure = await SparseStructure.create(coords);
  const part = await structure.serialize({ order: 'hilbert', window: 16, sequenceShift: 8 });
  const [q, k, v] = [1, 2, 3].map((seed) => values(50 * 2, seed));
  const [tq, tk, tv] = [q!, k!, v!].map((data) => device.tensor(data, [50, 1, 2]));
  const out = await windowAttention(tq!, tk!, tv!, part).floats();
  const [order, inverse, offsets] = await Promise.all([
    part.order.values(),
    part.inverse.values(),
    part.offsets.values(),
  ]);
  const expected = voxels.flatMap((_, row) => {
    const sequence = offsets.findLastIndex((start) => start <= inverse[row]!);
    const rows = [...order.slice(offsets[sequence], offsets[sequence + 1])];
    const scores = rows.map((other) =>
      Math.exp(
        (q![row * 2]! * k![other * 2]! + q![row * 2 + 1]! * k![other * 2 + 1]!) / Math.SQRT2,
      ),
    );
    const total = scores.reduce((a, b) => a + b, 0);
    return [0, 1].map(
      (c) => rows.reduce((sum, other, i) => sum + scores[i]! * v![other * 2 + c]!, 0) / total,
    );
  });
  expect(relativeL2(out, expected)).toBeLessThan(1e-6);
});

test('coordinates that do not fit the curve are refused', async () => {
  using coords = device.tensor(flatten([[0, 0, 1020, 0]]), [1, 4]);
  using structure = await SparseStructure.create(coords);
  const options = { order: 'z', window: 8 } as const;
  await expect(structure.serialize({ ...options, shift: 4 })).rejects.toThrow(
    'serialize: shifted coordinates must be 0 to 1023, got 1024 to 1024 along y.',
  );
  await expect(structure.serialize({ ...options, sequenceShift: 9 })).rejects.toThrow(InputError);
});
