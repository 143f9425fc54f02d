/**
 * From a picture to what the image encoder sees: the object cut out, centred in a square, on black.
 *
 * Follows the preparation of the training views (TRELLIS, arXiv 2412.01506); every rounding is part of it.
 */
import { InputError } from '@pergola/core';
import { checkImage, cropImage, hasTransparency, padToSquare, toRgba } from './image.ts';
import type { PixelImage } from './image.ts';
import { resizeLanczos } from './lanczos.ts';

/** Options of `preprocessImage`. */
export interface PreprocessOptions {
  /** Side of the result in pixels: what the image encoder takes. */
  readonly size: number;
  /**
   * Use the whole picture with its background, padded to a square, instead of cutting the object out by its alpha.
   * Default false.
   */
  readonly keepBackground?: boolean;
}

/** ImageNet statistics by channel; image encoders are trained on pictures normalised by them. */
export const IMAGENET_MEAN: readonly number[] = [0.485, 0.456, 0.406];
export const IMAGENET_STD: readonly number[] = [0.229, 0.224, 0.225];

// Soft edges below 80 % opacity do not extend the object's box.
const FOREGROUND_ALPHA = 0.8 * 255;
/** Room round the object: the square's side over the longer side of its box. */
const MARGIN = 1.2;

/** Nearest integer, halves to even. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Square crop around the pixels that are clearly opaque. */
function cropToForeground(image: PixelImage): PixelImage {
  const { width, height, data } = image;
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (data[(y * width + x) * 4 + 3]! <= FOREGROUND_ALPHA) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
    }
  }
  if (right < 0) {
    throw new InputError(
      'preprocessImage: the picture must show an object, but no pixel is at least 80 % opaque.',
    );
  }
  const size = Math.trunc(MARGIN * Math.max(right - left, bottom - top));
  const half = Math.floor(size / 2);
  if (half === 0) {
    throw new InputError(
      `preprocessImage: the object must be at least 2 pixels wide or high, got ${right - left + 1} x ${bottom - top + 1}.`,
    );
  }
  const x0 = roundHalfEven((left + right) / 2 - half);
  const y0 = roundHalfEven((top + bottom) / 2 - half);
  return cropImage(image, x0, y0, 2 * half, 2 * half);
}

/** RGB over black; truncates in f32 as the reference does. */
function compositeOnBlack(image: PixelImage): PixelImage {
  const { width, height } = image;
  const data = new Uint8Array(width * height * 3);
  const unit = Float32Array.from({ length: 256 }, (_, level) => Math.fround(level / 255));
  for (let i = 0; i < width * height; i++) {
    const alpha = unit[image.data[i * 4 + 3]!]!;
    for (let c = 0; c < 3; c++) {
      const value = Math.fround(unit[image.data[i * 4 + c]!]! * alpha);
      data[i * 3 + c] = Math.trunc(Math.fround(value * 255));
    }
  }
  return { width, height, channels: 3, data };
}

/**
 * Cuts the object out by its alpha, centres it in a square with a margin of 20 %, resizes, and lays it on black.
 *
 * With `keepBackground` nothing is cut: the whole picture is padded to a square with black and resized.
 *
 * @param image any 8-bit picture; without `keepBackground`, RGBA with a transparent background.
 * @returns RGB, `size` x `size`.
 * @throws InputError for a picture without transparency, without a foreground, or malformed.
 */
export function preprocessImage(image: PixelImage, options: PreprocessOptions): PixelImage {
  checkImage('preprocessImage', image);
  const { size, keepBackground = false } = options;
  if (!keepBackground && !hasTransparency(image)) {
    throw new InputError(
      'preprocessImage: the picture must have a transparent background, got one without transparency; cut the object out, or keep the background (option keepBackground, --keep-background).',
    );
  }
  const rgba = toRgba(image);
  const square = keepBackground ? padToSquare(rgba) : cropToForeground(rgba);
  return compositeOnBlack(resizeLanczos(square, size, size));
}

/**
 * Pixels as the image encoder takes them: RGB planes, scaled to 0..1, ImageNet mean and deviation removed.
 *
 * @param images RGB, all of one size.
 * @returns row-major values of `[images, 3, H, W]`.
 * @throws InputError when a picture is not RGB or differs in size.
 */
export function normalizedPlanes(
  images: readonly PixelImage[],
  mean: readonly number[] = IMAGENET_MEAN,
  std: readonly number[] = IMAGENET_STD,
): Float32Array {
  const first = images[0];
  if (first === undefined) throw new InputError('normalizedPlanes: needs at least one picture.');
  const area = first.width * first.height;
  const out = new Float32Array(images.length * 3 * area);
  images.forEach((image, n) => {
    checkImage('normalizedPlanes', image);
    if (image.channels !== 3 || image.width !== first.width || image.height !== first.height) {
      throw new InputError(
        `normalizedPlanes: pictures must be RGB of ${first.width} x ${first.height}, got ${image.channels} channels of ${image.width} x ${image.height}.`,
      );
    }
    for (let c = 0; c < 3; c++) {
      const plane = out.subarray((n * 3 + c) * area, (n * 3 + c + 1) * area);
      for (let i = 0; i < area; i++) {
        plane[i] = (Math.fround(image.data[i * 3 + c]! / 255) - mean[c]!) / std[c]!;
      }
    }
  });
  return out;
}
