/**
 * 3D Gaussians: from decoder output to activated parameters.
 *
 * @see Kerbl et al., 3D Gaussian Splatting, arXiv 2308.04079; Xiang et al., TRELLIS, arXiv 2412.01506
 */
import { InputError, ShapeError } from '@pergola/core';
import { logit, sigmoid, softplus, tanh } from './activations.ts';
import { checkCoords } from './coordinates.ts';
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

/** Parameters before activation, as the decoder predicts and training optimises them. */
export interface RawGaussians {
  /** `[G, 3]` centres in the unit cube. */
  readonly positions: Float32Array;
  readonly scales: Float32Array;
  /** `[G, 4]` offset from the identity quaternion. */
  readonly rotations: Float32Array;
  readonly opacities: Float32Array;
  readonly harmonics: Float32Array;
}

/** How raw parameters are activated. */
export interface GaussianActivation {
  /** Scale of a zero prediction, before the kernel. Default 0.004. */
  readonly scalingBias: number;
  /** Opacity of a zero prediction. Default 0.1. */
  readonly opacityBias: number;
  /** Standard deviation of the 3D smoothing filter: a lower bound of every scale. Default 0.0009. */
  readonly kernelSize: number;
  /** Default 'softplus'. */
  readonly scalingActivation: 'softplus' | 'exp';
}

export const GAUSSIAN_ACTIVATION_DEFAULTS: GaussianActivation = {
  scalingBias: 4e-3,
  opacityBias: 0.1,
  kernelSize: 9e-4,
  scalingActivation: 'softplus',
};

/** Options of `decodeGaussians`. */
export interface GaussianDecoding extends GaussianActivation {
  /** Voxels along each axis. Default 64. */
  readonly resolution: number;
  /** Reach of a centre, in voxel edges across. Default 1.5. */
  readonly voxelSize: number;
  /** `[K, 3]` offsets added to the prediction so that the K Gaussians of a voxel start apart; null for none. Default null. */
  readonly perturbation: Float32Array | null;
  /** Factors on the predicted channels. Default 1, rotation 0.1. */
  readonly rates: {
    readonly positions: number;
    readonly harmonics: number;
    readonly scales: number;
    readonly rotations: number;
    readonly opacities: number;
  };
}

export const GAUSSIAN_DECODING_DEFAULTS: GaussianDecoding = {
  ...GAUSSIAN_ACTIVATION_DEFAULTS,
  resolution: 64,
  voxelSize: 1.5,
  perturbation: null,
  rates: { positions: 1, harmonics: 1, scales: 1, rotations: 0.1, opacities: 1 },
};

/** Channels that one Gaussian takes: centre 3, colour 3, scale 3, rotation 4, opacity 1. */
const CHANNELS_PER_GAUSSIAN = 14;

/**
 * Gaussians from the output layer of a Gaussian decoder.
 *
 * Channels are grouped by parameter: K centres, K colours, K scales, K rotations, K opacities. Gaussian `k` of voxel `n`
 * becomes number `n * K + k`.
 *
 * @param coords `[N, 3]` or `[N, 4]` i32 voxels of one batch element.
 * @param features `[N, 14 K]` f32.
 * @throws ShapeError, InputError.
 */
