/**
 * Triangle meshes from the cell predictions of a mesh decoder: FlexiCubes on sparse cells.
 *
 * Only cells near the surface are visited, so cost grows with the surface and not with the volume of the grid.
 *
 * @see Shen et al., FlexiCubes, arXiv 2308.05371; Xiang et al., TRELLIS, arXiv 2412.01506
 */
import { InputError, ShapeError } from '@pergola/core';
import { checkCoords } from './coordinates.ts';
import { findSurfaceCells, placeDualVertices } from './flexicubes-cells.ts';
import {
  CHANNELS_COLORED,
  CHANNELS_PLAIN,
  gatherDistances,
  gatherPoints,
} from './flexicubes-grid.ts';
import { connectQuads } from './flexicubes-quads.ts';
import type { Mesh } from './mesh.ts';
import { MAX_LATTICE_RESOLUTION } from './sparse-lattice.ts';

/** Options of `extractMesh`. */
export interface MeshExtractionOptions {
  /** Cells along each axis of the grid, 1 to 1024. Default 256. */
  readonly resolution: number;
}

export const MESH_EXTRACTION_DEFAULTS: MeshExtractionOptions = { resolution: 256 };

/** A mesh, and whether the predictions contain a surface at all. */
export interface ExtractedMesh extends Mesh {
  /** False when no cell is crossed: the mesh is then empty. */
  readonly success: boolean;
}

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
  const { resolution } = { ...MESH_EXTRACTION_DEFAULTS, ...options };
  const { width, channels } = checkCells(coords, features, resolution);
  const cells = { coords, width, features, channels, resolution };

  const field = gatherDistances(cells);
  if ('duplicate' in field) {
    throw new InputError(
      `extractMesh: coords must name each cell once, got row ${field.duplicate} again.`,
    );
  }
  const surface = findSurfaceCells(field);
  const points = gatherPoints(cells, field, surface.slots, surface.coords);
  const dual = placeDualVertices(cells, field, surface, points);
  const faces = connectQuads(field, surface, dual);
  return {
    kind: 'mesh',
    vertices: dual.positions,
    faces,
    ...splitAttributes(dual.attributes, dual.count),
    success: surface.count > 0,
  };
}

function checkCells(
  coords: Int32Array,
  features: Float32Array,
  resolution: number,
): { width: number; channels: number } {
  if (!Number.isInteger(resolution) || resolution < 1 || resolution > MAX_LATTICE_RESOLUTION) {
    throw new InputError(
      `extractMesh: resolution must be an integer from 1 to ${MAX_LATTICE_RESOLUTION}, got ${resolution}.`,
    );
  }
  // The two lengths fit one combination at most.
  const layout = [CHANNELS_PLAIN, CHANNELS_COLORED]
    .flatMap((channels) => [3, 4].map((width) => ({ width, channels })))
    .find(({ width, channels }) => coords.length * channels === features.length * width);
  if (layout === undefined || coords.length % layout.width !== 0) {
    throw new ShapeError(
      `extractMesh: coords must be [N, 3] or [N, 4] and features [N, 53] or [N, 101], got ${coords.length} and ${features.length} numbers.`,
    );
  }
  checkCoords('extractMesh', coords, coords.length / layout.width, resolution);
  return layout;
}

function splitAttributes(
  attributes: Float32Array | null,
  count: number,
): Pick<Mesh, 'colors' | 'normals'> {
  if (attributes === null) return { colors: null, normals: null };
  const colors = new Float32Array(count * 3);
  const normals = new Float32Array(count * 3);
  for (let v = 0; v < count; v++) {
    for (let c = 0; c < 3; c++) {
      colors[v * 3 + c] = attributes[v * 6 + c]!;
      normals[v * 3 + c] = attributes[v * 6 + 3 + c]!;
    }
  }
  return { colors, normals };
}
