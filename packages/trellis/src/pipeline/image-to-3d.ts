/** Pictures to 3D assets. */
import { InputError, type Device, type Tensor } from '@pergola/core';
import type { DinoVisionTransformer } from '../conditioning/dinov2.ts';
import {
  IMAGENET_MEAN,
  IMAGENET_STD,
  normalizedPlanes,
  preprocessImage,
} from '../conditioning/image-preprocess.ts';
import type { PixelImage } from '../conditioning/image.ts';
import type { MultiConditionMode } from '../sampling/guidance.ts';
import type { Asset } from './asset.ts';
import { inTurn } from './device-queue.ts';
import type { GenerateOptions, GenerationNetworks, GenerationSettings } from './generation.ts';
import { openGeneration, torsoDType, type LoadPipelineOptions } from './load-generation.ts';
import { openModelSet, requireNetwork } from './model-set.ts';
import { NetworkSet } from './network-set.ts';
import { Pipeline } from './pipeline.ts';
import type { Conditioning } from './stages.ts';

/** How pictures are prepared for the encoder. */
export interface ImageInputSettings {
  /** Side in pixels. */
  readonly size: number;
  /** Per channel, of pixels in [0, 1]. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Options of one run. */
export interface ImageRunOptions extends GenerateOptions {
  /** See `PreprocessOptions`. Default false. */
  readonly keepBackground?: boolean;
  /** How several pictures of one object are combined. Default `stochastic`. */
  readonly mode?: MultiConditionMode;
}

type ImageNetworks = GenerationNetworks & { readonly imageEncoder: DinoVisionTransformer };

/**
 * Encodes prepared pictures.
 *
 * @param images RGB of the encoder's size, as `preprocessImage` gives them.
 * @returns f32 `[1, T, C]` for each picture.
 */
export function encodeImages(
  encoder: DinoVisionTransformer,
  images: readonly PixelImage[],
  { mean, std }: ImageInputSettings,
): Tensor[] {
  return images.map((image) =>
    encoder.device.run(() => {
      const shape = [1, 3, image.height, image.width];
      const pixels = encoder.device.tensor(normalizedPlanes([image], mean, std), shape);
      return encoder.forward(pixels).condition;
    }),
  );
}

/** The image-to-3D pipeline. */
export class ImageTo3D extends Pipeline<ImageNetworks> {
  /** How pictures are prepared. */
  readonly input: ImageInputSettings;

  private constructor(
    device: Device,
    networks: NetworkSet<ImageNetworks>,
    settings: GenerationSettings,
    input: ImageInputSettings,
  ) {
    super(device, networks, settings);
    this.input = input;
  }

  /**
   * Loads a model set: a folder with `pipeline.json` and the networks that it names.
   *
   * @param folder a path or a URL; in browsers a URL, which may be relative to the page.
   * @throws CheckpointError when a file is missing, damaged or does not fit; InputError when the set is for text.
   */
  static async load(folder: string, options: LoadPipelineOptions): Promise<ImageTo3D> {
    const { device, memoryBudget, signal } = options;
    const dtype = torsoDType(options);
    const set = await openModelSet(folder);
    const imageEncoder = await requireNetwork(
      set,
      'image_cond_model',
      'DinoVisionTransformer',
      device,
      dtype,
    );
    const { sources, settings } = await openGeneration(set, device, dtype);
    const networks = await inTurn(device, () =>
      NetworkSet.open<ImageNetworks>({ imageEncoder, ...sources }, { memoryBudget, signal }),
    );
    const { description } = imageEncoder;
    return new ImageTo3D(device, networks, settings, {
      size: description.image_size ?? description.config.img_size,
      mean: description.image_mean ?? IMAGENET_MEAN,
      std: description.image_std ?? IMAGENET_STD,
    });
  }

  /**
   * Makes assets from a picture, or from several pictures of the same object.
   *
   * @param images with a transparent background, unless `keepBackground` is set.
   * @returns `numSamples` assets.
   * @throws InputError for bad options or pictures, EmptyStructureError when no object was found, the signal's reason
   *   when aborted.
   */
  async run(
    images: PixelImage | readonly PixelImage[],
    options: ImageRunOptions = {},
  ): Promise<Asset[]> {
    const list: readonly PixelImage[] = 'data' in images ? [images] : images;
    if (list.length === 0) throw new InputError('ImageTo3D: images must hold a picture, got none.');
    const { keepBackground = false, mode, signal } = options;
    const { size } = this.input;
    const prepared = list.map((image) => preprocessImage(image, { size, keepBackground }));
    return this.generate('ImageTo3D', options, () =>
      this.networks.use(
        'imageEncoder',
        async (encoder): Promise<Conditioning> => ({
          positive: encodeImages(encoder, prepared, this.input),
          negative: 'zeros',
          mode,
        }),
        signal,
      ),
    );
  }
}
