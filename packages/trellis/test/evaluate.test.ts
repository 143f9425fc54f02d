import type { Asset } from '@pergola/trellis';
import { expect, test } from 'vitest';
import { compareAssets } from '../src/evaluate/agreement.ts';
import { meanScore, scoreVoxels } from '../src/evaluate/voxel-score.ts';

type Voxel = readonly [number, number, number];

/** The same figures by comparing every pair. */
function naive(a: readonly Voxel[], b: readonly Voxel[]): { precision: number; recall: number } {
  const near = (p: Voxel, q: Voxel): boolean => p.every((v, i) => Math.abs(v - q[i]!) <= 1);
  const share = (from: readonly Voxel[], to: readonly Voxel[]): number =>
    from.filter((p) => to.some((q) => near(p, q))).length / from.length;
  return { precision: share(a, b), recall: share(b, a) };
}

function randomVoxels(count: number, resolution: number, seed: number): Voxel[] {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * resolution);
  };
  const unique = new Map<string, Voxel>();
  while (unique.size < count) {
    const voxel = [next(), next(), next()] as const;
    unique.set(voxel.join(), voxel);
  }
  return [...unique.values()];
}

test('agrees with comparing every pair, also at the faces of the grid', () => {
  for (const seed of [1, 2, 3]) {
    const a = randomVoxels(40, 9, seed);
    const b = randomVoxels(25, 9, seed + 10);
    expect(scoreVoxels(a.flat(), b.flat(), 9)).toMatchObject(naive(a, b));
  }
});

test('equal sets score one, far ones and empty ones zero', () => {
  const a = [1, 1, 1, 5, 5, 5];
  expect(scoreVoxels(a, a, 8)).toEqual({ precision: 1, recall: 1, iou: 1 });
  expect(scoreVoxels([0, 0, 0], [7, 7, 7], 8)).toEqual({ precision: 0, recall: 0, iou: 0 });
  expect(scoreVoxels([], a, 8)).toEqual({ precision: 0, recall: 0, iou: 0 });
  // The end of one row and the start of the next are neighbours in memory only.
  expect(scoreVoxels([0, 0, 7], [0, 1, 0], 8).precision).toBe(0);
});

test('means are taken figure by figure', () => {
  const scores = [
    { precision: 0, recall: 1, iou: 0.5 },
    { precision: 1, recall: 1, iou: 0 },
  ];
  expect(meanScore(scores)).toEqual({ precision: 0.5, recall: 1, iou: 0.25 });
});

function asset(voxels: readonly number[], shift: number): Asset {
  const floats = (width: number): Float32Array =>
    Float32Array.from({ length: 2 * width }, (_, i) => 1 + i + shift);
  return {
    voxels: { kind: 'voxels', coords: Int32Array.from(voxels), resolution: 8 },
    gaussians: {
      kind: 'gaussians',
      count: 2,
      positions: floats(3),
      scales: floats(3),
      rotations: floats(4),
      opacities: floats(1),
      harmonics: floats(3),
    },
    mesh: {
      kind: 'mesh',
      vertices: floats(3),
      faces: Uint32Array.of(0, 1, 1),
      colors: null,
      normals: null,
    },
  };
}

test('assets are compared part by part', () => {
  const expected = asset([0, 0, 1, 5, 5, 5], 0);
  const same = { voxels: 0, gaussians: 0, mesh: 0, faces: [1, 1] };
  expect(compareAssets(expected, expected)).toEqual(same);

  const moved = compareAssets(asset([0, 0, 1, 5, 5, 6], 0.1), expected);
  expect(moved.voxels).toBe(2);
  // Opacities are 1 and 2, the smallest of the parameters: a shift weighs most there.
  expect(moved.gaussians).toBeCloseTo(Math.sqrt(0.02 / 5), 6);
  expect(moved.mesh).toBeCloseTo(Math.sqrt(0.06 / 91), 6);

  const fewer = { ...expected, mesh: { ...expected.mesh!, vertices: new Float32Array(3) } };
  expect(compareAssets(fewer, expected).mesh).toBeNaN();
  const { mesh: _, ...without } = expected;
  expect(compareAssets(without, expected)).toMatchObject({ mesh: NaN, faces: [0, 1] });

  const finer = { ...expected, voxels: { ...expected.voxels, resolution: 16 } };
  expect(() => compareAssets(finer, expected)).toThrow(
    'compareAssets: both assets must have one resolution, got 16 and 8.',
  );
});
