/** Descriptions to 3D assets. */
import { InputError, type Device } from '@pergola/core';
import type { ClipTextModel } from '../conditioning/clip-text.ts';
import { ClipTokenizer } from '../conditioning/clip-tokenizer.ts';
import type { Asset } from './asset.ts';
import { inTurn } from './device-queue.ts';
import type { GenerateOptions, GenerationNetworks, GenerationSettings } from './generation.ts';
import { openGeneration, torsoDType, type LoadPipelineOptions } from './load-generation.ts';
import { openModelSet, requireNetwork } from './model-set.ts';
import { NetworkSet } from './network-set.ts';
import { Pipeline } from './pipeline.ts';
import type { Conditioning } from './stages.ts';

type TextNetworks = GenerationNetworks & { readonly textEncoder: ClipTextModel };

/**
 * Encodes a description. The negative condition is that of the empty text.
 *
 * @returns f32 `[1, T, C]` each.
 */
export function encodeText(
  encoder: ClipTextModel,
  tokenizer: ClipTokenizer,
  text: string,
): Conditioning {
  return encoder.device.run(() => {
    const tokens = encoder.forward([tokenizer.encode(text), tokenizer.encode('')]);
    return { positive: [tokens.slice(0, 0, 1)], negative: tokens.slice(0, 1, 2) };
  });
}

/** The text-to-3D pipeline. It needs a model set with a text encoder; the bundled set has none. */
export class TextTo3D extends Pipeline<TextNetworks> {
  readonly #tokenizer: ClipTokenizer;

  private constructor(
    device: Device,
    networks: NetworkSet<TextNetworks>,
    tokenizer: ClipTokenizer,
    settings: GenerationSettings,
  ) {
    super(device, networks, settings);
    this.#tokenizer = tokenizer;
  }

  /**
   * Loads a model set: a folder with `pipeline.json` and the networks that it names.
   *
   * @param folder a path or a URL; in browsers a URL, which may be relative to the page.
   * @throws CheckpointError when a file is missing, damaged or does not fit; InputError when the set is for pictures.
   */
  static async load(folder: string, options: LoadPipelineOptions): Promise<TextTo3D> {
    const { device, memoryBudget, signal } = options;
    const dtype = torsoDType(options);
    const set = await openModelSet(folder);
    const textEncoder = await requireNetwork(
      set,
      'text_cond_model',
      'CLIPTextModel',
      device,
      dtype,
    );
    const { sources, settings } = await openGeneration(set, device, dtype);
    const tokenizer = await ClipTokenizer.open(textEncoder.stem);
    const networks = await inTurn(device, () =>
      NetworkSet.open<TextNetworks>({ textEncoder, ...sources }, { memoryBudget, signal }),
    );
    return new TextTo3D(device, networks, tokenizer, settings);
  }

  /**
   * Makes assets from a description.
   *
   * @returns `numSamples` assets.
   * @throws InputError for bad options, EmptyStructureError when no object was found, the signal's reason when aborted.
   */
  async run(text: string, options: GenerateOptions = {}): Promise<Asset[]> {
    if (typeof text !== 'string') {
      throw new InputError(`TextTo3D: text must be a string, got ${typeof text}.`);
    }
    return this.generate('TextTo3D', options, () =>
      this.networks.use(
        'textEncoder',
        async (encoder) => encodeText(encoder, this.#tokenizer, text),
        options.signal,
      ),
    );
  }
}
