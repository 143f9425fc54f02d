/**
 * 3D Gaussians on the host: activated parameters and their covariances.
 *
 * @see Kerbl et al., 3D Gaussian Splatting, arXiv 2308.04079; Xiang et al., TRELLIS, arXiv 2412.01506
 */
import { ShapeError } from '@pergola/core';
import { rotationMatrix } from './quaternion.ts';

/** Value of the constant spherical harmonic: `1 / (2 sqrt(pi))`. */
export const SH_C0 = 0.28209479177387814;

/** Activated Gaussians, one array per parameter. World axes: right-handed, z up, the asset within `[-0.5, 0.5]^3`. */
export interface Gaussians {
  readonly kind: 'gaussians';
  readonly count: number;
  /** `[G, 3]` centres. */
  readonly positions: Float32Array;
  /** `[G, 3]` standard deviations along the own axes, above 0. */
  readonly scales: Float32Array;
  /** `[G, 4]` unit quaternions (w, x, y, z) from own axes to world. */
  readonly rotations: Float32Array;
  /** `[G]` in 0 to 1. */
  readonly opacities: Float32Array;
  /** `[G, 3]` degree-0 spherical harmonic coefficients; the colour is `max(0, SH_C0 * c + 0.5)`. */
  readonly harmonics: Float32Array;
}

/** @throws ShapeError unless every array holds `count` entries. */
export function checkGaussianLengths(who: string, arrays: Gaussians, count: number): void {
  for (const [name, size] of [
    ['positions', 3],
    ['scales', 3],
    ['rotations', 4],
    ['opacities', 1],
    ['harmonics', 3],
  ] as const) {
    if (arrays[name].length !== count * size) {
      throw new ShapeError(
        `${who}: ${name} must be [${count}, ${size}], got ${arrays[name].length} numbers.`,
      );
    }
  }
}

/**
 * World-space covariances `R S S^T R^T`.
 *
 * @returns `[G, 6]`: xx, xy, xz, yy, yz, zz.
 */
export function gaussianCovariances(gaussians: Gaussians): Float32Array {
  const { count, rotations, scales } = gaussians;
  const out = new Float32Array(count * 6);
  const matrix = new Float64Array(9);
  for (let g = 0; g < count; g++) {
    rotationMatrix(rotations, g * 4, matrix);
    const sx = scales[g * 3]! ** 2;
    const sy = scales[g * 3 + 1]! ** 2;
    const sz = scales[g * 3 + 2]! ** 2;
    let at = g * 6;
    for (let row = 0; row < 3; row++) {
      for (let column = row; column < 3; column++) {
        out[at++] =
          matrix[row * 3]! * matrix[column * 3]! * sx +
          matrix[row * 3 + 1]! * matrix[column * 3 + 1]! * sy +
          matrix[row * 3 + 2]! * matrix[column * 3 + 2]! * sz;
      }
    }
  }
  return out;
}
