/**
 * How well generated voxels cover true ones.
 *
 * Surfaces are shells one voxel thick, so that plain overlap falls to nothing when a surface is one voxel off. Precision
 * and recall therefore count a voxel as right when the other set has one among its 26 neighbours or at its place.
 */

/** Shares between 0 and 1. */
export interface VoxelScore {
  /** Generated voxels that lie within one voxel of a true one. */
  readonly precision: number;
  /** True voxels that lie within one voxel of a generated one. */
  readonly recall: number;
  /** Intersection over union, without tolerance. */
  readonly iou: number;
}

function occupancyGrid(voxels: ArrayLike<number>, resolution: number): Uint8Array {
  const grid = new Uint8Array(resolution ** 3);
  for (let i = 0; i < voxels.length; i += 3) {
    grid[(voxels[i]! * resolution + voxels[i + 1]!) * resolution + voxels[i + 2]!] = 1;
  }
  return grid;
}

/** Occupied cells and all cells within one step along `stride`. */
function dilateAxis(grid: Uint8Array, stride: number, resolution: number): Uint8Array {
  const out = grid.slice();
  for (let i = 0; i < grid.length; i++) {
    if (grid[i] === 0) continue;
    const at = Math.floor(i / stride) % resolution;
    if (at > 0) out[i - stride] = 1;
    if (at < resolution - 1) out[i + stride] = 1;
  }
  return out;
}

function dilate(grid: Uint8Array, resolution: number): Uint8Array {
  return [1, resolution, resolution * resolution].reduce(
    (current, stride) => dilateAxis(current, stride, resolution),
    grid,
  );
}

function countBoth(a: Uint8Array, b: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < a.length; i++) count += a[i]! & b[i]!;
  return count;
}

function count(grid: Uint8Array): number {
  return countBoth(grid, grid);
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/**
 * Compares two sets of voxels.
 *
 * @param generated `[N, 3]`, row-major x, y, z, each below `resolution`.
 * @param truth `[M, 3]`, likewise.
 * @returns zeros when a set is empty.
 */
export function scoreVoxels(
  generated: ArrayLike<number>,
  truth: ArrayLike<number>,
  resolution: number,
): VoxelScore {
  const a = occupancyGrid(generated, resolution);
  const b = occupancyGrid(truth, resolution);
  const both = countBoth(a, b);
  return {
    precision: share(countBoth(a, dilate(b, resolution)), count(a)),
    recall: share(countBoth(b, dilate(a, resolution)), count(b)),
    iou: share(both, count(a) + count(b) - both),
  };
}

/** Mean of each figure. */
export function meanScore(scores: readonly VoxelScore[]): VoxelScore {
  const mean = (field: keyof VoxelScore): number =>
    scores.reduce((sum, score) => sum + score[field], 0) / Math.max(1, scores.length);
  return { precision: mean('precision'), recall: mean('recall'), iou: mean('iou') };
}