export function decodeGaussians(
  coords: Int32Array,
  features: Float32Array,
  perVoxel: number,
  options: Partial<GaussianDecoding> = {},
): Gaussians {
  const { resolution, voxelSize, perturbation, rates, ...activation } = {
    ...GAUSSIAN_DECODING_DEFAULTS,
    ...options,
  };
  if (!Number.isInteger(perVoxel) || perVoxel < 1) {
    throw new InputError(
      `decodeGaussians: perVoxel must be an integer of at least 1, got ${perVoxel}.`,
    );
  }
  const channels = CHANNELS_PER_GAUSSIAN * perVoxel;
  if (features.length % channels !== 0) {
    throw new ShapeError(
      `decodeGaussians: features must be [N, ${channels}] for ${perVoxel} Gaussians a voxel, got ${features.length} numbers.`,
    );
  }
  if (perturbation !== null && perturbation.length !== perVoxel * 3) {
    throw new ShapeError(
      `decodeGaussians: perturbation must be [${perVoxel}, 3], got ${perturbation.length} numbers.`,
    );
  }
  const voxels = features.length / channels;
  const width = checkCoords('decodeGaussians', coords, voxels, resolution);

  const count = voxels * perVoxel;
  const raw = allocateRaw(count);
  const reach = (0.5 * voxelSize) / resolution;
  for (let voxel = 0; voxel < voxels; voxel++) {
    const corner = voxel * width + width - 3;
    let from = voxel * channels;
    const block = (to: Float32Array, size: number, rate: number): void => {
      const start = voxel * perVoxel * size;
      for (let i = 0; i < perVoxel * size; i++) to[start + i] = features[from + i]! * rate;
      from += perVoxel * size;
    };
    block(raw.positions, 3, rates.positions);
    block(raw.harmonics, 3, rates.harmonics);
    block(raw.scales, 3, rates.scales);
    block(raw.rotations, 4, rates.rotations);
    block(raw.opacities, 1, rates.opacities);
    for (let i = 0; i < perVoxel * 3; i++) {
      const at = voxel * perVoxel * 3 + i;
      const offset = tanh(raw.positions[at]! + (perturbation?.[i] ?? 0)) * reach;
      raw.positions[at] = (coords[corner + (i % 3)]! + 0.5) / resolution + offset;
    }
  }
  return activateGaussians(raw, activation);
}

function allocateRaw(count: number): RawGaussians {
  return {
    positions: new Float32Array(count * 3),
    scales: new Float32Array(count * 3),
    rotations: new Float32Array(count * 4),
    opacities: new Float32Array(count),
    harmonics: new Float32Array(count * 3),
  };
}

/**
 * Activates raw parameters: centres move from the unit cube to the world, scales become positive and are smoothed,
 * rotations are normalised, opacities squashed, colours kept.
 *
 * @throws ShapeError when the arrays disagree about the count.
 */
export function activateGaussians(
  raw: RawGaussians,
  options: Partial<GaussianActivation> = {},
): Gaussians {
  const { scalingBias, opacityBias, kernelSize, scalingActivation } = {
    ...GAUSSIAN_ACTIVATION_DEFAULTS,
    ...options,
  };
  const count = raw.opacities.length;
  checkGaussianLengths('activateGaussians', raw, count);
  // Softplus is linear above 20 in the published model.
  const activate = scalingActivation === 'exp' ? Math.exp : (v: number): number => softplus(v, 20);
  const shift =
    scalingActivation === 'exp'
      ? Math.log(scalingBias)
      : scalingBias + Math.log(-Math.expm1(-scalingBias));
  const opacityShift = logit(opacityBias);

  const rotations = new Float32Array(count * 4);
  for (let i = 0; i < rotations.length; i += 4) {
    const w = raw.rotations[i]! + 1;
    const x = raw.rotations[i + 1]!;
    const y = raw.rotations[i + 2]!;
    const z = raw.rotations[i + 3]!;
    const norm = Math.max(Math.sqrt(w * w + x * x + y * y + z * z), 1e-12);
    rotations[i] = w / norm;
    rotations[i + 1] = x / norm;
    rotations[i + 2] = y / norm;
    rotations[i + 3] = z / norm;
  }
  const positions = new Float32Array(count * 3);
  const scales = new Float32Array(count * 3);
  for (let i = 0; i < positions.length; i++) {
    positions[i] = raw.positions[i]! - 0.5;
    const scale = activate(raw.scales[i]! + shift);
    scales[i] = Math.sqrt(scale * scale + kernelSize * kernelSize);
  }
  const opacities = new Float32Array(count);
  for (let i = 0; i < count; i++) opacities[i] = sigmoid(raw.opacities[i]! + opacityShift);
  const harmonics = raw.harmonics.slice();
  return { kind: 'gaussians', count, positions, scales, rotations, opacities, harmonics };
}

/** @throws ShapeError unless every array holds `count` entries. */
export function checkGaussianLengths(who: string, arrays: RawGaussians, count: number): void {
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
