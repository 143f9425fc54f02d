/**
 * Picture files to pixels and back, in Node. `image-file.browser.ts` has the same functions for browsers; `#image-file`
 * is the one that fits.
 */
import { readFile } from 'node:fs/promises';
import { InputError } from '@pergola/core';
import sharp from 'sharp';
import { checkImage, type PixelImage } from './image.ts';

const FORMATS: ReadonlySet<string> = new Set(['png', 'jpeg', 'webp']);

/** First line of a decoder's message, without its closing stop. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text.split('\n')[0] ?? '').trim().replace(/\.$/, '');
}

/**
 * Decodes a PNG, JPEG or WebP picture, turned upright by its EXIF orientation. Colour profiles are not applied:
 * the networks were trained on plain samples.
 *
 * @param bytes the encoded file.
 * @param name what to call the picture in messages.
 * @returns RGB, or RGBA when the file has transparency; 8 bits.
 * @throws InputError in one sentence for other formats and for corrupt or truncated data.
 */
export async function decodeImage(bytes: Uint8Array, name = 'the picture'): Promise<PixelImage> {
  try {
    const { format } = await sharp(bytes).metadata();
    if (!FORMATS.has(format)) {
      throw new InputError(`decodeImage: ${name} must be PNG, JPEG or WebP, got ${format}.`);
    }
    const { data, info } = await sharp(bytes, { failOn: 'truncated', ignoreIcc: true })
      .autoOrient()
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    if (channels !== 3 && channels !== 4) {
      throw new InputError(`decodeImage: ${name} must be RGB or RGBA, got ${channels} channels.`);
    }
    return { width, height, channels, data: new Uint8Array(data) };
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(
      `decodeImage: ${name} must be a readable PNG, JPEG or WebP picture (${reasonOf(error)}).`,
      { cause: error },
    );
  }
}

/**
 * Reads a picture file.
 *
 * @throws InputError when the file is missing, not readable, or not a picture; see `decodeImage`.
 */
export async function readImageFile(path: string): Promise<PixelImage> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason =
      code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : code;
    throw new InputError(`readImageFile: ${path} cannot be read (${reason}).`, { cause: error });
  }
  return decodeImage(bytes, path);
}

/** Encodes a picture as PNG. @throws InputError for a malformed picture. */
export async function encodePng(image: PixelImage): Promise<Uint8Array> {
  checkImage('encodePng', image);
  const { width, height, channels, data } = image;
  const encoded = await sharp(data, { raw: { width, height, channels } })
    .png({ compressionLevel: 9 })
    .toBuffer();
  return new Uint8Array(encoded);
}
