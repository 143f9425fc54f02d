/** Meshes out of a mesh decoder's predictions, most of which never leave the device. */
import { add, gather, mul, sigmoid, tanh, type Tensor } from '@pergola/core';
import type { SparseTensor } from '@pergola/sparse';
import {
  ATTRIBUTE_CHANNEL,
  CELL_WEIGHTS,
  CHANNELS_COLORED,
  DISPLACEMENT_CHANNEL,
  DISTANCE_CHANNEL,
  WEIGHT_CHANNEL,
} from '../assets/cell-record.ts';
import {
  buildSurfaceMesh,
  findMeshSurface,
  type ExtractedMesh,
  type MeshCells,
  type MeshSurface,
  type SurfacePredictions,
} from '../assets/mesh-stages.ts';
import { extractMeshOnDevice } from '../device-mesh/extract.ts';
import { consume } from '../nn/steps.ts';

/**
 * Extracts one mesh per batch element: what `extractMesh` gives on the whole predictions, but for rounding. A GPU
 * extracts the meshes itself; on the CPU backend the host's loops are faster.
 *
 * @param cells f32 feats `[N, 53]` or `[N, 101]`; they may still be under way.
 * @param arrange arranges the cells of each batch element; called while the device computes.
 */
export async function readMeshes(
  { feats, structure }: SparseTensor,
  arrange: () => readonly MeshCells[],
): Promise<ExtractedMesh[]> {
  const extract = feats.device.name === 'cpu' ? extractOnHost : extractMeshOnDevice;
  const arranged = arrange();
  const meshes: ExtractedMesh[] = [];
  let row = 0;
  for (const [element, length] of structure.lengths.entries()) {
    using records = feats.slice(0, row, row + length);
    meshes.push(await extract(arranged[element]!, records));
    row += length;
  }
  return meshes;
}

/** @param records f32 `[N, 53 or 101]` of one batch element. */
async function extractOnHost(cells: MeshCells, records: Tensor): Promise<ExtractedMesh> {
  return records.device.run(async () => {
    const distances = records.slice(1, DISTANCE_CHANNEL, DISPLACEMENT_CHANNEL);
    const surface = findMeshSurface(cells, await distances.floats());
    return buildSurfaceMesh(surface, await readPredictions(records, surface));
  });
}

/** Gathers and activates what the surface needs. */
async function readPredictions(
  records: Tensor,
  { cellRows, pointCorners, pointShares }: MeshSurface,
): Promise<SurfacePredictions> {
  const { device } = records;
  const count = pointShares.length;
  const lists = device.tensor(pointCorners, [8, count]);
  const shares = device.tensor(pointShares, [count, 1]);
  const atPoints = (first: number, end: number): Tensor =>
    meanAtPoints(records.slice(1, first, end), lists, shares);
  const weights = surfaceWeights(records, cellRows);
  const displacements = consume(atPoints(DISPLACEMENT_CHANNEL, WEIGHT_CHANNEL), tanh);
  const attributes =
    records.shape[1] === CHANNELS_COLORED
      ? consume(atPoints(ATTRIBUTE_CHANNEL, CHANNELS_COLORED), sigmoid)
      : undefined;
  return {
    weights: await weights.floats(),
    displacements: await displacements.floats(),
    attributes: attributes === undefined ? null : await attributes.floats(),
  };
}

/** As `SurfacePredictions` wants them. @param cellRows `[S]`, see `MeshSurface`. @returns f32 `[S, 21]`. */
function surfaceWeights(records: Tensor, cellRows: Int32Array): Tensor {
  const { device } = records;
  return device.run(() => {
    const rows = device.tensor(cellRows, [cellRows.length]);
    const raw = gather(records.slice(1, WEIGHT_CHANNEL, ATTRIBUTE_CHANNEL), rows);
    const scale = new Float32Array(CELL_WEIGHTS).fill(1);
    scale[CELL_WEIGHTS - 1] = 0.5;
    const scaled = consume(raw, (raw) => mul(raw, device.tensor(scale, [CELL_WEIGHTS])));
    return consume(scaled, tanh);
  });
}

/**
 * Means at points, summed over what speaks of them, one list after the other.
 *
 * @param corners f32 `[N, 8 C]`, C values for each corner of the cells.
 * @param lists i32 `[8, P]`, see `MeshSurface.pointCorners`.
 * @param shares f32 `[P, 1]`.
 * @returns f32 `[P, C]`.
 */
function meanAtPoints(corners: Tensor, lists: Tensor, shares: Tensor): Tensor {
  const [count, columns] = corners.shape as [number, number];
  return corners.device.run(() => {
    const rows = corners.reshape(count * 8, columns / 8);
    const [first, ...others] = lists.unbind(0) as [Tensor, ...Tensor[]];
    let sum = gather(rows, first);
    for (const list of others) sum = consume(sum, (sum) => add(sum, gather(rows, list)));
    return consume(sum, (sum) => mul(sum, shares));
  });
}
