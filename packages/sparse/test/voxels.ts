/** Random voxel sets for tests, and naive look-ups on them. */
import * as fc from 'fast-check';

export type Voxel = readonly [batch: number, x: number, y: number, z: number];

export const voxelKey = (voxel: readonly number[]): string => voxel.join(',');

/** Distinct voxels in a small box round the origin, ascending in their batch only. */
export function voxelSets(options: {
  batches?: number;
  min?: number;
  max?: number;
  maxLength?: number;
}): fc.Arbitrary<Voxel[]> {
  const { batches = 2, min = -4, max = 4, maxLength = 60 } = options;
  const axis = fc.integer({ min, max });
  return fc
    .uniqueArray(fc.tuple(fc.integer({ min: 0, max: batches - 1 }), axis, axis, axis), {
      selector: voxelKey,
      maxLength,
    })
    .map((voxels) => voxels.toSorted((a, b) => a[0] - b[0]));
}

/** Row of each voxel. */
export function rowsByKey(voxels: readonly (readonly number[])[]): Map<string, number> {
  return new Map(voxels.map((voxel, row) => [voxelKey(voxel), row]));
}

export function flatten(voxels: readonly (readonly number[])[]): Int32Array {
  return Int32Array.from(voxels.flat());
}

/** Rows of a flat `[N, width]` array. */
export function unflatten(data: ArrayLike<number>, width: number): number[][] {
  const out: number[][] = [];
  for (let at = 0; at < data.length; at += width) {
    out.push(Array.from({ length: width }, (_, i) => data[at + i]!));
  }
  return out;
}

/** Ascending by batch, x, y, z. */
export function compareVoxels(a: readonly number[], b: readonly number[]): number {
  const axis = a.findIndex((value, i) => value !== b[i]);
  return axis < 0 ? 0 : a[axis]! - b[axis]!;
}

/** Deterministic values in [-1, 1). */
export function values(count: number, seed = 1): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
