/**
 * Occupancy of the voxel grid from the latents of the first stage.
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
import type { SparseStructureDecoderConfig } from './config.ts';
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

/** Latents to occupancy logits. */
export class SparseStructureDecoder extends Network {
  readonly config: SparseStructureDecoderConfig;

  /** All parameters, in the order of the published code. */
  static expectedParameters(config: SparseStructureDecoderConfig): ParameterSpec[] {
    const first = config.channels[0]!;
    const last = config.channels[config.channels.length - 1]!;
    return [
      ...affineParameters('input_layer', [first, config.latent_channels, 3, 3, 3], 'f32'),
      ...middleParameters(first, config.num_res_blocks_middle),
      ...chainParameters(blockChain(config, 'up')),
      ...outLayerParameters(last, config.out_channels),
    ];
  }

  /** @throws CheckpointError when the store does not hold exactly the expected parameters. */
  static async load(
    store: WeightStore,
    config: SparseStructureDecoderConfig,
    device: Device,
    options: LoadOptions = {},
  ): Promise<SparseStructureDecoder> {
    const expected = SparseStructureDecoder.expectedParameters(config);
    const parameters = await loadParameters(store, expected, device, options);
    return new SparseStructureDecoder(parameters, config);
  }

  private constructor(parameters: LoadedParameters, config: SparseStructureDecoderConfig) {
    super(parameters);
    this.config = config;
  }

  /**
   * Decodes latents. A voxel is occupied where its logit is above 0.
   *
   * @param latent f32 `[B, latent_channels, R, R, R]`, axes x, y, z.
   * @returns f32 logits `[B, out_channels, S, S, S]`; each level but the first doubles the extents.
   * @throws ShapeError when the channels do not fit.
   */
  forward(latent: Tensor): Tensor {
    const { latent_channels: channels, num_res_blocks_middle: middle } = this.config;
    if (latent.rank !== 5 || latent.shape[1] !== channels) {
      throw shapeMismatch(
        'sparseStructureDecoder',
        'latent',
        `[B, ${channels}, R, R, R]`,
        latent.shape,
      );
    }
    return this.device.run(() => {
      let h = runInputLayer(latent, this.weights, this.dtype);
      h = runMiddle(h, middle, this.weights);
      h = runChain(h, blockChain(this.config, 'up'), this.weights);
      return runOutLayer(h, this.config, this.weights);
    });
  }
}
