/**
 * Structured latents to the cells of a mesh: the torso, then two blocks that each double the resolution.
 *
 * @see Xiang et al., TRELLIS, arXiv 2412.01506, section 3.2
 */
import type { Device, Tensor } from '@pergola/core';
import { SparseTensor, type SparseStructure } from '@pergola/sparse';
import { CHANNELS_COLORED, CHANNELS_PLAIN } from '../assets/cell-record.ts';
import { arrangeMeshVoxels, type ExtractedMesh, type MeshCells } from '../assets/mesh-stages.ts';
import {
  loadParameters,
  type LoadedParameters,
  type LoadOptions,
} from '../checkpoints/load-parameters.ts';
import type { WeightStore } from '../checkpoints/weight-store.ts';
import { linearParameters, prefixed, type ParameterSpec } from '../nn/parameters.ts';
import type { Grid } from '../nn/sparse-res-block.ts';
import { consume, project, toDType } from '../nn/steps.ts';
import {
  subdivideBlock,
  subdivideBlockParameters,
  type PointwiseReading,
} from '../nn/subdivide-block.ts';
import type { SLatMeshDecoderConfig } from './config.ts';
import { readMeshes } from './decoded-meshes.ts';
import { splitElements } from './decoded-rows.ts';
import { SLatTorso, torsoParameters } from './slat-torso.ts';

/** Options of loading a mesh decoder. */
export interface MeshDecoderOptions extends LoadOptions {
  /** How the 1³ skip convolutions read their weights; see `SLatMeshDecoder`. Default `reinterpreted`. */
  readonly pointwiseReading?: PointwiseReading;
}

/** Channels after each subdivision. */
function subdivisionWidths({ model_channels: channels }: SLatMeshDecoderConfig): number[] {
  return [channels, channels / 4, channels / 8];
}

/**
 * Latents to mesh cells.
 *
 * The published weights were trained through a library that reads the buffer of a 1³ kernel, stored as
 * `[outputs, 1, 1, 1, inputs]`, as an `[inputs, outputs]` matrix; they need the reading `reinterpreted`. Weights
 * trained through a library that takes the shape at its word need `conventional`. The file does not say which.
 */
export class SLatMeshDecoder extends SLatTorso<SLatMeshDecoderConfig> {
  readonly pointwiseReading: PointwiseReading;

  /** All parameters, in the order of the published code. */
  static expectedParameters(config: SLatMeshDecoderConfig): ParameterSpec[] {
    const widths = subdivisionWidths(config);
    const { use_color: colored } = config.representation_config;
    const outputs = colored ? CHANNELS_COLORED : CHANNELS_PLAIN;
    return [
      ...torsoParameters(config, config.latent_channels),
      ...[0, 1].flatMap((i) =>
        prefixed(`upsample.${i}`, subdivideBlockParameters(widths[i]!, widths[i + 1]!)),
      ),
      ...linearParameters('out_layer', widths[2]!, outputs, 'f32'),
    ];
  }

  /** @throws CheckpointError when the store does not hold exactly the expected parameters. */
  static async load(
    store: WeightStore,
    config: SLatMeshDecoderConfig,
    device: Device,
    options: MeshDecoderOptions = {},
  ): Promise<SLatMeshDecoder> {
    const expected = SLatMeshDecoder.expectedParameters(config);
    const parameters = await loadParameters(store, expected, device, options);
    return new SLatMeshDecoder(parameters, config, options.pointwiseReading ?? 'reinterpreted');
  }

  private constructor(
    parameters: LoadedParameters,
    config: SLatMeshDecoderConfig,
    reading: PointwiseReading,
  ) {
    super(parameters, config);
    this.pointwiseReading = reading;
  }

  /** Cells per axis of the grid that the output lives on. */
  get cellResolution(): number {
    return 4 * this.config.resolution;
  }

  /**
   * The output layer.
   *
   * @param x f32 feats `[N, latent_channels]`, denormalised.
   * @returns f32 feats `[64 N, 53 or 101]` on the twice subdivided structure, the cells of a voxel in consecutive
   *   rows; `extractMesh` says what the channels mean. The structure belongs to that of x.
   * @throws ShapeError, InputError.
   */
  async forward(x: SparseTensor): Promise<SparseTensor> {
    const coarse = await withNeighbours(x.structure);
    const middle = await withNeighbours(await coarse.structure.subdivide());
    const fine = await withNeighbours(await middle.structure.subdivide());
    const rows = await this.torso(x);
    const feats = this.device.run(() => {
      const run = (h: Tensor, parents: Grid, children: Grid, i: number): Tensor =>
        subdivideBlock(
          h,
          parents,
          children,
          this.pointwiseReading,
          this.weights.at(`upsample.${i}`),
        );
      let h = run(rows, coarse, middle, 0);
      h = run(h, middle, fine, 1);
      // One after the other: the cells are the largest tensors of a run.
      h = consume(h, (h) => toDType(h, 'f32'));
      return consume(h, (h) => project(h, this.weights.at('out_layer')));
    });
    return new SparseTensor(fine.structure, feats);
  }

  /** Decodes a batch: one mesh per element. @throws ShapeError, InputError. */
  async decode(x: SparseTensor): Promise<ExtractedMesh[]> {
    // Read ahead of the network, so that the host need not wait for it.
    const voxels = (await x.structure.coords.values()) as Int32Array;
    using cells = await this.forward(x);
    return await readMeshes(cells, () => this.arrangeCells(voxels, x.structure.lengths));
  }

  /**
   * Arranges the cells of the voxels of each batch element.
   *
   * @param voxels i32 `[N, 4]`.
   * @param lengths voxels of each batch element.
   */
  arrangeCells(voxels: Int32Array, lengths: readonly number[]): MeshCells[] {
    const options = { resolution: this.cellResolution };
    return splitElements(voxels, lengths).map((own, element) =>
      arrangeMeshVoxels(own, lengths[element]!, options),
    );
  }
}

async function withNeighbours(structure: SparseStructure): Promise<Grid> {
  return { structure, map: await structure.kernelMap({ kernelSize: 3 }) };
}
