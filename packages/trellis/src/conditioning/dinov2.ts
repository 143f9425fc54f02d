/**
 * The image encoder: a DINOv2 vision transformer with registers.
 *
 * @see Oquab et al., DINOv2, arXiv 2304.07193
 * @see Darcet et al., Vision Transformers Need Registers, arXiv 2309.16588
 */
import {
  add,
  concat,
  InputError,
  layerNorm,
  linear,
  resizeBicubic,
  shapeMismatch,
  type Device,
  type Tensor,
} from '@pergola/core';
import {
  loadParameters,
  type LoadedParameters,
  type LoadOptions,
} from '../checkpoints/load-parameters.ts';
import type { WeightStore } from '../checkpoints/weight-store.ts';
import type { DinoConfig } from '../models/config.ts';
import { Network } from '../models/network.ts';
import { evenRows } from '../nn/packed-rows.ts';
import {
  affineParameters,
  blockParameters,
  normParameters,
  unusedParameters,
  type ParameterSpec,
} from '../nn/parameters.ts';
import { consume } from '../nn/steps.ts';
import { vitBlock, vitBlockParameters } from '../nn/vit-block.ts';
import { dinoStore } from './dinov2-keys.ts';

// Norm without parameters that makes conditions of the tokens.
const CONDITION_EPS = 1e-5;

/** What the encoder makes of pictures. Tokens: class, registers, then patches row by row. */
export interface ImageTokens {
  /** `[B, T, C]` after the last block, before any norm: features of patches for the latent encoder. */
  readonly raw: Tensor;
  /** `[B, T, C]` normalised over C: conditions for the flow networks. */
  readonly condition: Tensor;
}

/** Pictures to tokens, all in f32. */
export class DinoVisionTransformer extends Network {
  readonly config: DinoConfig;
  // Position table of the patch grid seen last.
  #positions:
    | { readonly rows: number; readonly columns: number; readonly table: Tensor }
    | undefined;

  /** All parameters under the names of the original release, in its order. */
  static expectedParameters(config: DinoConfig): ParameterSpec[] {
    const { embed_dim: channels, patch_size: patch, num_register_tokens: registers } = config;
    const patches = (config.img_size / patch) ** 2;
    const block = vitBlockParameters(channels, config.mlp_ratio);
    return [
      { name: 'cls_token', shape: [1, 1, channels], dtype: 'f32' },
      { name: 'pos_embed', shape: [1, patches + 1, channels], dtype: 'f32' },
      ...(registers === 0
        ? []
        : [
            {
              name: 'register_tokens',
              shape: [1, registers, channels],
              dtype: 'f32',
            } satisfies ParameterSpec,
          ]),
      { name: 'mask_token', shape: [1, channels], dtype: 'f32', unused: true },
      ...affineParameters('patch_embed.proj', [channels, 3, patch, patch], 'f32'),
      ...blockParameters('blocks', config.depth, () => block),
      ...unusedParameters(normParameters('norm', channels)),
    ];
  }

  /** The store under the names of `expectedParameters`. */
  static named(store: WeightStore, config: DinoConfig): WeightStore {
    return dinoStore(store, config);
  }

  /**
   * Loads a checkpoint with the names of the original release or of the Hugging Face conversion.
   *
   * @throws CheckpointError when the store does not hold exactly the expected parameters.
   */
  static async load(
    store: WeightStore,
    config: DinoConfig,
    device: Device,
    options: LoadOptions = {},
  ): Promise<DinoVisionTransformer> {
    const expected = DinoVisionTransformer.expectedParameters(config);
    const named = DinoVisionTransformer.named(store, config);
    const parameters = await loadParameters(named, expected, device, { ...options, dtype: 'f32' });
    return new DinoVisionTransformer(parameters, config);
  }

  private constructor(parameters: LoadedParameters, config: DinoConfig) {
    super(parameters);
    this.config = config;
  }

