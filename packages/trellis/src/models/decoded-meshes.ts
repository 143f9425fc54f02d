/**
 * Meshes out of a mesh decoder's predictions, most of which never leave the device.
 *
 * The published decoder predicts half a gigabyte for an asset. The host takes the distances, a twelfth of it, finds the
 * surface, and names the rows that it wants; the device sums up what belongs to the same point.
 */
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
import { addDistances, emptySums } from '../assets/flexicubes-grid.ts';
import {
  connectVertices,
  placeVertices,
  surfaceOfSums,
  type ExtractedMesh,
  type MeshCells,
  type MeshSurface,
} from '../assets/mesh-stages.ts';
import { consume } from '../nn/steps.ts';

/** Rows of distances that come over at once: the host adds them up while others are on their way. */
const PIECE_ROWS = 131_072;

/**
 * Extracts one mesh per batch element: what `extractMesh` gives on the whole predictions, but for the rounding of
 * activations.
 *
 * @param cells f32 feats `[N, 53]` or `[N, 101]`; they may still be under way.
 * @param arrange arranges the cells of each batch element; called while the device computes.
 */
export async function readMeshes(
  cells: SparseTensor,
  arrange: () => readonly MeshCells[],
): Promise<ExtractedMesh[]> {
  const { feats, structure } = cells;
  let row = 0;
  const elements = structure.lengths.map((length) => {
    const start = row;
    row += length;
    return { start, end: row, pieces: readDistances(feats, start, row) };
  });
  const arranged = arrange();
  const meshes: ExtractedMesh[] = [];
  for (const [element, { start, end, pieces }] of elements.entries()) {
    const { grid } = arranged[element]!;
    const sums = emptySums(grid);
    for (const [piece, distances] of pieces.entries()) {
      addDistances(grid, sums, await distances, DISTANCES, piece * PIECE_ROWS);
    }
    using records = feats.slice(0, start, end);
    meshes.push(await buildMesh(records, surfaceOfSums(grid, sums)));
  }
  return meshes;
}

const DISTANCES = DISPLACEMENT_CHANNEL - DISTANCE_CHANNEL;

/** The distances of the rows from `start` to `end`, under way in pieces. */
function readDistances(feats: Tensor, start: number, end: number): Promise<Float32Array>[] {
  const count = Math.ceil((end - start) / PIECE_ROWS);
  const pieces = Array.from({ length: count }, async (_, piece) => {
    const first = start + piece * PIECE_ROWS;
    using rows = feats.slice(0, first, Math.min(first + PIECE_ROWS, end));
    using columns = rows.slice(1, DISTANCE_CHANNEL, DISPLACEMENT_CHANNEL);
    return columns.floats();
  });
  // Nobody waits for the others when one has failed.
  void Promise.allSettled(pieces);
  return pieces;
}

/** Downloads what the surface needs and builds the mesh. @param records f32 `[N, 53 or 101]` of one batch element. */
async function buildMesh(records: Tensor, surface: MeshSurface): Promise<ExtractedMesh> {
  const { device } = records;
  return device.run(async () => {
    const cellWeights = surfaceWeights(records, surface.cellRows);
    const diagonals = cellWeights.slice(1, CELL_WEIGHTS - 1).floats();
    const weights = cellWeights.floats();
    // The host looks up the points and connects the faces while the rest is on its way.
    const lists: Tensor[] = [];
    const points = surface.parts.describe((list) => lists.push(device.tensor(list, [list.length])));
    const shares = device.tensor(points.shares, [points.count, 1]);
    const atPoints = (first: number, end: number): Tensor =>
      meanAtPoints(records.slice(1, first, end), lists, shares);
    const displacements = consume(atPoints(DISPLACEMENT_CHANNEL, WEIGHT_CHANNEL), tanh).floats();
    const attributes =
      records.shape[1] === CHANNELS_COLORED
        ? consume(atPoints(ATTRIBUTE_CHANNEL, CHANNELS_COLORED), sigmoid).floats()
        : Promise.resolve(null);
    void Promise.allSettled([diagonals, weights, displacements, attributes]);
    const faces = connectVertices(surface, await diagonals);
    const predictions = {
      weights: await weights,
      displacements: await displacements,
      attributes: await attributes,
    };
    return placeVertices(surface, predictions, faces);
  });
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
 * @param lists i32 `[P]` each, see `MeshSurface.pointCorners`.
 * @param shares f32 `[P, 1]`.
 * @returns f32 `[P, C]`.
 */
function meanAtPoints(corners: Tensor, lists: readonly Tensor[], shares: Tensor): Tensor {
  const [count, columns] = corners.shape as [number, number];
  return corners.device.run(() => {
    const rows = corners.reshape(count * 8, columns / 8);
    const [first, ...others] = lists as [Tensor, ...Tensor[]];
    let sum = gather(rows, first);
    for (const list of others) sum = consume(sum, (sum) => add(sum, gather(rows, list)));
    return consume(sum, (sum) => mul(sum, shares));
  });
}
