/**
 * Latents of the first stage from the occupancy of the voxel grid.
 *
 * @see Xiang et al., TRELLIS, arXiv 2412.01506, section 3.3
 */
import { shapeMismatch, type Device, type Tensor } from '@pergola/core';
import {
  loadParameters,
  type LoadedParameters,
  type LoadOptions,
} from '../checkpoints/load-parameters.ts';
import type { WeightStore } from '../checkpoints/weight-store.ts';
import { affineParameters, type ParameterSpec } from '../nn/parameters.ts';
import type { SparseStructureEncoderConfig } from './config.ts';
import { Network } from './network.ts';
import {
  blockChain,
  chainParameters,
  middleParameters,
  outLayerParameters,
  runChain,
  runInputLayer,
  runMiddle,
  runOutLayer,
} from './structure-vae.ts';

/** A normal distribution per latent value. */
export interface Posterior {
  /** The latent to use where no sampling is wanted. */
  readonly mean: Tensor;
  /** Logarithm of the variance. */
  readonly logVariance: Tensor;
}

/** Occupancy to a distribution of latents. */
export class SparseStructureEncoder extends Network {
  readonly config: SparseStructureEncoderConfig;

  /** All parameters, in the order of the published code. */
  static expectedParameters(config: SparseStructureEncoderConfig): ParameterSpec[] {
    const first = config.channels[0]!;
    const last = config.channels[config.channels.length - 1]!;
    return [
      ...affineParameters('input_layer', [first, config.in_channels, 3, 3, 3], 'f32'),
      ...chainParameters(blockChain(config, 'down')),
      ...middleParameters(last, config.num_res_blocks_middle),
      ...outLayerParameters(last, 2 * config.latent_channels),
    ];
  }

  /** @throws CheckpointError when the store does not hold exactly the expected parameters. */
  static async load(
    store: WeightStore,
    config: SparseStructureEncoderConfig,
    device: Device,
    options: LoadOptions = {},
  ): Promise<SparseStructureEncoder> {
    const expected = SparseStructureEncoder.expectedParameters(config);
    const parameters = await loadParameters(store, expected, device, options);
    return new SparseStructureEncoder(parameters, config);
  }

  private constructor(parameters: LoadedParameters, config: SparseStructureEncoderConfig) {
    super(parameters);
    this.config = config;
  }

  /**
   * Encodes occupancy.
   *
   * @param occupancy f32 `[B, in_channels, S, S, S]` of zeros and ones, axes x, y, z.
   * @returns f32 `[B, latent_channels, R, R, R]` each; every level but the last halves the extents.
   * @throws ShapeError when the channels do not fit.
   */
  forward(occupancy: Tensor): Posterior {
    const { in_channels: channels, num_res_blocks_middle: middle } = this.config;
    if (occupancy.rank !== 5 || occupancy.shape[1] !== channels) {
      throw shapeMismatch(
        'sparseStructureEncoder',
        'occupancy',
        `[B, ${channels}, S, S, S]`,
        occupancy.shape,
      );
    }
    return this.device.run(() => {
      let h = runInputLayer(occupancy, this.weights, this.dtype);
      h = runChain(h, blockChain(this.config, 'down'), this.weights);
      h = runMiddle(h, middle, this.weights);
      h = runOutLayer(h, this.config, this.weights);
      const [mean, logVariance] = h.chunk(2, 1).map((part) => part.toContiguous());
      return { mean: mean!, logVariance: logVariance! };
    });
  }
}
