import { afterAll, describe, expect, test } from 'vitest';
import {
  avgPool,
  conv2d,
  conv3d,
  InputError,
  maxPool,
  ShapeError,
  type ConvOptions,
  type Tensor,
} from '@pergola/core';
import { createReferenceDevice, largestError, sample } from './reference-devices.ts';

const device = await createReferenceDevice();
afterAll(() => device.dispose());

function tensor(shape: number[], salt: number): Tensor {
  return device.tensor(
    sample(
      shape.reduce((a, b) => a * b, 1),
      salt,
    ),
    shape,
  );
}

describe('conv2d', () => {
  const image = device.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 1, 3, 3]);

  test('by hand: plain, padded, strided, dilated', async () => {
    const kernel = device.tensor([1, 0, 0, -1], [1, 1, 2, 2]);
    expect([...(await conv2d(image, kernel).floats())]).toEqual([-4, -4, -4, -4]);
    const padded = conv2d(image, kernel, undefined, { padding: 1, stride: 2 });
    expect(padded.shape).toEqual([1, 1, 2, 2]);
    expect([...(await padded.floats())]).toEqual([-1, -3, -7, -4]);
    const dilated = conv2d(image, kernel, device.tensor([100], [1]), { dilation: 2 });
    expect([...(await dilated.floats())]).toEqual([92]);
  });

  test('strides, paddings and dilations of each axis, groups and bias equal a loop', async () => {
    const [batch, cin, height, width] = [2, 4, 7, 6];
    const [cout, kh, kw] = [6, 3, 2];
    const options = { stride: [2, 1], padding: [1, 2], dilation: [1, 2], groups: 2 };
    const x = tensor([batch, cin, height, width], 1);
    const weight = tensor([cout, cin / 2, kh, kw], 2);
    const bias = tensor([cout], 3);
    const [xv, wv, bv] = [await x.floats(), await weight.floats(), await bias.floats()];
    const [oh, ow] = [4, 8];
    const expected: number[] = [];
    for (let b = 0; b < batch; b++)
      for (let o = 0; o < cout; o++)
        for (let y = 0; y < oh; y++)
          for (let z = 0; z < ow; z++) {
            let total = bv[o]!;
            for (let c = 0; c < 2; c++)
              for (let i = 0; i < kh; i++)
                for (let j = 0; j < kw; j++) {
                  const [sy, sx] = [y * 2 - 1 + i, z - 2 + j * 2];
                  if (sy < 0 || sy >= height || sx < 0 || sx >= width) continue;
                  const channel = (o < 3 ? 0 : 2) + c;
                  total +=
                    xv[((b * cin + channel) * height + sy) * width + sx]! *
                    wv[((o * 2 + c) * kh + i) * kw + j]!;
                }
            expected.push(total);
          }
    const result = conv2d(x, weight, bias, options);
    expect(result.shape).toEqual([batch, cout, oh, ow]);
    expect(largestError(await result.floats(), expected)).toBeLessThan(1e-5);
    const last = conv2d(x.permute(0, 2, 3, 1), weight, bias, {
      ...options,
      layout: 'channelsLast',
    });
    expect(last.shape).toEqual([batch, oh, ow, cout]);
    const back = await last.permute(0, 3, 1, 2).floats();
    expect(largestError(back, expected)).toBeLessThan(1e-5);
  });

  test('arguments must fit', () => {
    const weight = tensor([2, 1, 3, 3], 1);
    const bad =
      (options: ConvOptions): (() => Tensor) =>
      () =>
        conv2d(image, weight, undefined, options);
    expect(bad({ stride: 0 })).toThrow(
      'conv2d: stride must be 2 integers of at least 1, got [0, 0].',
    );
    expect(bad({ padding: [1, 2, 3] })).toThrow(InputError);
    expect(bad({ groups: 2 })).toThrow(
      'conv2d: groups must divide the 1 channels of x and the 2 of weight, got 2.',
    );
    expect(bad({ layout: 'NHWC' as 'channelsLast' })).toThrow(
      'conv2d: layout must be channelsFirst or channelsLast, got NHWC.',
    );
    expect(bad({ dilation: 2 })).toThrow(ShapeError);
    expect(bad({ dilation: 2 })).toThrow(
      'conv2d: x must be at least 5 long on spatial axis 0 (the kernel with its dilation, less padding), got [1, 1, 3, 3].',
    );
    expect(() => conv2d(image, tensor([2, 2, 3, 3], 1))).toThrow(
      'conv2d: weight must be [Cout, 1, ...kernel] (1 channels of x in 1 groups), got [2, 2, 3, 3].',
    );
    expect(() => conv2d(image, weight, tensor([3], 1))).toThrow(
      'conv2d: bias must be [2] (first axis of weight), got [3].',
    );
  });
});

