import { afterAll, describe, expect, test } from 'vitest';
import * as core from '@pergola/core';
import { DTypeError, InputError, ShapeError, type Tensor } from '@pergola/core';
import { createReferenceDevice, largestError, sample } from './reference-devices.ts';

const device = await createReferenceDevice();
afterAll(() => device.dispose());

async function valuesOf(tensor: Tensor): Promise<number[]> {
  return [...(await tensor.values())];
}

const x = device.tensor([1, 5, 3, 4, 2, 6], [2, 3]);

describe('reductions', () => {
  test.each([
    ['sum', core.sum, [9, 12], [5, 7, 9], 21],
    ['mean', core.mean, [3, 4], [2.5, 3.5, 4.5], 3.5],
    ['max', core.max, [5, 6], [4, 5, 6], 6],
    ['min', core.min, [1, 2], [1, 2, 3], 1],
    ['prod', core.prod, [15, 48], [4, 10, 18], 720],
    ['variance', core.variance, [8 / 3, 8 / 3], [2.25, 2.25, 2.25], 35 / 12],
  ] as const)(
    '%s over the last axis, the first, and all',
    async (name, reduce, last, first, whole) => {
      expect(largestError(await valuesOf(reduce(x, { axes: [-1] })), last)).toBeLessThan(1e-6);
      expect(largestError(await valuesOf(reduce(x, { axes: [0] })), first)).toBeLessThan(1e-6);
      expect(await reduce(x).item()).toBeCloseTo(whole, 5);
      expect(reduce(x, { axes: [1] }).shape).toEqual([2]);
      expect(reduce(x, { axes: [1], keepDims: true }).shape).toEqual([2, 1]);
      expect(reduce(x, { keepDims: true }).shape).toEqual([1, 1]);
      expect(await valuesOf(reduce(x, { axes: [] }))).toEqual(
        name === 'variance' ? [0, 0, 0, 0, 0, 0] : [1, 5, 3, 4, 2, 6],
      );
    },
  );

  test('several axes that are not neighbours equal a loop', async () => {
    const [a, b, c, d] = [3, 4, 2, 5];
    const values = sample(a * b * c * d);
    const expected = new Float64Array(b * d);
    for (let i = 0; i < values.length; i++) {
      const [ib, id] = [Math.floor(i / (c * d)) % b, i % d];
      expected[ib * d + id]! += values[i]!;
    }
    const result = core.sum(device.tensor(values, [a, b, c, d]), { axes: [2, -4] });
    expect(result.shape).toEqual([b, d]);
    expect(largestError(await result.floats(), expected)).toBeLessThan(1e-5);
  });

  test('any and all give bool for every dtype', async () => {
    const flags = device.tensor([0, 1, 1, 1, 0, 0], [3, 2], 'bool');
    expect(await valuesOf(core.any(flags, { axes: [1] }))).toEqual([1, 1, 0]);
    expect(await valuesOf(core.all(flags, { axes: [1] }))).toEqual([0, 1, 0]);
    expect(core.any(x).dtype).toBe('bool');
    expect(await core.all(device.tensor([NaN, 1], [2])).item()).toBe(1);
  });

  test('nothing has a sum, a product and a truth, but no extreme', async () => {
    const nothing = device.tensor([], [2, 0]);
    expect(await valuesOf(core.sum(nothing, { axes: [1] }))).toEqual([0, 0]);
    expect(await valuesOf(core.prod(nothing, { axes: [1] }))).toEqual([1, 1]);
    expect(await valuesOf(core.mean(nothing, { axes: [1] }))).toEqual([NaN, NaN]);
    expect(await valuesOf(core.any(nothing, { axes: [1] }))).toEqual([0, 0]);
    expect(await valuesOf(core.all(nothing, { axes: [1] }))).toEqual([1, 1]);
    expect(core.max(nothing, { axes: [0] }).shape).toEqual([0]);
    expect(() => core.max(nothing, { axes: [1] })).toThrow(
      'max: x must be at least 1 long along the reduced axes, got [2, 0].',
    );
  });

  test('NaN is an extreme; integers wrap', async () => {
    const odd = device.tensor([1, NaN, 3], [3]);
    expect(await core.max(odd).item()).toBeNaN();
    expect(await core.min(odd).item()).toBeNaN();
    const big = device.tensor([2 ** 31 - 1, 1], [2], 'i32');
    expect(await core.sum(big).item()).toBe(-(2 ** 31));
    expect(await core.prod(device.tensor([65537, 65537], [2], 'i32')).item()).toBe(131073);
    expect(await core.max(device.tensor([2 ** 32 - 1, 1], [2], 'u32')).item()).toBe(2 ** 32 - 1);
  });

  test('half types accumulate without rounding between', async () => {
    // 2049 ones: an f16 accumulator would stop at 2048.
    const ones = core.ones(device, [2050], 'f16');
    expect(await core.sum(ones).item()).toBe(2050);
  });

  test('bad axes are refused', () => {
    expect(() => core.sum(x, { axes: [2] })).toThrow(
      'sum: axis must be an integer from -2 to 1, got 2.',
    );
    expect(() => core.sum(x, { axes: [1, -1] })).toThrow(
      'sum: axes must name each axis once, got [1, -1].',
    );
    expect(() => core.sum(x, { axes: [1, -1] })).toThrow(InputError);
    expect(() => device.execute(core.sumOp, [x], { axes: [1, 0], keepDims: false })).toThrow(
      'sum: axes must be ascending integers from 0 to 1, got [1, 0].',
    );
    expect(() => core.mean(device.tensor([1], [1], 'i32'))).toThrow(DTypeError);
  });
});

