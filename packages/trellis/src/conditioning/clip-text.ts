/**
 * The text encoder: CLIP's text tower.
 *
 * @see Radford et al., Learning Transferable Visual Models From Natural Language Supervision, arXiv 2103.00020
 */
import { add, gather, InputError, layerNorm, type Device, type Tensor } from '@pergola/core';
import {
  loadParameters,
  type LoadedParameters,
  type LoadOptions,
} from '../checkpoints/load-parameters.ts';
import { renamedStore, type WeightStore } from '../checkpoints/weight-store.ts';
import type { ClipTextConfig } from '../models/config.ts';
import { Network } from '../models/network.ts';
import { clipBlock, clipBlockParameters } from '../nn/clip-block.ts';
import { evenRows } from '../nn/packed-rows.ts';
import { blockParameters, normParameters, type ParameterSpec } from '../nn/parameters.ts';
import { consume } from '../nn/steps.ts';

// The released file holds both towers; the text tower's names start with this.
const TOWER_PREFIX = 'text_model.';
// Counts 0, 1, 2, ...: kept by older files, never needed.
const POSITION_IDS = 'embeddings.position_ids';

/** Token ids to one vector per token, all in f32. */
export class ClipTextModel extends Network {
  readonly config: ClipTextConfig;

  /** All parameters of the text tower, without the tower's prefix. */
  static expectedParameters(config: ClipTextConfig): ParameterSpec[] {
    const { hidden_size: channels } = config;
    const block = clipBlockParameters(channels, config.intermediate_size);
    return [
      {
        name: 'embeddings.token_embedding.weight',
        shape: [config.vocab_size, channels],
        dtype: 'f32',
      },
      {
        name: 'embeddings.position_embedding.weight',
        shape: [config.max_position_embeddings, channels],
        dtype: 'f32',
      },
      ...blockParameters('encoder.layers', config.num_hidden_layers, () => block),
      ...normParameters('final_layer_norm', channels),
    ];
  }

  /** The text tower alone, under the names of `expectedParameters`. */
  static named(store: WeightStore, config: ClipTextConfig): WeightStore {
    const hasPrefix = store.names.some((name) => name.startsWith(TOWER_PREFIX));
    const prefix = hasPrefix ? TOWER_PREFIX : '';
    const names = ClipTextModel.expectedParameters(config).map(({ name }) => name);
    return renamedStore(
      store,
      new Map(names.map((name) => [name, [prefix + name]])),
      (name) => name === prefix + POSITION_IDS || (hasPrefix && !name.startsWith(TOWER_PREFIX)),
    );
  }

  /**
   * Loads the text tower from a file of its own or of both towers.
   *
   * @throws CheckpointError when the store does not hold exactly the expected parameters.
   */
  static async load(
    store: WeightStore,
    config: ClipTextConfig,
    device: Device,
    options: LoadOptions = {},
  ): Promise<ClipTextModel> {
    const expected = ClipTextModel.expectedParameters(config);
    const tower = ClipTextModel.named(store, config);
    const parameters = await loadParameters(tower, expected, device, { ...options, dtype: 'f32' });
    return new ClipTextModel(parameters, config);
  }

  private constructor(parameters: LoadedParameters, config: ClipTextConfig) {
    super(parameters);
    this.config = config;
  }

  /**
   * Encodes token sequences. Padding is not masked: a token sees every token before it.
   *
   * @param sequences token ids, all sequences of one length of at most `max_position_embeddings`.
   * @returns f32 `[B, L, hidden_size]`, after the final norm.
   * @throws InputError when lengths differ or an id is outside the vocabulary.
   */
  forward(sequences: readonly (readonly number[])[]): Tensor {
    const { hidden_size: channels, num_hidden_layers: layers } = this.config;
    const [batch, length] = [sequences.length, this.#checkLength(sequences)];
    const ids = Int32Array.from(sequences.flat());
    return this.device.run(() => {
      const tokens = gather(
        this.weights.get('embeddings.token_embedding.weight'),
        this.device.tensor(ids, [ids.length]),
      );
      const positions = this.weights.get('embeddings.position_embedding.weight');
      let h = consume(tokens, (tokens) => {
        const placed = add(tokens.reshape(batch, length, channels), positions.slice(0, 0, length));
        return placed.reshape(batch * length, channels);
      });
      const rows = evenRows(this.device, batch, length);
      const block = {
        heads: this.config.num_attention_heads,
        eps: this.config.layer_norm_eps,
        activation: this.config.hidden_act === 'gelu' ? 'gelu' : 'quickGelu',
      } as const;
      for (let i = 0; i < layers; i++) {
        h = clipBlock(h, rows, block, this.weights.at(`encoder.layers.${i}`));
      }
      const norm = this.weights.at('final_layer_norm');
      return consume(h, (h) =>
        layerNorm(h, norm.get('weight'), norm.get('bias'), { eps: block.eps }),
      ).reshape(batch, length, channels);
    });
  }

  #checkLength(sequences: readonly (readonly number[])[]): number {
    const { vocab_size: vocabulary, max_position_embeddings: most } = this.config;
    const length = sequences[0]?.length ?? 0;
    if (length === 0 || length > most || sequences.some((ids) => ids.length !== length)) {
      throw new InputError(
        `clipText: sequences must all have one length from 1 to ${most}, got ${sequences.map((ids) => ids.length).join(', ') || 'none'}.`,
      );
    }
    const stray = sequences
      .flat()
      .find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabulary));
    if (stray !== undefined) {
      throw new InputError(
        `clipText: ids must be integers from 0 to ${vocabulary - 1}, got ${stray}.`,
      );
    }
    return length;
  }
}
