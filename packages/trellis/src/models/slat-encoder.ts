/**
 * Structured latents from image features of an asset's voxels.
 *
 * @see Xiang et al., TRELLIS, arXiv 2412.01506, section 3.2
 */
import type { Device } from '@pergola/core';
import type { SparseTensor } from '@pergola/sparse';
import { loadParameters, type LoadOptions } from '../checkpoints/load-parameters.ts';
import type { WeightStore } from '../checkpoints/weight-store.ts';
import { linearParameters, type ParameterSpec } from '../nn/parameters.ts';
import type { SLatEncoderConfig } from './config.ts';
import { SLatTorso, torsoParameters } from './slat-torso.ts';

/** A normal distribution per latent value. */
export interface SLatPosterior {
  /** The latent to use where no sampling is wanted. */
  readonly mean: SparseTensor;
  /** Logarithm of the variance. */
  readonly logVariance: SparseTensor;
}

/** Voxel features to a distribution of latents. */
export class SLatEncoder extends SLatTorso<SLatEncoderConfig> {
  /** All parameters, in the order of the published code. */
  static expectedParameters(config: SLatEncoderConfig): ParameterSpec[] {
    const { model_channels: channels, latent_channels: latent } = config;
    return [
      ...torsoParameters(config, config.in_channels),
      ...linearParameters('out_layer', channels, 2 * latent, 'f32'),
    ];
  }

  /** @throws CheckpointError when the store does not hold exactly the expected parameters. */
  static async load(
    store: WeightStore,
    config: SLatEncoderConfig,
    device: Device,
    options: LoadOptions = {},
  ): Promise<SLatEncoder> {
    const expected = SLatEncoder.expectedParameters(config);
    return new SLatEncoder(await loadParameters(store, expected, device, options), config);
  }

  /**
   * Encodes voxel features.
   *
   * @param x f32 feats `[N, in_channels]`: image tokens averaged over the views that see a voxel.
   * @returns f32 feats `[N, latent_channels]` each.
   * @throws ShapeError, InputError.
   */
  async forward(x: SparseTensor): Promise<SLatPosterior> {
    const rows = await this.torso(x);
    const [mean, logVariance] = this.device.run(() =>
      this.normalisedOutput(rows)
        .chunk(2)
        .map((part) => part.toContiguous()),
    );
    return { mean: x.withFeats(mean!), logVariance: x.withFeats(logVariance!) };
  }
}