  /**
   * Encodes pictures.
   *
   * @param image f32 `[B, 3, H, W]`, normalised by the mean and deviation of the training pictures; H and W multiples
   *   of the patch.
   * @throws ShapeError, InputError.
   */
  forward(image: Tensor): ImageTokens {
    const { embed_dim: channels, patch_size: patch, num_heads: heads, depth } = this.config;
    if (image.rank !== 4 || image.shape[1] !== 3) {
      throw shapeMismatch('dinov2', 'image', '[B, 3, H, W]', image.shape);
    }
    const [batch, , height, width] = image.shape as [number, number, number, number];
    if (height % patch !== 0 || width % patch !== 0 || height * width === 0) {
      throw new InputError(
        `dinov2: the sides of image must be positive multiples of ${patch}, got ${height} by ${width}.`,
      );
    }
    const [rows, columns] = [height / patch, width / patch];
    const positions = this.#positionTable(rows, columns);
    return this.device.run(() => {
      const tokens = this.#embed(image, rows, columns, positions);
      const length = tokens.shape[1]!;
      const pictures = evenRows(this.device, batch, length);
      const all = evenRows(this.device, 1, batch * length);
      let h = tokens.reshape(batch * length, channels);
      for (let i = 0; i < depth; i++) {
        h = vitBlock(h, pictures, all, heads, this.weights.at(`blocks.${i}`));
      }
      const raw = h.reshape(batch, length, channels);
      return { raw, condition: layerNorm(raw, undefined, undefined, { eps: CONDITION_EPS }) };
    });
  }

  /** Patches with positions, behind class token and registers: `[B, T, C]`. */
  #embed(image: Tensor, rows: number, columns: number, positions: Tensor): Tensor {
    const { embed_dim: channels, patch_size: patch } = this.config;
    const batch = image.shape[0]!;
    return this.device.run(() => {
      // A convolution whose stride is its kernel is a linear layer on the cut-out patches.
      const cut = image
        .reshape(batch, 3, rows, patch, columns, patch)
        .permute(0, 2, 4, 1, 3, 5)
        .reshape(batch * rows * columns, 3 * patch * patch);
      const kernel = this.weights.at('patch_embed.proj');
      const patches = linear(cut, kernel.get('weight').reshape(channels, -1), kernel.get('bias'));
      const leading = this.weights.get('cls_token').expand(batch, 1, channels);
      const placed = consume(
        concat([leading, patches.reshape(batch, rows * columns, channels)], { axis: 1 }),
        (tokens) => add(tokens, positions),
      );
      if (this.config.num_register_tokens === 0) return placed;
      const registers = this.weights.get('register_tokens');
      const repeated = registers.expand(batch, registers.shape[1]!, channels);
      return concat([placed.slice(1, 0, 1), repeated, placed.slice(1, 1)], { axis: 1 });
    });
  }

  /** Positions of the class token and of a grid of patches, `[1, 1 + rows · columns, C]`. */
  #positionTable(rows: number, columns: number): Tensor {
    const stored = this.weights.get('pos_embed');
    const side = this.config.img_size / this.config.patch_size;
    if (rows === side && columns === side) return stored;
    const last = this.#positions;
    if (last?.rows === rows && last.columns === columns) return last.table;
    if (last !== undefined) this.release(last.table);
    const channels = this.config.embed_dim;
    const table = this.device.run(() => {
      const grid = stored.slice(1, 1).reshape(1, side, side, channels).permute(0, 3, 1, 2);
      const resized = resizeBicubic(grid.toContiguous(), {
        size: [rows, columns],
        antialias: this.config.interpolate_antialias,
      });
      const tokens = resized.permute(0, 2, 3, 1).reshape(1, rows * columns, channels);
      return concat([stored.slice(1, 0, 1), tokens], { axis: 1 });
    });
    this.#positions = { rows, columns, table: this.own(table) };
    return table;
  }
}
