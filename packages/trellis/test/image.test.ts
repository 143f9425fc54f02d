import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bytesSource, InputError, openSafetensors } from '@pergola/core';
import sharp from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  cropImage,
  decodeImage,
  hasTransparency,
  normalizedPlanes,
  padToSquare,
  preprocessImage,
  readImageFile,
  resizeLanczos,
  type PixelImage,
} from '@pergola/trellis';

const root = new URL('../../../', import.meta.url);

async function tensors(path: string): Promise<(name: string) => Promise<Uint8Array>> {
  const file = await openSafetensors(bytesSource(await readFile(new URL(path, root))));
  return async (name) => (await file.read(name)).data as Uint8Array;
}

/** Largest difference, and the share of samples that differ by more than one level. */
function difference(a: Uint8Array, b: Uint8Array): { max: number; beyondOne: number } {
  expect(a.length).toBe(b.length);
  let max = 0;
  let beyond = 0;
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i]! - b[i]!);
    max = Math.max(max, d);
    if (d > 1) beyond++;
  }
  return { max, beyondOne: beyond / a.length };
}

function solid(width: number, height: number, pixel: readonly number[]): PixelImage {
  const data = new Uint8Array(width * height * pixel.length);
  for (let i = 0; i < data.length; i++) data[i] = pixel[i % pixel.length]!;
  return { width, height, channels: pixel.length as 1 | 3 | 4, data };
}

/** A transparent picture with one opaque rectangle. */
function withObject(size: number, left: number, top: number, w: number, h: number): PixelImage {
  const image = solid(size, size, [9, 9, 9, 0]);
  for (let y = top; y < top + h; y++) {
    for (let x = left; x < left + w; x++) image.data.set([200, 100, 50, 255], (y * size + x) * 4);
  }
  return image;
}

describe('against the reference', () => {
  let golden: (name: string) => Promise<Uint8Array>;
  beforeAll(async () => {
    golden = await tensors('testdata/golden/image.safetensors');
  });

  test('Lanczos resampling is equal bit by bit', async () => {
    const data = await golden('resize_lanczos/input');
    const out = resizeLanczos({ width: 700, height: 640, channels: 3, data }, 518, 518);
    expect(difference(out.data, await golden('resize_lanczos/out')).max).toBe(0);
  });

  test('preprocessing of a picture with alpha is equal bit by bit', async () => {
    const data = await golden('preprocess_rgba/input');
    const out = preprocessImage({ width: 310, height: 200, channels: 4, data }, { size: 518 });
    expect([out.width, out.height, out.channels]).toEqual([518, 518, 3]);
    expect(difference(out.data, await golden('preprocess_rgba/out')).max).toBe(0);
  });

  test('the bundled chair gives the picture that the tiny model was checked with', async () => {
    const reference = await tensors('testdata/tiny-reference.safetensors');
    const path = fileURLToPath(new URL('packages/trellis/examples/00_chair.png', root));
    const out = preprocessImage(await readImageFile(path), { size: 224 });
    expect(difference(out.data, await reference('image_u8')).beyondOne).toBeLessThan(0.001);
  });
});

describe('resizing', () => {
  test('keeps a flat colour, larger and smaller', () => {
    for (const side of [1, 7, 64, 131]) {
      const out = resizeLanczos(solid(31, 20, [10, 130, 250]), side, side);
      expect(out.data).toEqual(solid(side, side, [10, 130, 250]).data);
    }
  });

  test('does not let colours under full transparency bleed in', () => {
    const image = solid(40, 40, [0, 255, 0, 0]);
    for (let i = 0; i < 20 * 40; i++) image.data.set([255, 0, 0, 255], i * 4);
    const out = resizeLanczos(image, 17, 17);
    for (let i = 0; i < 17 * 17; i++) expect(out.data[i * 4 + 1]).toBe(0);
  });

  test('rejects sizes and data that do not fit', () => {
    expect(() => resizeLanczos(solid(4, 4, [1]), 0, 3)).toThrow(InputError);
    const short: PixelImage = { width: 4, height: 4, channels: 3, data: new Uint8Array(3) };
    expect(() => resizeLanczos(short, 2, 2)).toThrow(/48 values.*got 3/);
  });
});

