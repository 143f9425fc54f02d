/** What the published mesh decoder hands to mesh extraction, for the benchmark shell: the same sizes and a real surface. */
import { fillUniform } from './contenders.ts';
import { shellDistance, voxelShell } from './voxel-shell.ts';

/** Cells along each axis: the 64^3 grid of the shell, subdivided twice. */
export const CELL_RESOLUTION = 256;
/** Values of a cell: 8 distances, 8 x 3 displacements, 21 weights, 8 x 6 colours and normals. */
export const CELL_CHANNELS = 101;

/** Distances among them, which come first. */
export const CELL_DISTANCES = 8;

const CELLS_PER_VOXEL = 64;
const POINTS = CELL_RESOLUTION + 1;

/** Cells and their predictions. */
export interface MeshCells {
  /** `[N, 4]`: batch 0, x, y, z, the cells of a voxel in consecutive rows as subdivision leaves them. */
  readonly coords: Int32Array;
  /** `[N, 101]`. */
  readonly features: Float32Array;
}

/** Cell `child` of voxel `(x, y, z)`: bits 5 to 3 are its octant, bits 2 to 0 the octant in there, x highest. */
function cellOfVoxel(voxel: number, child: number, axis: number): number {
  const [coarse, fine] = [(child >> (5 - axis)) & 1, (child >> (2 - axis)) & 1];
  return 4 * voxel + 2 * coarse + fine;
}

/**
 * Coordinates `[N, 4]` of the cells, and what the decoder would predict as distances `[N, 8]`: those of the corners to
 * the surface in units of the grid's edge, and one cell edge more, which extraction takes off.
 */
export function cellDistances(): { coords: Int32Array; distances: Float32Array } {
  const voxels = voxelShell();
  const count = (voxels.length / 4) * CELLS_PER_VOXEL;
  const coords = new Int32Array(count * 4);
  const distances = new Float32Array(count * 8);
  const distance = shellDistance();
  const known = new Float32Array(POINTS ** 3).fill(NaN);
  for (let cell = 0; cell < count; cell++) {
    const voxel = Math.floor(cell / CELLS_PER_VOXEL) * 4;
    for (let axis = 0; axis < 3; axis++) {
      const at = voxels[voxel + 1 + axis]!;
      coords[cell * 4 + 1 + axis] = cellOfVoxel(at, cell % CELLS_PER_VOXEL, axis);
    }
    for (let corner = 0; corner < 8; corner++) {
      const x = coords[cell * 4 + 1]! + (corner & 1);
      const y = coords[cell * 4 + 2]! + ((corner >> 1) & 1);
      const z = coords[cell * 4 + 3]! + (corner >> 2);
      const point = (x * POINTS + y) * POINTS + z;
      // Grid point g lies at g / 4 - 1/2 in the voxel grid, whose centres are whole numbers.
      if (Number.isNaN(known[point])) {
        known[point] = distance(x / 4 - 0.5, y / 4 - 0.5, z / 4 - 0.5) / 64 + 1 / CELL_RESOLUTION;
      }
      distances[cell * 8 + corner] = known[point]!;
    }
  }
  return { coords, distances };
}

/** The input of the benchmark: cells of the shell, smooth distances, and small noise in the other channels. */
export function meshCells(): MeshCells {
  const { coords, distances } = cellDistances();
  const count = coords.length / 4;
  const features = fillUniform(count * CELL_CHANNELS);
  for (let cell = 0; cell < count; cell++) {
    for (let channel = 0; channel < CELL_CHANNELS; channel++) {
      const at = cell * CELL_CHANNELS + channel;
      // Noise of a hundredth of an edge is left on the distances.
      features[at] =
        channel < CELL_DISTANCES
          ? distances[cell * CELL_DISTANCES + channel]! + (0.01 * features[at]!) / CELL_RESOLUTION
          : 0.5 * features[at]!;
    }
  }
  return { coords, features };
}
