/** Pictures as plain 8-bit pixels, and the few operations that need no filter: checks, crops, padding. */
import { InputError } from '@pergola/core';

/** An 8-bit picture: rows from top to bottom, channels interleaved, alpha not premultiplied. */
export interface PixelImage {
  readonly width: number;
  readonly height: number;
  /** 1 grey, 3 RGB, 4 RGBA. */
  readonly channels: 1 | 3 | 4;
  /** `height * width * channels` values. */
  readonly data: Uint8Array;
}

/**
 * Checks that the pixels of a picture fit its size.
 *
 * @throws InputError naming the caller, for an empty picture or data of another length.
 */
export function checkImage(who: string, image: PixelImage): void {
  const { width, height, channels, data } = image;
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new InputError(`${who}: image must have a positive size, got ${width} x ${height}.`);
  }
  if (channels !== 1 && channels !== 3 && channels !== 4) {
    throw new InputError(`${who}: image must have 1, 3 or 4 channels, got ${String(channels)}.`);
  }
  if (data.length !== width * height * channels) {
    throw new InputError(
      `${who}: image data must hold ${width * height * channels} values (${width} x ${height} x ${channels}), got ${data.length}.`,
    );
  }
}

/** True for an RGBA picture in which at least one pixel is not fully opaque. */
export function hasTransparency(image: PixelImage): boolean {
  if (image.channels !== 4) return false;
  for (let i = 3; i < image.data.length; i += 4) if (image.data[i] !== 255) return true;
  return false;
}

/** The picture as RGBA: grey is repeated, a missing alpha is opaque. Returns an RGBA picture itself. */
export function toRgba(image: PixelImage): PixelImage {
  const { width, height, channels } = image;
  if (channels === 4) return image;
  const data = new Uint8Array(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    const at = i * channels;
    data[i * 4] = image.data[at]!;
    data[i * 4 + 1] = image.data[channels === 1 ? at : at + 1]!;
    data[i * 4 + 2] = image.data[channels === 1 ? at : at + 2]!;
    data[i * 4 + 3] = 255;
  }
  return { width, height, channels: 4, data };
}

/**
 * The rectangle of `width` x `height` pixels whose corner is at (`left`, `top`); both may be negative.
 * Pixels outside the picture are zero: black, and transparent where there is alpha.
 */
export function cropImage(
  image: PixelImage,
  left: number,
  top: number,
  width: number,
  height: number,
): PixelImage {
  const { channels } = image;
  const data = new Uint8Array(width * height * channels);
  const from = Math.max(0, -left);
  const to = Math.min(width, image.width - left);
  if (to > from) {
    for (let y = Math.max(0, -top); y < Math.min(height, image.height - top); y++) {
      const start = ((y + top) * image.width + left) * channels;
      const row = image.data.subarray(start + from * channels, start + to * channels);
      data.set(row, (y * width + from) * channels);
    }
  }
  return { width, height, channels, data };
}

/** The whole picture in the middle of the smallest square that holds it, zero elsewhere. */
export function padToSquare(image: PixelImage): PixelImage {
  const side = Math.max(image.width, image.height);
  if (image.width === side && image.height === side) return image;
  const left = -Math.floor((side - image.width) / 2);
  const top = -Math.floor((side - image.height) / 2);
  return cropImage(image, left, top, side, side);
}