test('conv3d equals a sum of 2-D convolutions over the depth taps', async () => {
  const [batch, cin, cout, depth, height, width] = [2, 2, 3, 4, 3, 5];
  const x = tensor([batch, cin, depth, height, width], 1);
  const weight = tensor([cout, cin, 3, 3, 3], 2);
  const result = conv3d(x, weight, undefined, { padding: 1 });
  expect(result.shape).toEqual([batch, cout, depth, height, width]);
  for (let d = 0; d < depth; d++) {
    const expected = new Float64Array(batch * cout * height * width);
    for (let t = 0; t < 3; t++) {
      const from = d + t - 1;
      if (from < 0 || from >= depth) continue;
      const slice = conv2d(x.select(2, from), weight.select(2, t), undefined, { padding: 1 });
      (await slice.floats()).forEach((value, i) => (expected[i]! += value));
    }
    const actual = await result.select(2, d).floats();
    expect(largestError(actual, expected)).toBeLessThan(1e-5);
  }
  const last = conv3d(x.permute(0, 2, 3, 4, 1), weight, undefined, {
    padding: 1,
    layout: 'channelsLast',
  });
  const back = await last.permute(0, 4, 1, 2, 3).floats();
  expect(largestError(back, await result.floats())).toBeLessThan(1e-5);
});

describe('pooling', () => {
  const image = device.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 1, 3, 3]);

  test('windows by hand', async () => {
    const plain = { kernel: 2, stride: 1 };
    expect([...(await maxPool(image, plain).floats())]).toEqual([5, 6, 8, 9]);
    expect([...(await avgPool(image, plain).floats())]).toEqual([3, 4, 6, 7]);
    expect([...(await maxPool(image, { kernel: 2 }).floats())]).toEqual([5]);
  });

  test('padding never wins a maximum and counts as zero in a mean', async () => {
    const below = device.tensor([-1, -2, -3, -4], [1, 1, 2, 2]);
    const options = { kernel: 2, padding: 1 };
    expect([...(await maxPool(below, options).floats())]).toEqual([-1, -2, -3, -4]);
    expect([...(await avgPool(below, options).floats())]).toEqual([-0.25, -0.5, -0.75, -1]);
  });

  test('ceil mode keeps a window that starts inside, and its mean counts what is there', async () => {
    const ceil = { kernel: 2, ceilMode: true };
    expect([...(await maxPool(image, ceil).floats())]).toEqual([5, 6, 8, 9]);
    expect([...(await avgPool(image, ceil).floats())]).toEqual([3, 4.5, 7.5, 9]);
    // With extent 3, kernel 1, stride 3 the second window would start beyond the end.
    expect(maxPool(image, { kernel: 1, stride: 3, ceilMode: true }).shape).toEqual([1, 1, 1, 1]);
  });

  test('volumes, NaN and planes', async () => {
    const volume = tensor([2, 3, 2, 4, 2], 1);
    const values = await volume.floats();
    const result = maxPool(volume, { kernel: [2, 2, 1], stride: [2, 2, 1] });
    expect(result.shape).toEqual([2, 3, 1, 2, 2]);
    const expected: number[] = [];
    for (let p = 0; p < 6; p++)
      for (let y = 0; y < 2; y++)
        for (let z = 0; z < 2; z++) {
          const at = (d: number, h: number): number =>
            values[((p * 2 + d) * 4 + y * 2 + h) * 2 + z]!;
          expected.push(Math.max(at(0, 0), at(0, 1), at(1, 0), at(1, 1)));
        }
    expect(largestError(await result.floats(), expected)).toBe(0);
    const odd = device.tensor([1, NaN, 3, 4], [1, 1, 2, 2]);
    expect(await maxPool(odd, { kernel: 2 }).item()).toBeNaN();
  });

  test('arguments must fit', () => {
    expect(() => maxPool(image, { kernel: 2, padding: 2 })).toThrow(
      'maxPool: padding must be at most half of the kernel [2, 2], got [2, 2].',
    );
    expect(() => avgPool(image, { kernel: 4 })).toThrow(
      'avgPool: x must be at least 4 long on spatial axis 0 (kernel less padding), got [1, 1, 3, 3].',
    );
    expect(() => maxPool(tensor([2, 2], 1), { kernel: 2 })).toThrow(
      'maxPool: x must have rank 4 to 5, got [2, 2].',
    );
  });
});
