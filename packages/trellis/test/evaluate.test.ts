import { expect, test } from 'vitest';
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
