/**
 * First stage: the flow of sparse structures, a diffusion transformer over a dense latent grid.
 *
 * @see Xiang et al., TRELLIS, arXiv 2412.01506, section 3.3
 */
import { add, layerNorm, shapeMismatch, type Device, type Tensor } from '@pergola/core';
import {
  loadParameters,
  type LoadedParameters,
  type LoadOptions,
} from '../checkpoints/load-parameters.ts';
import type { WeightStore } from '../checkpoints/weight-store.ts';
import { evenRows } from '../nn/packed-rows.ts';
import { linearParameters, type ParameterSpec } from '../nn/parameters.ts';
import { consume, project, toDType } from '../nn/steps.ts';
import { timestepEmbedderParameters } from '../nn/timestep-embedding.ts';
import type { SparseStructureFlowConfig } from './config.ts';
import {
  flowBlockParameters,
  FlowNetwork,
  sharedModulationParameters,
  timesOfBatch,
  type FlowCondition,
  type FlowTime,
} from './flow-network.ts';

// The final norm keeps its framework's default, unlike the norms of the blocks.
const FINAL_EPS = 1e-5;

/** Velocity of the structure latent `[B, in_channels, R, R, R]` under a condition. */
export class SparseStructureFlowModel extends FlowNetwork<SparseStructureFlowConfig> {
  /** All parameters, in the order of the published code. */
  static expectedParameters(config: SparseStructureFlowConfig): ParameterSpec[] {
    const { model_channels: channels, patch_size: patch } = config;
    const tokens = (config.resolution / patch) ** 3;
    return [
      { name: 'pos_emb', shape: [tokens, channels], dtype: 'f32', table: 'position-embedding' },
      ...timestepEmbedderParameters('t_embedder', channels),
      ...sharedModulationParameters(config),
      ...linearParameters('input_layer', config.in_channels * patch ** 3, channels, 'f32'),
      ...flowBlockParameters(config),
      ...linearParameters('out_layer', channels, config.out_channels * patch ** 3, 'f32'),
    ];
  }

  /** @throws CheckpointError when the store does not hold exactly the expected parameters. */
  static async load(
    store: WeightStore,
    config: SparseStructureFlowConfig,
    device: Device,
    options: LoadOptions = {},
  ): Promise<SparseStructureFlowModel> {
    const expected = SparseStructureFlowModel.expectedParameters(config);
    const parameters = await loadParameters(store, expected, device, options);
    return new SparseStructureFlowModel(parameters, config);
  }

  private constructor(parameters: LoadedParameters, config: SparseStructureFlowConfig) {
    super(parameters, config);
  }

  /**
   * Predicts the velocity.
   *
   * @param x f32 `[B, in_channels, R, R, R]`, axes x, y, z.
   * @param t flow time times 1000.
   * @param condition prepared by this network.
   * @returns f32 `[B, out_channels, R, R, R]`.
   * @throws ShapeError when a shape does not fit the configuration; InputError for a condition of another network.
   */
  forward(x: Tensor, t: FlowTime, condition: FlowCondition): Tensor {
    const { in_channels, out_channels, resolution, patch_size: patch } = this.config;
    const [batch = 0] = x.shape;
    const cube = [resolution, resolution, resolution];
    if (x.rank !== 5 || x.shape.slice(1).join() !== [in_channels, ...cube].join()) {
      throw shapeMismatch(
        'sparseStructureFlow',
        'x',
        `[B, ${in_channels}, ${cube.join(', ')}]`,
        x.shape,
      );
    }
    const times = timesOfBatch('sparseStructureFlow', t, batch);
    this.checkCondition('sparseStructureFlow', condition, batch);
    const tokens = (resolution / patch) ** 3;
    return this.device.run(() => {
      const rows = evenRows(this.device, batch, tokens);
      const embedded = this.device.run(() => {
        const patches = project(patchify(x, patch), this.weights.at('input_layer'));
        const placed = add(patches.reshape(batch, tokens, -1), this.weights.get('pos_emb'));
        return toDType(placed.reshape(batch * tokens, -1), this.dtype);
      });
      const h = this.runBlocks(embedded, rows, this.embedTime(times), condition);
      return consume(h, (h) => {
        const normal = layerNorm(toDType(h, 'f32'), undefined, undefined, { eps: FINAL_EPS });
        const out = project(normal, this.weights.at('out_layer'));
        return unpatchify(out, [batch, out_channels, ...cube], patch);
      });
    });
  }
}

/**
 * Cuts a volume into cubes of `patch` voxels per axis.
 *
 * @param x `[B, C, X, Y, Z]`.
 * @returns `[B · (X/p)(Y/p)(Z/p), C · p³]`, tokens z fastest; inside a token the channel is slowest.
 */
export function patchify(x: Tensor, patch: number): Tensor {
  const [batch, channels, ...extents] = x.shape as [number, number, ...number[]];
  const [nx, ny, nz] = extents.map((extent) => extent / patch) as [number, number, number];
  return x
    .reshape(batch, channels, nx, patch, ny, patch, nz, patch)
    .permute(0, 2, 4, 6, 1, 3, 5, 7)
    .reshape(batch * nx * ny * nz, channels * patch ** 3);
}

/** The inverse of `patchify`, to a volume of this shape `[B, C, X, Y, Z]`. */
export function unpatchify(rows: Tensor, shape: readonly number[], patch: number): Tensor {
  const [batch, channels, ...extents] = shape as [number, number, ...number[]];
  const [nx, ny, nz] = extents.map((extent) => extent / patch) as [number, number, number];
  return rows
    .reshape(batch, nx, ny, nz, channels, patch, patch, patch)
    .permute(0, 4, 1, 5, 2, 6, 3, 7)
    .reshape(...shape);
}
