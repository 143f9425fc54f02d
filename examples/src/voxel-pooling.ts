/** A voxel-pooling layer for point clouds: points with features in, one feature row per occupied voxel out, and back. */
import { concat, gather, type Device, type Tensor } from '@pergola/core';
import { segmentReduce, SparseTensor, uniqueCoords } from '@pergola/sparse';

/** Voxels with pooled features, and which voxel each point fell into. */
export interface PooledPoints {
  /** `[V, 2 C]`: the mean, then the maximum over the points of the voxel. */
  readonly voxels: SparseTensor;
  /** i32 `[P]`: voxel of each point. */
  readonly voxelOf: Tensor;
  /** i32 `[V]`: points per voxel. */
  readonly counts: Tensor;
}

/** i32 `[P, 4]` voxel coordinates (batch 0) of points `xyzxyz...`. */
export function voxelize(device: Device, points: Float32Array, voxelSize: number): Tensor {
  const coords = new Int32Array((points.length / 3) * 4);
  for (let i = 0; i < points.length; i++) {
    coords[Math.floor(i / 3) * 4 + 1 + (i % 3)] = Math.floor(points[i]! / voxelSize);
  }
  return device.tensor(coords, [points.length / 3, 4]);
}

/**
 * Pools point features into voxels of the given size.
 *
 * @param points P positions, `xyzxyz...`.
 * @param feats `[P, C]` float.
 */
export async function poolPoints(
  points: Float32Array,
  feats: Tensor,
  voxelSize: number,
): Promise<PooledPoints> {
  return feats.device.run(async () => {
    const cells = voxelize(feats.device, points, voxelSize);
    const { coords, inverse, order, offsets, counts } = await uniqueCoords(cells);
    const mean = segmentReduce(feats, order, offsets, { reduce: 'mean' });
    const max = segmentReduce(feats, order, offsets, { reduce: 'max' });
    const voxels = await SparseTensor.create(coords, concat([mean, max], { axis: 1 }));
    return { voxels, voxelOf: inverse, counts };
  });
}

/** Gives every point the features of its voxel: `[V, C]` to `[P, C]`. */
export function unpoolPoints(voxelFeats: Tensor, pooled: PooledPoints): Tensor {
  return gather(voxelFeats, pooled.voxelOf);
}
