/**
 * The transformer over the voxels of an asset that encoder and decoders of structured latents share.
 *
 * @see Xiang et al., TRELLIS, arXiv 2412.01506, section 3.2
 * @see Liu et al., Swin Transformer, arXiv 2103.14030
 */
import { add, layerNorm, shapeMismatch, type Tensor } from '@pergola/core';
import type { SparseStructure, SparseTensor } from '@pergola/sparse';
import type { LoadedParameters } from '../checkpoints/load-parameters.ts';
import { blockParameters, linearParameters, type ParameterSpec } from '../nn/parameters.ts';
import { checkPositions, embedPositions, uploadPositionTable } from '../nn/position-embedding.ts';
import { consume, project, toDType } from '../nn/steps.ts';
import {
  windowedBlock,
  windowedBlockParameters,
  type AttentionScope,
} from '../nn/windowed-block.ts';
import type { SLatTorsoConfig } from './config.ts';
import { Network } from './network.ts';

// The final norm keeps its framework's default, unlike the norms of the blocks.
const FINAL_EPS = 1e-5;

/** Parameters of the torso. @param inputs channels of a voxel. */
export function torsoParameters(config: SLatTorsoConfig, inputs: number): ParameterSpec[] {
  const { model_channels: channels, num_heads: heads } = config;
  const block = windowedBlockParameters(channels, heads, config.mlp_ratio, config.qk_rms_norm);
  return [
    ...linearParameters('input_layer', inputs, channels, 'f32'),
    ...blockParameters('blocks', config.num_blocks, () => block),
  ];
}

/** A network whose torso is the windowed transformer. */
export abstract class SLatTorso<Config extends SLatTorsoConfig> extends Network {
  readonly config: Config;
  readonly #positionTable: Tensor;

  protected constructor(parameters: LoadedParameters, config: Config) {
    super(parameters);
    this.config = config;
    this.#positionTable = this.own(uploadPositionTable(this.device, config.model_channels));
  }

  /**
   * Embeds voxels and runs all blocks.
   *
   * @param x f32 feats `[N, inputs]`.
   * @returns `[N, model_channels]` in the torso's dtype.
   * @throws ShapeError, InputError.
   */
  async torso(x: SparseTensor): Promise<Tensor> {
    const { structure, feats } = x;
    const { model_channels: channels, num_blocks: blocks, num_heads: heads } = this.config;
    const inputs = this.weights.get('input_layer.weight').shape[1]!;
    if (feats.rank !== 2 || feats.shape[1] !== inputs) {
      throw shapeMismatch('slatTorso', 'x', `[N, ${inputs}]`, feats.shape);
    }
    checkPositions('slatTorso', structure);
    const scopes = await this.#attentionScopes(structure);
    return this.device.run(() => {
      let h = this.device.run(() => {
        const embedded = project(feats, this.weights.at('input_layer'));
        const positions = embedPositions(structure.coords, this.#positionTable, channels);
        return toDType(add(embedded, positions), this.dtype);
      });
      for (let i = 0; i < blocks; i++) {
        const scope = scopes[i % scopes.length]!;
        h = windowedBlock(h, scope, heads, this.weights.at(`blocks.${i}`));
      }
      return h;
    });
  }

  /** The attention scopes that the blocks use in turn. */
  async #attentionScopes(structure: SparseStructure): Promise<readonly AttentionScope[]> {
    const { attn_mode: mode, window_size: size } = this.config;
    if (mode === 'full') return [structure];
    const half = Math.floor(size / 2);
    return [await structure.windows({ size }), await structure.windows({ size, shift: half })];
  }

  /** The final norm and the output layer, both f32. Frees `rows`. */
  protected normalisedOutput(rows: Tensor): Tensor {
    return consume(rows, (rows) => {
      const normal = layerNorm(toDType(rows, 'f32'), undefined, undefined, { eps: FINAL_EPS });
      return project(normal, this.weights.at('out_layer'));
    });
  }
}
