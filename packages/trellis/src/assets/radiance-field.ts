/**
 * Radiance fields in rank-R vector form: every occupied voxel is a leaf that holds a small tensor in factored shape.
 *
 * @see Gao et al., Strivec, arXiv 2307.13226; Xiang et al., TRELLIS, arXiv 2412.01506
 */
import { InputError, ShapeError } from '@pergola/core';
import { sigmoid, softplus } from './activations.ts';
import { checkCoords } from './coordinates.ts';
import { SH_C0 } from './gaussians.ts';

/** A radiance field. World axes: right-handed, z up, the unit cube of leaves centred at the origin. */
export interface RadianceField {
  readonly kind: 'radianceField';
  /** Leaves L. */
  readonly count: number;
  /** Leaves along each axis of the cube: a power of two. */
  readonly resolution: number;
  readonly rank: number;
  /** Samples of each factor along an axis. */
  readonly dim: number;
  /** `[L, 3]` leaf centres in the unit cube (world plus 0.5). */
  readonly positions: Float32Array;
  /** `[L, rank, 3, dim]` factors along x, y, z. */
  readonly factors: Float32Array;
  /** `[L, rank]` density weights. */
  readonly density: Float32Array;
  /** `[L, rank, 3]` colour weights. */
  readonly color: Float32Array;
}

/** Options of `decodeRadianceField`. */
export interface RadianceFieldDecoding {
  /** Voxels along each axis, a power of two. Default 64. */
  readonly resolution: number;
  /** Default 16. */
  readonly rank: number;
  /** Default 8. */
  readonly dim: number;
}

export const RADIANCE_FIELD_DEFAULTS: RadianceFieldDecoding = { resolution: 64, rank: 16, dim: 8 };

/**
 * A radiance field from the output layer of its decoder.
 *
 * The decoder predicts factors as their difference from 1, so 1 is added here; densities and colours are taken as they are.
 *
 * @param coords `[N, 3]` or `[N, 4]` i32 voxels of one batch element.
 * @param features `[N, rank * (3 dim + 1 + 3)]` f32: factors `[rank, 3, dim]`, densities `[rank]`, colours `[rank, 3]`.
 * @throws ShapeError, InputError.
 */
export function decodeRadianceField(
  coords: Int32Array,
  features: Float32Array,
  options: Partial<RadianceFieldDecoding> = {},
): RadianceField {
  const { resolution, rank, dim } = { ...RADIANCE_FIELD_DEFAULTS, ...options };
  for (const [name, value, least] of [
    ['rank', rank, 1],
    ['dim', dim, 2],
  ] as const) {
    if (!Number.isInteger(value) || value < least) {
      throw new InputError(
        `decodeRadianceField: ${name} must be an integer of at least ${least}, got ${value}.`,
      );
    }
  }
  if (!Number.isInteger(Math.log2(resolution)) || resolution < 1 || resolution > 1024) {
    throw new InputError(
      `decodeRadianceField: resolution must be a power of two up to 1024, got ${resolution}.`,
    );
  }
  const perFactor = rank * 3 * dim;
  const channels = perFactor + rank * 4;
  if (features.length % channels !== 0) {
    throw new ShapeError(
      `decodeRadianceField: features must be [N, ${channels}] for rank ${rank} and dim ${dim}, got ${features.length} numbers.`,
    );
  }
  const count = features.length / channels;
  const factors = new Float32Array(count * perFactor);
  const density = new Float32Array(count * rank);
  const color = new Float32Array(count * rank * 3);
  for (let leaf = 0; leaf < count; leaf++) {
    const record = leaf * channels;
    for (let i = 0; i < perFactor; i++) factors[leaf * perFactor + i] = features[record + i]! + 1;
    density.set(features.subarray(record + perFactor, record + perFactor + rank), leaf * rank);
    color.set(features.subarray(record + perFactor + rank, record + channels), leaf * rank * 3);
  }
  return placeLeaves(coords, { factors, density, color }, { resolution, rank, dim });
}

/**
 * A radiance field from the contents of its leaves, 1 already added to the factors.
 *
 * @param coords `[N, 3]` or `[N, 4]` i32 voxels of one batch element.
 * @throws ShapeError, InputError when the voxels do not fit.
 * @internal
 */
export function placeLeaves(
  coords: Int32Array,
  leaves: Pick<RadianceField, 'factors' | 'density' | 'color'>,
  { resolution, rank, dim }: RadianceFieldDecoding,
): RadianceField {
  const count = leaves.density.length / rank;
  const width = checkCoords('decodeRadianceField', coords, count, resolution);
  const positions = new Float32Array(count * 3);
  for (let leaf = 0; leaf < count; leaf++) {
    for (let axis = 0; axis < 3; axis++) {
      positions[leaf * 3 + axis] = (coords[leaf * width + width - 3 + axis]! + 0.5) / resolution;
    }
  }
  return { kind: 'radianceField', count, resolution, rank, dim, positions, ...leaves };
}

/**
 * Evaluates the field inside one leaf.
 *
 * Factors are interpolated linearly between sample centres and extrapolated in the outer half cells.
 *
 * @param x, y, z the point within the leaf, 0 to 1 along each edge.
 * @param out receives density per unit length and red, green, blue in (0, 1).
 */
export function sampleRadianceField(
  field: RadianceField,
  leaf: number,
  x: number,
  y: number,
  z: number,
  out: Float64Array,
): void {
  const { rank, dim, factors, density, color } = field;
  const last = dim - 2;
  const qx = x * dim - 0.5;
  const qy = y * dim - 0.5;
  const qz = z * dim - 0.5;
  const ix = qx > 0 ? Math.min(Math.trunc(qx), last) : 0;
  const iy = qy > 0 ? Math.min(Math.trunc(qy), last) : 0;
  const iz = qz > 0 ? Math.min(Math.trunc(qz), last) : 0;
  const wx = qx - ix;
  const wy = qy - iy;
  const wz = qz - iz;
  let sigma = 0;
  let red = 0;
  let green = 0;
  let blue = 0;
  let base = leaf * rank * 3 * dim;
  let weight = leaf * rank;
  for (let r = 0; r < rank; r++) {
    const ax = base + ix;
    const ay = base + dim + iy;
    const az = base + 2 * dim + iz;
    const fx = factors[ax]! + wx * (factors[ax + 1]! - factors[ax]!);
    const fy = factors[ay]! + wy * (factors[ay + 1]! - factors[ay]!);
    const fz = factors[az]! + wz * (factors[az + 1]! - factors[az]!);
    const f = fx * fy * fz;
    sigma += density[weight]! * f;
    red += color[weight * 3]! * f;
    green += color[weight * 3 + 1]! * f;
    blue += color[weight * 3 + 2]! * f;
    base += 3 * dim;
    weight++;
  }
  out[0] = softplus(sigma, 10);
  out[1] = sigmoid(SH_C0 * red);
  out[2] = sigmoid(SH_C0 * green);
  out[3] = sigmoid(SH_C0 * blue);
}
