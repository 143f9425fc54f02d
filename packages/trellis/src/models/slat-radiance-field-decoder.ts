/**
 * Structured latents to a radiance field: each voxel holds a small grid in factored form.
 *
 * @see Xiang et al., TRELLIS, arXiv 2412.01506, section 3.2
 */
import { add, type Device, type Tensor } from '@pergola/core';
import type { SparseTensor } from '@pergola/sparse';
import { placeLeaves, type RadianceField } from '../assets/radiance-field.ts';
import { loadParameters, type LoadOptions } from '../checkpoints/load-parameters.ts';
import type { WeightStore } from '../checkpoints/weight-store.ts';
import { linearParameters, type ParameterSpec } from '../nn/parameters.ts';
import type { SLatRadianceFieldDecoderConfig } from './config.ts';
import { splitElements } from './decoded-rows.ts';
import { SLatTorso, torsoParameters } from './slat-torso.ts';

/** Latents to radiance fields. */
export class SLatRadianceFieldDecoder extends SLatTorso<SLatRadianceFieldDecoderConfig> {
  /** All parameters, in the order of the published code. */
  static expectedParameters(config: SLatRadianceFieldDecoderConfig): ParameterSpec[] {
    const { rank, dim } = config.representation_config;
    const { model_channels: channels, latent_channels: latent } = config;
    return [
      ...torsoParameters(config, latent),
      // Per term: three factors, a density and a colour.
      ...linearParameters('out_layer', channels, rank * (3 * dim + 1 + 3), 'f32'),
    ];
  }

  /** @throws CheckpointError when the store does not hold exactly the expected parameters. */
  static async load(
    store: WeightStore,
    config: SLatRadianceFieldDecoderConfig,
    device: Device,
    options: LoadOptions = {},
  ): Promise<SLatRadianceFieldDecoder> {
    const expected = SLatRadianceFieldDecoder.expectedParameters(config);
    const parameters = await loadParameters(store, expected, device, options);
    return new SLatRadianceFieldDecoder(parameters, config);
  }

  /**
   * The output layer; 1 is not yet added to the factors.
   *
   * @param x f32 feats `[N, latent_channels]`, denormalised.
   * @returns f32 feats `[N, rank (3 dim + 4)]`: factors `[rank, 3, dim]`, densities `[rank]`, colours `[rank, 3]`.
   * @throws ShapeError, InputError.
   */
  async forward(x: SparseTensor): Promise<SparseTensor> {
    return x.withFeats(this.normalisedOutput(await this.torso(x)));
  }

  /** Decodes a batch: one field per element. @throws ShapeError, InputError. */
  async decode(x: SparseTensor): Promise<RadianceField[]> {
    using out = await this.forward(x);
    const { resolution, representation_config: config } = this.config;
    const { lengths } = out.structure;
    // The device takes the rows apart, since the host would spend longer on it than on the download.
    const [coords, ...columns] = await Promise.all([
      out.coords.values() as Promise<Int32Array>,
      ...this.#columns(out.feats).map(async (part) => {
        using own = part;
        return own.floats();
      }),
    ]);
    const [factors, density, color] = columns.map((part) => splitElements(part, lengths));
    return splitElements(coords, lengths).map((voxels, element) =>
      placeLeaves(
        voxels,
        { factors: factors![element]!, density: density![element]!, color: color![element]! },
        { resolution, ...config },
      ),
    );
  }

  /** Factors with 1 added, densities and colours. */
  #columns(rows: Tensor): [Tensor, Tensor, Tensor] {
    const { rank, dim } = this.config.representation_config;
    const densities = rank * 3 * dim;
    const colors = densities + rank;
    return this.device.run(() => [
      add(rows.slice(1, 0, densities), 1),
      rows.slice(1, densities, colors),
      rows.slice(1, colors),
    ]);
  }
}