describe('along one axis', () => {
  test('argmax and argmin take the first of equals, and NaN', async () => {
    const values = device.tensor([3, 7, 7, 1, 1, 0], [2, 3]);
    expect(await valuesOf(core.argmax(values))).toEqual([1, 0]);
    expect(await valuesOf(core.argmin(values))).toEqual([0, 2]);
    expect(await valuesOf(core.argmax(values, { axis: 0 }))).toEqual([0, 0, 0]);
    expect(core.argmax(values).dtype).toBe('i32');
    const odd = device.tensor([1, NaN, 9, NaN, -9, -Infinity], [6]);
    expect(await core.argmax(odd).item()).toBe(1);
    expect(await core.argmin(odd).item()).toBe(1);
    expect(await core.argmax(device.tensor([-Infinity, -Infinity], [2])).item()).toBe(0);
    expect(() => core.argmax(device.tensor([], [2, 0]))).toThrow(ShapeError);
  });

  test('cumsum runs along its axis, with or without the element itself', async () => {
    expect(await valuesOf(core.cumsum(x, { axis: 1 }))).toEqual([1, 6, 9, 4, 6, 12]);
    expect(await valuesOf(core.cumsum(x, { axis: 0 }))).toEqual([1, 5, 3, 5, 7, 9]);
    expect(await valuesOf(core.cumsum(x, { axis: -1, exclusive: true }))).toEqual([
      0, 1, 6, 0, 4, 6,
    ]);
    const counts = device.tensor([2, 0, 3], [3], 'i32');
    expect(await valuesOf(core.cumsum(counts, { axis: 0 }))).toEqual([2, 2, 5]);
  });

  test('softmax sums to one, survives large values, and knows its limits', async () => {
    const rows = await valuesOf(core.softmax(device.tensor([0, Math.log(3), 1000, 1000], [2, 2])));
    expect(largestError(rows, [0.25, 0.75, 0.5, 0.5])).toBeLessThan(1e-6);
    const columns = core.softmax(device.tensor([0, 5, Math.log(3), 5], [2, 2]), { axis: 0 });
    expect(largestError(await valuesOf(columns), [0.25, 0.5, 0.75, 0.5])).toBeLessThan(1e-6);
    const masked = device.tensor([-Infinity, 2, -Infinity, -Infinity], [2, 2]);
    expect(await valuesOf(core.softmax(masked))).toEqual([0, 1, NaN, NaN]);
    expect(() => core.softmax(x, { axis: 2 })).toThrow(ShapeError);
  });
});
