/**
 * Meshes out of a mesh decoder's predictions, most of which never leave the device.
 *
 * The published decoder predicts half a gigabyte for an asset. The host takes the distances, a twelfth of it, finds the
 * surface, and names the rows that it wants; the device sums up what belongs to the same point.
 */
import { add, gather, type Tensor } from '@pergola/core';
import type { SparseTensor } from '@pergola/sparse';
import {
  ATTRIBUTE_CHANNEL,
  CHANNELS_COLORED,
  DISPLACEMENT_CHANNEL,
  DISTANCE_CHANNEL,
  WEIGHT_CHANNEL,
} from '../assets/cell-record.ts';
import {
  arrangeMeshCells,
  buildSurfaceMesh,
  findMeshSurface,
  type ExtractedMesh,
  type MeshCells,
  type MeshSurface,
  type SurfacePredictions,
} from '../assets/mesh-stages.ts';
import { consume } from '../nn/steps.ts';

/**
 * Extracts one mesh per batch element: the same numbers as `extractMesh` gives on the whole predictions.
 *
 * @param cells f32 feats `[N, 53]` or `[N, 101]`; they may still be under way.
 * @param coords i32 `[N, 4]` of the cells.
 * @param resolution cells along each axis.
 */
export async function readMeshes(
  cells: SparseTensor,
  coords: Int32Array,
  resolution: number,
): Promise<ExtractedMesh[]> {
  const { feats, structure } = cells;
  const [distances, elements] = await Promise.all([
    firstColumns(feats, DISPLACEMENT_CHANNEL - DISTANCE_CHANNEL),
    // The host arranges the cells while the device computes.
    arrangeElements(structure.lengths, coords, resolution),
  ]);
  const meshes: ExtractedMesh[] = [];
  let row = 0;
  for (const element of elements) {
    const end = row + element.count;
    const surface = findMeshSurface(element, distances.subarray(8 * row, 8 * end));
    using records = feats.slice(0, row, end);
    meshes.push(buildSurfaceMesh(surface, await fetchPredictions(records, surface)));
    row = end;
  }
  return meshes;
}

async function firstColumns(x: Tensor, count: number): Promise<Float32Array> {
  using columns = x.slice(1, 0, count);
  return columns.floats();
}

async function arrangeElements(
  lengths: readonly number[],
  coords: Int32Array,
  resolution: number,
): Promise<MeshCells[]> {
  let row = 0;
  return lengths.map((length) => {
    const start = row;
    row += length;
    return arrangeMeshCells(coords.subarray(4 * start, 4 * row), length, { resolution });
  });
}

/** Downloads what the surface needs. @param records f32 `[N, 53 or 101]`, the cells of one batch element. */
async function fetchPredictions(
  records: Tensor,
  { cellRows, pointCorners }: MeshSurface,
): Promise<SurfacePredictions> {
  const { device } = records;
  return device.run(async () => {
    const cells = device.tensor(cellRows, [cellRows.length]);
    const points = device.tensor(pointCorners, [8, pointCorners.length / 8]);
    const weights = gather(records.slice(1, WEIGHT_CHANNEL, ATTRIBUTE_CHANNEL), cells);
    const displacements = sumAtPoints(
      records.slice(1, DISPLACEMENT_CHANNEL, WEIGHT_CHANNEL),
      points,
    );
    const attributes =
      records.shape[1] === CHANNELS_COLORED
        ? sumAtPoints(records.slice(1, ATTRIBUTE_CHANNEL), points)
        : null;
    const [first, second, third] = await Promise.all([
      weights.floats(),
      displacements.floats(),
      attributes?.floats() ?? null,
    ]);
    return { weights: first, displacements: second, attributes: third };
  });
}

/**
 * Values at points, summed over what speaks of them, one list after the other.
 *
 * @param corners f32 `[N, 8 C]`, C values for each corner of the cells.
 * @param points i32 `[8, P]`, see `MeshSurface.pointCorners`.
 * @returns f32 `[P, C]`.
 */
function sumAtPoints(corners: Tensor, points: Tensor): Tensor {
  const [count, columns] = corners.shape as [number, number];
  return corners.device.run(() => {
    const rows = corners.reshape(count * 8, columns / 8);
    const values = (k: number): Tensor => gather(rows, points.select(0, k));
    let sum = values(0);
    for (let k = 1; k < 8; k++) sum = consume(sum, (sum) => add(sum, values(k)));
    return sum;
  });
}
