/**
 * Decoder output to activated 3D Gaussians, on any device.
 *
 * @see Kerbl et al., 3D Gaussian Splatting, arXiv 2308.04079; Xiang et al., TRELLIS, arXiv 2412.01506
 */
import {
  add,
  cast,
  div,
  exp,
  InputError,
  maximum,
  mul,
  ShapeError,
  sigmoid,
  softplus,
  sqrt,
  square,
  sum,
  tanh,
  type Tensor,
} from '@pergola/core';
import type { SparseTensor } from '@pergola/sparse';
import { logit } from './activations.ts';
import type { Gaussians } from './gaussians.ts';

/** The parameters of G Gaussians on a device, f32. */
export interface GaussianTensors {
  /** `[G, 3]`. */
  readonly positions: Tensor;
  /** `[G, 3]`. */
  readonly scales: Tensor;
  /** `[G, 4]`: w, x, y, z. */
  readonly rotations: Tensor;
  /** `[G, 1]`. */
  readonly opacities: Tensor;
  /** `[G, 3]`. */
  readonly harmonics: Tensor;
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
  /**
   * f32 `[K, 3]` offsets added to the prediction so that the K Gaussians of a voxel start apart; null for none. Default
   * null.
   */
  readonly perturbation: Tensor | null;
  /** Factors on the predicted channels. Default 1, rotation 0.1. */
  readonly rates: Readonly<Record<keyof GaussianTensors, number>>;
}

export const GAUSSIAN_DECODING_DEFAULTS: GaussianDecoding = {
  ...GAUSSIAN_ACTIVATION_DEFAULTS,
  resolution: 64,
  voxelSize: 1.5,
  perturbation: null,
  rates: { positions: 1, harmonics: 1, scales: 1, rotations: 0.1, opacities: 1 },
};

/** Channels of one Gaussian by parameter, in the order of the output layer. */
const LAYOUT = { positions: 3, harmonics: 3, scales: 3, rotations: 4, opacities: 1 } as const;
const NAMES = Object.keys(LAYOUT) as (keyof GaussianTensors)[];
/** Channels of one Gaussian in all. */
export const CHANNELS_PER_GAUSSIAN = 14;
// Quaternions shorter than this are not stretched to unit length.
const LEAST_NORM = 1e-12;

function record(make: (name: keyof GaussianTensors) => Tensor): GaussianTensors {
  return Object.fromEntries(NAMES.map((name) => [name, make(name)])) as unknown as GaussianTensors;
}

/** Scales above zero, smoothed. The published softplus turns linear above 20, where the two agree to the last bit. */
function activateScales(raw: Tensor, options: GaussianActivation): Tensor {
  const { scalingBias, scalingActivation, kernelSize } = options;
  const scales =
    scalingActivation === 'exp'
      ? exp(add(raw, Math.log(scalingBias)))
      : softplus(add(raw, scalingBias + Math.log(-Math.expm1(-scalingBias))));
  return sqrt(add(square(scales), kernelSize * kernelSize));
}

/** Unit quaternions from offsets to the identity. */
function activateRotations(raw: Tensor): Tensor {
  const rotations = add(raw, raw.device.tensor([1, 0, 0, 0], [1, 4]));
  const norm = sqrt(sum(square(rotations), { axes: [1], keepDims: true }));
  return div(rotations, maximum(norm, LEAST_NORM));
}

/**
 * Activates raw parameters: centres move from the unit cube to the world, scales become positive and are smoothed,
 * rotations (offsets from the identity quaternion) are normalised, opacities squashed, colours kept.
 *
 * @param raw f32; stays the caller's.
 * @returns new tensors, which the caller frees.
 * @throws ShapeError when the tensors disagree about the count.
 */
export function activateGaussians(
  raw: GaussianTensors,
  options: Partial<GaussianActivation> = {},
): GaussianTensors {
  const count = raw.opacities.shape[0]!;
  for (const name of NAMES) {
    const { rank, shape } = raw[name];
    if (rank === 2 && shape[0] === count && shape[1] === LAYOUT[name]) continue;
    throw new ShapeError(
      `activateGaussians: ${name} must be [${count}, ${LAYOUT[name]}], got [${shape.join(', ')}].`,
    );
  }
  const activation = { ...GAUSSIAN_ACTIVATION_DEFAULTS, ...options };
  return raw.positions.device.run(() => ({
    positions: add(raw.positions, -0.5),
    scales: activateScales(raw.scales, activation),
    rotations: activateRotations(raw.rotations),
    opacities: sigmoid(add(raw.opacities, logit(activation.opacityBias))),
    harmonics: add(raw.harmonics, 0),
  }));
}