describe('preprocessing', () => {
  test('centres the object with a margin', () => {
    // A box of 41 x 21 pixels: extent 40, so a side of 48 round its centre.
    const out = preprocessImage(withObject(100, 30, 40, 41, 21), { size: 48 });
    const lit = (x: number, y: number): boolean => out.data[(y * 48 + x) * 3]! > 0;
    expect([lit(3, 24), lit(4, 24), lit(44, 24), lit(45, 24)]).toEqual([false, true, true, false]);
    expect([lit(24, 13), lit(24, 14), lit(24, 34), lit(24, 35)]).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  test('pads with black where the square leaves the picture', () => {
    const out = preprocessImage(withObject(21, 0, 0, 20, 20), { size: 22 });
    expect([...out.data.subarray(0, 3)]).toEqual([0, 0, 0]);
  });

  test('an opaque picture is refused by a sentence that names the way out', () => {
    for (const image of [solid(8, 8, [1, 2, 3]), solid(8, 8, [1, 2, 3, 255])]) {
      expect(() => preprocessImage(image, { size: 14 })).toThrow(/--keep-background/);
    }
  });

  test('an empty foreground is refused', () => {
    const faint = solid(8, 8, [255, 255, 255, 204]);
    expect(() => preprocessImage(faint, { size: 14 })).toThrow(/no pixel is at least 80 % opaque/);
    expect(() => preprocessImage(withObject(8, 3, 3, 1, 1), { size: 14 })).toThrow(InputError);
  });

  test('keepBackground uses the whole picture, padded to a square', () => {
    const out = preprocessImage(solid(10, 4, [50, 60, 70]), { size: 10, keepBackground: true });
    expect([...out.data.subarray(0, 3)]).toEqual([0, 0, 0]);
    const middle = (5 * 10 + 5) * 3;
    expect([...out.data.subarray(middle, middle + 3)]).toEqual([50, 60, 70]);
  });

  test('normalised planes are channel-first', () => {
    const planes = normalizedPlanes([solid(2, 1, [255, 0, 51])], [0, 0, 0.2], [1, 1, 0.5]);
    expect([...planes]).toEqual([1, 1, 0, 0, expect.closeTo(0, 6), expect.closeTo(0, 6)]);
    expect(() => normalizedPlanes([])).toThrow(InputError);
    expect(() => normalizedPlanes([solid(2, 1, [1, 2, 3, 4])])).toThrow(/must be RGB/);
  });

  test('crops reach outside the picture', () => {
    const out = cropImage(solid(2, 2, [7]), -1, 1, 3, 2);
    expect([...out.data]).toEqual([0, 7, 7, 0, 0, 0]);
    expect(padToSquare(solid(1, 3, [7])).data).toEqual(
      Uint8Array.from([0, 7, 0, 0, 7, 0, 0, 7, 0]),
    );
  });
});

describe('decoding', () => {
  const rgba = { raw: { width: 3, height: 2, channels: 4 as const } };
  const pixels = Uint8Array.from({ length: 24 }, (_, i) => (i * 37) % 256);

  test('PNG and lossless WebP come back as they went in', async () => {
    for (const file of [
      await sharp(pixels, rgba).png().toBuffer(),
      await sharp(pixels, rgba).webp({ lossless: true, exact: true }).toBuffer(),
    ]) {
      const image = await decodeImage(file);
      expect([image.width, image.height, image.channels]).toEqual([3, 2, 4]);
      expect(image.data).toEqual(pixels);
    }
  });

  test('JPEG, grey and 16-bit pictures become 8-bit RGB', async () => {
    const gray = await sharp(pixels.subarray(0, 6), {
      raw: { width: 3, height: 2, channels: 1 },
    })
      .toColourspace('grey16')
      .png()
      .toBuffer();
    const image = await decodeImage(gray);
    expect(image.channels).toBe(3);
    expect(image.data[3]).toBe(37);
    const jpeg = await sharp(pixels, rgba).removeAlpha().jpeg().toBuffer();
    expect((await decodeImage(jpeg)).channels).toBe(3);
    expect(hasTransparency(await decodeImage(jpeg))).toBe(false);
  });

  test('the EXIF orientation is applied', async () => {
    const file = await sharp(pixels, rgba).withMetadata({ orientation: 6 }).png().toBuffer();
    const image = await decodeImage(file);
    expect([image.width, image.height]).toEqual([2, 3]);
  });

  test('corrupt, truncated and foreign files get one sentence', async () => {
    const good = await sharp(pixels, rgba).resize(64, 64).png().toBuffer();
    const cases: Uint8Array[] = [
      new Uint8Array(0),
      new TextEncoder().encode('not a picture'),
      good.subarray(0, good.length >> 1),
      await sharp(pixels, rgba).gif().toBuffer(),
    ];
    for (const bytes of cases) {
      const error: unknown = await decodeImage(bytes, 'x.png').catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(InputError);
      expect((error as Error).message).toMatch(/^decodeImage: x\.png must be [^\n]*\.$/);
    }
  });

  test('a missing file and a folder are named', async () => {
    await expect(readImageFile('/nowhere/a.png')).rejects.toThrow(/a\.png.*no such file/);
    await expect(readImageFile(fileURLToPath(root))).rejects.toThrow(/it is a folder/);
  });
});
