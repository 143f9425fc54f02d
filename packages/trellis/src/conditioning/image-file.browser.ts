/**
 * Picture files to pixels and back in browsers, by the decoders of the browser.
 *
 * Pixels pass through a canvas, which stores colours times alpha: where a pixel is transparent in part, its colour comes
 * back rounded, by no more than one level of that product. What is opaque is exact.
 */
import { InputError } from '@pergola/core';
import { checkImage, toRgba, type PixelImage } from './image.ts';

/** First bytes of the formats that are taken. */
const SIGNATURES: readonly RegExp[] = [/^\x89PNG\r\n/, /^\xff\xd8\xff/, /^RIFF.{4}WEBP/s];
const SIGNATURE_BYTES = 12;

function openCanvas(width: number, height: number): OffscreenCanvasRenderingContext2D {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (context !== null) return context;
  throw new InputError(`canvas: the picture must fit a canvas, got ${width} x ${height}.`);
}

/**
 * Decodes a PNG, JPEG or WebP picture, turned upright by its EXIF orientation. Colour profiles are not applied: the
 * networks were trained on plain samples.
 *
 * @param bytes the encoded file.
 * @param name what to call the picture in messages.
 * @returns RGBA, 8 bits.
 * @throws InputError in one sentence for other formats and for corrupt or truncated data.
 */
export async function decodeImage(bytes: Uint8Array, name = 'the picture'): Promise<PixelImage> {
  const start = String.fromCharCode(...bytes.subarray(0, SIGNATURE_BYTES));
  if (!SIGNATURES.some((signature) => signature.test(start))) {
    throw new InputError(`decodeImage: ${name} must be PNG, JPEG or WebP, got another format.`);
  }
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([new Uint8Array(bytes)]), {
      premultiplyAlpha: 'none',
      colorSpaceConversion: 'none',
      imageOrientation: 'from-image',
    });
  } catch (cause) {
    throw new InputError(
      `decodeImage: ${name} must be a readable PNG, JPEG or WebP picture, got damaged data.`,
      { cause },
    );
  }
  const { width, height } = bitmap;
  const context = openCanvas(width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, channels: 4, data: new Uint8Array(data.buffer) };
}

/** Reads a picture from a URL. @throws InputError when it cannot be fetched or is not a picture. */
export async function readImageFile(url: string): Promise<PixelImage> {
  const response = await fetch(url).catch((cause: unknown) => {
    throw new InputError(`readImageFile: ${url} cannot be fetched.`, { cause });
  });
  if (!response.ok) {
    throw new InputError(`readImageFile: ${url} cannot be fetched (HTTP ${response.status}).`);
  }
  return decodeImage(new Uint8Array(await response.arrayBuffer()), url);
}

/** Encodes a picture as PNG. @throws InputError for a malformed picture. */
export async function encodePng(image: PixelImage): Promise<Uint8Array> {
  checkImage('encodePng', image);
  const { width, height, data } = toRgba(image);
  const context = openCanvas(width, height);
  context.putImageData(new ImageData(new Uint8ClampedArray(data), width, height), 0, 0);
  const blob = await context.canvas.convertToBlob({ type: 'image/png' });
  return new Uint8Array(await blob.arrayBuffer());
}
