/**
 * Triangle meshes from the cell predictions of a mesh decoder: FlexiCubes on sparse cells.
 *
 * Only cells near the surface are visited, so cost grows with the surface and not with the volume of the grid.
 *
 * @see Shen et al., FlexiCubes, arXiv 2308.05371; Xiang et al., TRELLIS, arXiv 2412.01506
 */
import { ShapeError } from '@pergola/core';
import { sigmoid, tanh } from './activations.ts';
import {
  ATTRIBUTE_CHANNEL,
  CELL_WEIGHTS,
  CHANNELS_COLORED,
  CHANNELS_PLAIN,
  DISPLACEMENT_CHANNEL,
  WEIGHT_CHANNEL,
} from './cell-record.ts';
import {
  arrangeMeshCells,
  buildSurfaceMesh,
  findMeshSurface,
  type ExtractedMesh,
  type MeshExtractionOptions,
  type MeshSurface,
  type SurfacePredictions,
} from './mesh-stages.ts';

/**
 * Extracts the zero surface of one asset.
 *
 * Cells that are not given lie outside and close the surface round those that are; on the border of the grid the
 * surface stays open. Vertex and face order equal those of the published model.
 *
 * @param coords `[N, 3]` (x, y, z) or `[N, 4]` (batch, x, y, z) i32 of distinct cells, all of one batch element.
 * @param features `[N, 53]` or `[N, 101]` f32: per corner (x fastest) signed distance `[8]` and displacement `[8, 3]`,
 *   then edge, corner and diagonal weights `[12 + 8 + 1]`, then in the longer form colour and normal `[8, 6]`.
 * @returns vertices in `[-0.5, 0.5]^3` (half a cell beyond at most); `colors` and `normals` are null for 53 channels.
 * @throws ShapeError when the lengths fit neither form.
 * @throws InputError when a coordinate leaves the grid, a cell repeats, or several batch elements are mixed.
 */
export function extractMesh(
  coords: Int32Array,
  features: Float32Array,
  options: Partial<MeshExtractionOptions> = {},
): ExtractedMesh {
  const { rows, channels } = recordLayout(coords, features);
  const cells = arrangeMeshCells(coords, rows, options);
  const surface = findMeshSurface(cells, features, channels);
  return buildSurfaceMesh(surface, gatherPredictions(surface, features, channels));
}

function recordLayout(
  coords: Int32Array,
  features: Float32Array,
): { rows: number; channels: number } {
  // The two lengths fit one combination at most.
  const layout = [CHANNELS_PLAIN, CHANNELS_COLORED]
    .flatMap((channels) => [3, 4].map((width) => ({ width, channels })))
    .find(({ width, channels }) => coords.length * channels === features.length * width);
  if (layout === undefined || coords.length % layout.width !== 0) {
    throw new ShapeError(
      `extractMesh: coords must be [N, 3] or [N, 4] and features [N, 53] or [N, 101], got ${coords.length} and ${features.length} numbers.`,
    );
  }
  return { rows: coords.length / layout.width, channels: layout.channels };
}

function gatherPredictions(
  { cellRows, pointCorners, pointShares }: MeshSurface,
  features: Float32Array,
  channels: number,
): SurfacePredictions {
  const weights = new Float32Array(cellRows.length * CELL_WEIGHTS);
  for (let s = 0; s < cellRows.length; s++) {
    if (cellRows[s]! < 0) continue;
    const from = cellRows[s]! * channels + WEIGHT_CHANNEL;
    const to = s * CELL_WEIGHTS;
    const last = CELL_WEIGHTS - 1;
    for (let i = 0; i < last; i++) weights[to + i] = tanh(features[from + i]!);
    weights[to + last] = tanh(0.5 * features[from + last]!);
  }

  const points = pointShares.length;
  const displacements = new Float32Array(points * 3);
  const attributes = channels === CHANNELS_COLORED ? new Float32Array(points * 6) : null;
  const corners = new Int32Array(8);
  for (let point = 0; point < points; point++) {
    for (let k = 0; k < 8; k++) corners[k] = pointCorners[k * points + point]!;
    const share = pointShares[point]!;
    const at = point * 3;
    sumTriple(features, channels, corners, DISPLACEMENT_CHANNEL, 3, displacements, at);
    for (let i = at; i < at + 3; i++) displacements[i] = tanh(displacements[i]! * share);
    if (attributes === null) continue;
    sumTriple(features, channels, corners, ATTRIBUTE_CHANNEL, 6, attributes, 2 * at);
    sumTriple(features, channels, corners, ATTRIBUTE_CHANNEL + 3, 6, attributes, 2 * at + 3);
    for (let i = 2 * at; i < 2 * at + 6; i++) attributes[i] = sigmoid(attributes[i]! * share);
  }
  return { weights, displacements, attributes };
}

/**
 * Sums three values of a point over the cells round it, in f32.
 *
 * @param corners `[8]` see `MeshSurface.pointCorners`.
 * @param first channel of corner 0; corners are `columns` apart.
 */
function sumTriple(
  features: Float32Array,
  channels: number,
  corners: Int32Array,
  first: number,
  columns: number,
  out: Float32Array,
  at: number,
): void {
  let x = 0;
  let y = 0;
  let z = 0;
  for (let k = 0; k < 8; k++) {
    const corner = corners[k]!;
    if (corner < 0) continue;
    const from = (corner >> 3) * channels + first + (corner & 7) * columns;
    x = Math.fround(x + features[from]!);
    y = Math.fround(y + features[from + 1]!);
    z = Math.fround(z + features[from + 2]!);
  }
  out[at] = x;
  out[at + 1] = y;
  out[at + 2] = z;
}
