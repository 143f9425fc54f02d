/** Occupied voxels as a mesh of cubes: the quick look at a sparse structure. */
import { checkCoords } from '../assets/coordinates.ts';
import type { Mesh } from '../assets/mesh.ts';
import { SparseLattice } from '../assets/sparse-lattice.ts';
import type { Color } from './frame.ts';

/** Occupied voxels of one asset. */
export interface Voxels {
  readonly kind: 'voxels';
  /** `[N, 3]` (x, y, z) i32. */
  readonly coords: Int32Array;
  /** Voxels along each axis of the unit cube. */
  readonly resolution: number;
}

/** Blue of the preview. */
export const VOXEL_COLOR: Color = [0.42, 0.6, 0.88];

/** Corners of each cube face, counter-clockwise from outside, and the step to the neighbour behind it. */
const CUBE_FACES: readonly {
  readonly step: readonly [number, number, number];
  readonly corners: readonly number[];
}[] = [
  { step: [-1, 0, 0], corners: [0, 4, 6, 2] },
  { step: [1, 0, 0], corners: [1, 3, 7, 5] },
  { step: [0, -1, 0], corners: [0, 1, 5, 4] },
  { step: [0, 1, 0], corners: [2, 6, 7, 3] },
  { step: [0, 0, -1], corners: [0, 2, 3, 1] },
  { step: [0, 0, 1], corners: [4, 5, 7, 6] },
];

/**
 * The cubes of a set of voxels; faces between two of them are left out, no corners are shared between faces.
 *
 * @throws ShapeError, InputError for coordinates that do not fit the resolution (1 to 1024).
 */
export function voxelMesh(voxels: Voxels, color: Color = VOXEL_COLOR): Mesh {
  const { coords, resolution } = voxels;
  const count = coords.length / 3;
  checkCoords('voxelMesh', coords, count, resolution);
  const lattice = new SparseLattice(coords, 3, resolution);
  const occupied = new Uint8Array(lattice.slots);
  for (let at = 0; at < coords.length; at += 3) {
    occupied[lattice.slotOf(coords[at]!, coords[at + 1]!, coords[at + 2]!)] = 1;
  }

  const vertices: number[] = [];
  const faces: number[] = [];
  for (let at = 0; at < coords.length; at += 3) {
    const x = coords[at]!;
    const y = coords[at + 1]!;
    const z = coords[at + 2]!;
    for (const { step, corners } of CUBE_FACES) {
      const nx = x + step[0];
      const ny = y + step[1];
      const nz = z + step[2];
      const inGrid = Math.min(nx, ny, nz) >= 0 && Math.max(nx, ny, nz) < resolution;
      if (inGrid && occupied[lattice.slotOf(nx, ny, nz)] === 1) continue;
      const first = vertices.length / 3;
      for (const corner of corners) {
        vertices.push(
          (x + (corner & 1)) / resolution - 0.5,
          (y + ((corner >> 1) & 1)) / resolution - 0.5,
          (z + (corner >> 2)) / resolution - 0.5,
        );
      }
      faces.push(first, first + 1, first + 2, first, first + 2, first + 3);
    }
  }
  const colors = new Float32Array(vertices.length);
  for (let i = 0; i < colors.length; i++) colors[i] = color[i % 3]!;
  return {
    kind: 'mesh',
    vertices: Float32Array.from(vertices),
    faces: Uint32Array.from(faces),
    colors,
    normals: null,
  };
}
