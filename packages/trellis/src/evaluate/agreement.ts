/** How far two devices agree on one asset, made from the same picture and seed. */
import { InputError } from '@pergola/core';
import type { Gaussians } from '../assets/gaussians.ts';
import type { Mesh } from '../assets/mesh.ts';
import type { Asset } from '../pipeline/asset.ts';

/** Differences between two assets. Errors are root mean squares, relative to that of the expected values. */
export interface Agreement {
  /** Voxels that only one of the two has. */
  readonly voxels: number;
  /**
   * Largest error among the parameters of the Gaussians; NaN where their counts differ, and with them what belongs
   * together.
   */
  readonly gaussians: number;
  /** Error of the vertices; NaN where faces or numbers of vertices differ. */
  readonly mesh: number;
  /** Faces of each mesh. */
  readonly faces: readonly [number, number];
}

/** `|got - expected| / |expected|`; 0 for two empty arrays, NaN for lengths that differ. */
function relativeRms(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (got.length !== expected.length) return NaN;
  let difference = 0;
  let size = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (got[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / size);
}

function voxelKeys({ voxels: { coords, resolution } }: Asset): Set<number> {
  const keys = new Set<number>();
  for (let i = 0; i < coords.length; i += 3) {
    keys.add((coords[i]! * resolution + coords[i + 1]!) * resolution + coords[i + 2]!);
  }
  return keys;
}

function differingVoxels(got: Asset, expected: Asset): number {
  const [a, b] = [voxelKeys(got), voxelKeys(expected)];
  let both = 0;
  for (const key of a) if (b.has(key)) both++;
  return a.size + b.size - 2 * both;
}

function gaussianError(got: Gaussians | undefined, expected: Gaussians | undefined): number {
  if (got === undefined || expected === undefined) return got === expected ? 0 : NaN;
  const fields = ['positions', 'scales', 'rotations', 'opacities', 'harmonics'] as const;
  return Math.max(...fields.map((field) => relativeRms(got[field], expected[field])));
}

function meshError(got: Mesh | undefined, expected: Mesh | undefined): number {
  if (got === undefined || expected === undefined) return got === expected ? 0 : NaN;
  return relativeRms(got.faces, expected.faces) === 0
    ? relativeRms(got.vertices, expected.vertices)
    : NaN;
}

function faceCount(mesh: Mesh | undefined): number {
  return (mesh?.faces.length ?? 0) / 3;
}

/**
 * Compares two assets.
 *
 * @throws InputError when their grids differ, for then they come from different models.
 */
export function compareAssets(got: Asset, expected: Asset): Agreement {
  if (got.voxels.resolution !== expected.voxels.resolution) {
    throw new InputError(
      `compareAssets: both assets must have one resolution, got ${got.voxels.resolution} and ${expected.voxels.resolution}.`,
    );
  }
  return {
    voxels: differingVoxels(got, expected),
    gaussians: gaussianError(got.gaussians, expected.gaussians),
    mesh: meshError(got.mesh, expected.mesh),
    faces: [faceCount(got.mesh), faceCount(expected.mesh)],
  };
}
