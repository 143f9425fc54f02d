import { afterAll, describe, expect, test } from 'vitest';
import {
  pixelShuffle,
  resizeBicubic,
  ShapeError,
  upsampleNearest,
  type Tensor,
} from '@pergola/core';
import { createReferenceDevice, largestError, sample } from './reference-devices.ts';

const device = await createReferenceDevice();
afterAll(() => device.dispose());

function range(shape: number[]): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return device.tensor(
    Float32Array.from({ length: size }, (_, i) => i),
    shape,
  );
}

describe('pixelShuffle', () => {
  test('an image: channels become blocks in row-major order', async () => {
    const x = device.tensor([0, 1, 2, 3, 4, 5, 6, 7], [1, 4, 1, 2]);
    const result = pixelShuffle(x, { factor: 2 });
    expect(result.shape).toEqual([1, 1, 2, 4]);
    expect([...(await result.floats())]).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  });

  test('a volume, channels first and last, equals its index rule', async () => {
    const [batch, channels, f] = [2, 3, 2];
    const [X, Y, Z] = [2, 1, 3];
    const x = range([batch, channels * f ** 3, X, Y, Z]);
    const values = await x.floats();
    const expected = new Float32Array(values.length);
    for (let b = 0; b < batch; b++)
      for (let c = 0; c < channels; c++)
        for (let u = 0; u < X * f; u++)
          for (let v = 0; v < Y * f; v++)
            for (let w = 0; w < Z * f; w++) {
              const channel = c * 8 + (u % f) * 4 + (v % f) * 2 + (w % f);
              const [i, j, k] = [u / f, v / f, w / f].map(Math.floor) as [number, number, number];
              const from = (((b * channels * 8 + channel) * X + i) * Y + j) * Z + k;
              const to = (((b * channels + c) * X * f + u) * Y * f + v) * Z * f + w;
              expected[to] = values[from]!;
            }
    const result = pixelShuffle(x, { factor: f });
    expect(result.shape).toEqual([batch, channels, X * f, Y * f, Z * f]);
    expect(await result.floats()).toEqual(expected);
    const last = pixelShuffle(x.permute(0, 2, 3, 4, 1), { factor: f, layout: 'channelsLast' });
    expect(await last.permute(0, 4, 1, 2, 3).floats()).toEqual(expected);
  });

  test('channels must divide', () => {
    expect(() => pixelShuffle(range([1, 6, 2, 2]), { factor: 2 })).toThrow(
      'pixelShuffle: x must be a multiple of 4 (factor ^ 2) long on its channel axis 1, got [1, 6, 2, 2].',
    );
    expect(() => pixelShuffle(range([1, 4, 2, 2]), { factor: 1.5 })).toThrow(
      'pixelShuffle: factor must be an integer of at least 1, got 1.5.',
    );
  });
});

test('upsampleNearest repeats pixels and voxels', async () => {
  const image = device.tensor([1, 2, 3, 4], [1, 1, 2, 2]);
  const large = upsampleNearest(image, { factor: 2 });
  expect([...(await large.floats())]).toEqual([1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]);
  const volume = upsampleNearest(range([1, 2, 1, 2, 1]), { factor: 3 });
  expect(volume.shape).toEqual([1, 2, 3, 6, 3]);
  const values = await volume.floats();
  values.forEach((value, i) => {
    const [channel, y] = [Math.floor(i / 54), Math.floor(i / 3) % 6];
    expect(value).toBe(channel * 2 + Math.floor(y / 3));
  });
});

/** A pattern without symmetry that is exact in f32. */
function pattern(height: number, width: number): Tensor {
  const values: number[] = [];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) values.push((((y * 7 + x * 3) * 5) % 11) - 4 + 0.25 * x);
  return device.tensor(values, [1, 1, height, width]);
}

describe('resizeBicubic', () => {
  // Computed by Pillow 12 (BICUBIC on 32-bit float images), whose filter PyTorch's antialiasing shares.
  test('antialiased values of Pillow: shrinking and growing', async () => {
    const small = await resizeBicubic(pattern(5, 7), { size: [3, 3] }).floats();
    const shrunk = [0.23713, 1.97042, 1.59755, 1.89099, 1.75, 1.60901, 1.90245, 1.52958, 3.26287];
    expect(largestError(small, shrunk)).toBeLessThan(2e-5);
    const large = await resizeBicubic(pattern(3, 4), { size: [5, 6] }).floats();
    const grown = [
      -4.43055, -2.40094, 0.9347, 4.2773, 1.02553, -2.84502, -3.66767, -1.66703, 1.76258, 5.50194,
      2.04917, -2.11454, -2.27961, -0.25, 3.08565, 6.42824, 3.17647, -0.69408, -0.89155, 1.55816,
      3.53139, 1.12087, 0.78358, 1.16384, -0.12866, 2.59684, 3.67566, -2.51162, -0.93563, 2.23517,
    ];
    expect(largestError(large, grown)).toBeLessThan(2e-5);
  });

  test('without antialiasing: sixteen taps with repeated borders', async () => {
    const [height, width, outHeight, outWidth] = [4, 5, 7, 3];
    const values = sample(2 * height * width, 3);
    const x = device.tensor(values, [2, 1, height, width]);
    // Weights of the four taps at fraction t, in the expanded form with a = -3/4.
    const weights = (t: number): number[] => {
      const a = -0.75;
      const s = 1 - t;
      return [
        a * (t ** 3 - 2 * t ** 2 + t),
        (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1,
        (a + 2) * s ** 3 - (a + 3) * s ** 2 + 1,
        a * (s ** 3 - 2 * s ** 2 + s),
      ];
    };
    const clip = (i: number, extent: number): number => Math.max(0, Math.min(extent - 1, i));
    const expected: number[] = [];
    for (let p = 0; p < 2; p++)
      for (let i = 0; i < outHeight; i++)
        for (let j = 0; j < outWidth; j++) {
          const y = ((i + 0.5) * height) / outHeight - 0.5;
          const z = ((j + 0.5) * width) / outWidth - 0.5;
          let total = 0;
          weights(y - Math.floor(y)).forEach((wy, dy) => {
            weights(z - Math.floor(z)).forEach((wz, dz) => {
              const row = clip(Math.floor(y) - 1 + dy, height);
              const column = clip(Math.floor(z) - 1 + dz, width);
              total += wy * wz * values[(p * height + row) * width + column]!;
            });
          });
          expected.push(total);
        }
    const result = resizeBicubic(x, { size: [outHeight, outWidth], antialias: false });
    expect(result.shape).toEqual([2, 1, outHeight, outWidth]);
    expect(largestError(await result.floats(), expected)).toBeLessThan(1e-6);
  });

  test('the same size and constant images do not change', async () => {
    for (const antialias of [true, false]) {
      const same = resizeBicubic(pattern(4, 3), { size: [4, 3], antialias });
      expect(largestError(await same.floats(), await pattern(4, 3).floats())).toBeLessThan(1e-6);
      const flat = device.tensor(new Float32Array(30).fill(3), [1, 1, 5, 6]);
      const resized = await resizeBicubic(flat, { size: [3, 9], antialias }).floats();
      expect(largestError(resized, new Float32Array(27).fill(3))).toBeLessThan(1e-6);
    }
  });

  test('arguments must fit', () => {
    expect(() => resizeBicubic(pattern(3, 3), { size: [0, 3] })).toThrow(
      'resizeBicubic: size must be 2 integers of at least 1, got [0, 3].',
    );
    expect(() => resizeBicubic(device.tensor([], [1, 1, 0, 3]), { size: [3, 3] })).toThrow(
      ShapeError,
    );
  });
});