/** Raw parameters of every Gaussian: the predictions at their rates, centres in the unit cube. */
function rawGaussians(
  x: SparseTensor,
  perVoxel: number,
  { resolution, voxelSize, perturbation, rates }: GaussianDecoding,
): GaussianTensors {
  const voxels = x.feats.shape[0]!;
  let from = 0;
  const scaled = record((name) => {
    const to = from + perVoxel * LAYOUT[name];
    const part = mul(x.feats.slice(1, from, to), rates[name]);
    from = to;
    return part;
  });
  const offset = tanh(
    perturbation === null
      ? scaled.positions
      : add(scaled.positions, perturbation.reshape(1, 3 * perVoxel)),
  );
  const centers = mul(
    add(cast(x.coords.slice(1, 1, 4).toContiguous(), 'f32'), 0.5),
    1 / resolution,
  );
  const reach = (0.5 * voxelSize) / resolution;
  const positions = add(
    mul(offset, reach).reshape(voxels, perVoxel, 3),
    centers.reshape(voxels, 1, 3),
  );
  return record((name) =>
    (name === 'positions' ? positions : scaled[name]).reshape(voxels * perVoxel, LAYOUT[name]),
  );
}

/**
 * Gaussians from the output layer of a Gaussian decoder.
 *
 * Channels are grouped by parameter: K centres, K colours, K scales, K rotations, K opacities. Gaussian `k` of voxel `n`
 * of a batch element becomes number `n * K + k`. Waits for the device.
 *
 * @param x feats f32 `[N, 14 K]`.
 * @returns the Gaussians of each batch element.
 * @throws ShapeError, InputError.
 */
export async function decodeGaussians(
  x: SparseTensor,
  perVoxel: number,
  options: Partial<GaussianDecoding> = {},
): Promise<Gaussians[]> {
  const decoding = { ...GAUSSIAN_DECODING_DEFAULTS, ...options };
  const { perturbation } = decoding;
  if (!Number.isInteger(perVoxel) || perVoxel < 1) {
    throw new InputError(
      `decodeGaussians: perVoxel must be an integer of at least 1, got ${perVoxel}.`,
    );
  }
  const { shape } = x.feats;
  if (shape.length !== 2 || shape[1] !== CHANNELS_PER_GAUSSIAN * perVoxel) {
    throw new ShapeError(
      `decodeGaussians: feats must be [N, ${CHANNELS_PER_GAUSSIAN * perVoxel}] for ${perVoxel} Gaussians a voxel, got [${shape.join(', ')}].`,
    );
  }
  if (perturbation !== null && perturbation.size !== 3 * perVoxel) {
    throw new ShapeError(
      `decodeGaussians: perturbation must be [${perVoxel}, 3], got [${perturbation.shape.join(', ')}].`,
    );
  }
  const { device } = x.feats;
  const values = await device.run(async () => {
    const activated = device.run(() =>
      activateGaussians(rawGaussians(x, perVoxel, decoding), decoding),
    );
    const read: [string, Float32Array][] = [];
    for (const name of NAMES) read.push([name, await activated[name].floats()]);
    return Object.fromEntries(read) as Record<keyof GaussianTensors, Float32Array>;
  });
  let start = 0;
  return x.structure.lengths.map((length): Gaussians => {
    const [from, to] = [start * perVoxel, (start + length) * perVoxel];
    start += length;
    const of = (name: keyof GaussianTensors): Float32Array =>
      values[name].subarray(from * LAYOUT[name], to * LAYOUT[name]);
    return {
      kind: 'gaussians',
      count: to - from,
      positions: of('positions'),
      scales: of('scales'),
      rotations: of('rotations'),
      opacities: of('opacities'),
      harmonics: of('harmonics'),
    };
  });
}
