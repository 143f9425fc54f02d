/**
 * Structured latents to 3D Gaussians: each voxel holds a fixed number of them near its centre.
 *
 * @see Xiang et al., TRELLIS, arXiv 2412.01506, section 3.2
 */
import type { Device } from '@pergola/core';
import type { SparseTensor } from '@pergola/sparse';
import {
  CHANNELS_PER_GAUSSIAN,
  decodeGaussians,
  type GaussianDecoding,
} from '../assets/gaussian-activation.ts';
import type { Gaussians } from '../assets/gaussians.ts';
import { radicalInverse } from '../assets/hammersley.ts';
import { loadParameters, type LoadOptions } from '../checkpoints/load-parameters.ts';
import type { WeightStore } from '../checkpoints/weight-store.ts';
import { linearParameters, type ParameterSpec } from '../nn/parameters.ts';
import type { SLatGaussianDecoderConfig } from './config.ts';
import { SLatTorso, torsoParameters } from './slat-torso.ts';

/** Latents to Gaussians. */
export class SLatGaussianDecoder extends SLatTorso<SLatGaussianDecoderConfig> {
  /** All parameters, in the order of the published code. */
  static expectedParameters(config: SLatGaussianDecoderConfig): ParameterSpec[] {
    const { num_gaussians: gaussians } = config.representation_config;
    const { model_channels: channels, latent_channels: latent } = config;
    return [
      {
        name: 'offset_perturbation',
        shape: [gaussians, 3],
        dtype: 'f32',
        table: 'offset-perturbation',
      },
      ...torsoParameters(config, latent),
      ...linearParameters('out_layer', channels, CHANNELS_PER_GAUSSIAN * gaussians, 'f32'),
    ];
  }

  /** @throws CheckpointError when the store does not hold exactly the expected parameters. */
  static async load(
    store: WeightStore,
    config: SLatGaussianDecoderConfig,
    device: Device,
    options: LoadOptions = {},
  ): Promise<SLatGaussianDecoder> {
    const expected = SLatGaussianDecoder.expectedParameters(config);
    return new SLatGaussianDecoder(await loadParameters(store, expected, device, options), config);
  }

  /**
   * The output layer, before any activation.
   *
   * @param x f32 feats `[N, latent_channels]`, denormalised.
   * @returns f32 feats `[N, 14 K]` for K Gaussians a voxel, grouped by attribute: centres, colours, scales, rotations,
   *   opacities.
   * @throws ShapeError, InputError.
   */
  async forward(x: SparseTensor): Promise<SparseTensor> {
    return x.withFeats(this.normalisedOutput(await this.torso(x)));
  }

  /** How `decodeGaussians` shall read the output; the perturbation stays the network's. */
  get decoding(): GaussianDecoding {
    const { resolution, representation_config: config } = this.config;
    const { lr } = config;
    return {
      resolution,
      voxelSize: config.voxel_size,
      perturbation: config.perturb_offset ? this.weights.get('offset_perturbation') : null,
      rates: {
        positions: lr._xyz,
        harmonics: lr._features_dc,
        scales: lr._scaling,
        rotations: lr._rotation,
        opacities: lr._opacity,
      },
      scalingBias: config.scaling_bias,
      opacityBias: config.opacity_bias,
      kernelSize: config['3d_filter_kernel_size'],
      scalingActivation: config.scaling_activation,
    };
  }

  /** Decodes a batch: one set of Gaussians per element. @throws ShapeError, InputError. */
  async decode(x: SparseTensor): Promise<Gaussians[]> {
    using out = await this.forward(x);
    return await decodeGaussians(
      out,
      this.config.representation_config.num_gaussians,
      this.decoding,
    );
  }
}

/**
 * Starting offsets of the Gaussians of a voxel, `[count, 3]`: a Hammersley set, spread so that the tanh of an offset
 * reaches its place in the voxel. Published files store the same numbers.
 *
 * @param voxelSize range of a Gaussian's offset, in voxels.
 * @see Wong et al., Sampling with Hammersley and Halton points, Journal of Graphics Tools 2(2), 1997
 */
export function offsetPerturbation(count: number, voxelSize: number): Float32Array {
  const out = new Float32Array(3 * count);
  for (let i = 0; i < count; i++) {
    const point = [i / count, radicalInverse(i, 2), radicalInverse(i, 3)];
    point.forEach((u, axis) => (out[3 * i + axis] = Math.atanh((2 * u - 1) / voxelSize)));
  }
  return out;
}
