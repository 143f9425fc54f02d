import { afterAll, describe, expect, test } from 'vitest';
import * as core from '@pergola/core';
import { DTypeError, InputError, ShapeError, type DType, type Tensor } from '@pergola/core';
import { createReferenceDevice, largestError } from './reference-devices.ts';

const device = await createReferenceDevice();
afterAll(() => device.dispose());

async function valuesOf(tensor: Tensor): Promise<number[]> {
  return [...(await tensor.values())];
}

function vector(values: readonly number[], dtype: DType = 'f32'): Tensor {
  return device.tensor(values, [values.length], dtype);
}

describe('functions of one tensor', () => {
  const inf = Infinity;
  test.each([
    ['neg', core.neg, [1, -2, 0.5], [-1, 2, -0.5]],
    ['abs', core.abs, [1, -2, -inf], [1, 2, inf]],
    ['sign', core.sign, [3, -2, 0, NaN], [1, -1, 0, NaN]],
    ['square', core.square, [3, -2], [9, 4]],
    ['exp', core.exp, [0, 1, -inf], [1, Math.E, 0]],
    ['expm1', core.expm1, [1e-6, 1], [1.0000005e-6, 1.718281828]],
    ['log', core.log, [1, 10, 0, -1], [0, Math.LN10, -inf, NaN]],
    ['log1p', core.log1p, [1e-6, 1], [9.999995e-7, Math.LN2]],
    ['sqrt', core.sqrt, [4, 2, -1], [2, Math.SQRT2, NaN]],
    ['rsqrt', core.rsqrt, [4, 0], [0.5, inf]],
    ['reciprocal', core.reciprocal, [4, -0.5], [0.25, -2]],
    ['sin', core.sin, [0, 1], [0, 0.8414709848]],
    ['cos', core.cos, [0, 1], [1, 0.5403023059]],
    ['tanh', core.tanh, [0, 1, inf], [0, 0.761594156, 1]],
    ['sigmoid', core.sigmoid, [0, 2, -200], [0.5, 0.880797078, 0]],
    ['relu', core.relu, [-1, 2, NaN], [0, 2, NaN]],
    ['silu', core.silu, [-1, 2], [-0.2689414214, 1.761594156]],
    ['softplus', core.softplus, [-1, 2, 100, -100], [0.3132616875, 2.126928011, 100, 0]],
    ['floor', core.floor, [1.5, -1.5], [1, -2]],
    ['ceil', core.ceil, [1.5, -1.5], [2, -1]],
    ['round', core.round, [0.5, 1.5, 2.5, -0.5, -1.5, 1.2], [0, 2, 2, 0, -2, 1]],
    ['logicalNot', core.logicalNot, [0, 2, NaN], [1, 0, 0]],
    ['isNaN', core.isNaN, [0, NaN, inf], [0, 1, 0]],
    ['isFinite', core.isFinite, [0, NaN, inf], [1, 0, 0]],
  ] as const)('%s', async (_name, apply, input, expected) => {
    const result = apply(vector(input));
    expect(largestError(await valuesOf(result), expected)).toBeLessThan(1e-6);
    expect(result.shape).toEqual([input.length]);
  });

  test('erf agrees with tabulated values and its symmetry', async () => {
    // Abramowitz and Stegun, table 7.1, and erfc(3) from the asymptotic expansion.
    const x = [0, 0.1, 0.5, 1, 1.5, 2, 3, 5, -1, Infinity, NaN];
    const expected = [
      0,
      0.112462916,
      0.5204998778,
      0.8427007929,
      0.9661051465,
      0.995322265,
      0.9999779095,
      1,
      -0.8427007929,
      1,
      NaN,
    ];
    expect(largestError(await valuesOf(core.erf(vector(x))), expected)).toBeLessThan(6e-8);
  });

  test('gelu has its three forms', async () => {
    const x = vector([-1, 0.5, 2]);
    const forms = [
      ['none', [-0.1586552539, 0.3457312307, 1.954499736]],
      ['tanh', [-0.1588080094, 0.3457140135, 1.954597694]],
      ['quick', [-0.1542042341, 0.3503884366, 1.9356586231]],
    ] as const;
    for (const [approximate, expected] of forms) {
      const result = await valuesOf(core.gelu(x, { approximate }));
      expect(largestError(result, expected)).toBeLessThan(1e-6);
    }
    expect(() => core.gelu(x, { approximate: 'fast' as never })).toThrow(
      'gelu: approximate must be one of none, tanh, quick, got fast.',
    );
  });

  test('integers wrap where they must', async () => {
    const least = vector([-(2 ** 31), 5], 'i32');
    expect(await valuesOf(core.neg(least))).toEqual([-(2 ** 31), -5]);
    expect(await valuesOf(core.abs(least))).toEqual([-(2 ** 31), 5]);
    expect(await valuesOf(core.square(vector([65537], 'i32')))).toEqual([131073]);
    expect(() => core.exp(least)).toThrow('exp: x must be f32, f16, bf16, got i32.');
    expect(() => core.exp(least)).toThrow(DTypeError);
  });

  test('half types are rounded once, to even', async () => {
    const third = core.reciprocal(vector([3], 'f16'));
    expect(third.dtype).toBe('f16');
    expect(await valuesOf(third)).toEqual([0.333251953125]);
    expect(await valuesOf(core.reciprocal(vector([3], 'bf16')))).toEqual([0.333984375]);
  });

  test('clamp limits both sides, keeps NaN, and refuses odd bounds', async () => {
    const x = vector([-5, 0.5, 5, NaN]);
    expect(await valuesOf(core.clamp(x, { min: -1, max: 1 }))).toEqual([-1, 0.5, 1, NaN]);
    expect(await valuesOf(core.clamp(x, { max: 1 }))).toEqual([-5, 0.5, 1, NaN]);
    expect(await valuesOf(core.clamp(vector([-5, 300], 'i32'), { min: 0 }))).toEqual([0, 300]);
    expect(() => core.clamp(x, { min: 2, max: 1 })).toThrow(
      'clamp: min must be at most max (1), got 2.',
    );
    expect(() => core.clamp(x, { min: NaN })).toThrow(InputError);
    expect(() => core.clamp(vector([1], 'i32'), { min: 0.5 })).toThrow(
      'clamp: min must be an integer for i32, got 0.5.',
    );
  });
});

describe('functions of two operands', () => {
  test.each([
    ['add', core.add, [4, -1, 7.5]],
    ['sub', core.sub, [-2, -3, -6.5]],
    ['mul', core.mul, [3, -2, 3.5]],
    ['div', core.div, [1 / 3, -2, 1 / 14]],
    ['pow', core.pow, [1, -2, 0.0078125]],
    ['minimum', core.minimum, [1, -2, 0.5]],
    ['maximum', core.maximum, [3, 1, 7]],
    ['floorDivide', core.floorDivide, [0, -2, 0]],
    ['remainder', core.remainder, [1, 0, 0.5]],
    ['equal', core.equal, [0, 0, 0]],
    ['notEqual', core.notEqual, [1, 1, 1]],
    ['less', core.less, [1, 1, 1]],
    ['lessEqual', core.lessEqual, [1, 1, 1]],
    ['greater', core.greater, [0, 0, 0]],
    ['greaterEqual', core.greaterEqual, [0, 0, 0]],
    ['logicalAnd', core.logicalAnd, [1, 1, 1]],
    ['logicalOr', core.logicalOr, [1, 1, 1]],
  ] as const)('%s', async (_name, apply, expected) => {
    const result = apply(vector([1, -2, 0.5]), vector([3, 1, 7]));
    expect(largestError(await valuesOf(result), expected)).toBeLessThan(1e-7);
  });

  test('a number stands on either side', async () => {
    const x = vector([1, 2, 4]);
    expect(await valuesOf(core.sub(x, 1))).toEqual([0, 1, 3]);
    expect(await valuesOf(core.sub(1, x))).toEqual([0, -1, -3]);
    expect(await valuesOf(core.div(1, x))).toEqual([1, 0.5, 0.25]);
    expect(await valuesOf(core.less(x, 2))).toEqual([1, 0, 0]);
    expect(await valuesOf(core.less(2, x))).toEqual([0, 0, 1]);
    expect(await valuesOf(core.pow(2, x))).toEqual([2, 4, 16]);
    expect(() => core.add(1, 2)).toThrow('add: a or b must be a tensor, got two numbers.');
  });

  test('shapes broadcast as in NumPy', async () => {
    const column = device.tensor([10, 20], [2, 1]);
    const row = device.tensor([1, 2, 3], [3]);
    const both = core.add(column, row);
    expect(both.shape).toEqual([2, 3]);
    expect(await valuesOf(both)).toEqual([11, 12, 13, 21, 22, 23]);
    const cube = device.tensor([1, 2, 3, 4], [2, 1, 2]);
    const plane = device.tensor([10, 100], [2, 1]);
    expect(await valuesOf(core.mul(cube, plane))).toEqual([10, 20, 100, 200, 30, 40, 300, 400]);
    expect(await valuesOf(core.add(device.scalar(1), row))).toEqual([2, 3, 4]);
    expect(core.add(device.tensor([], [0, 3]), row).shape).toEqual([0, 3]);
    expect(() => core.add(column, device.tensor([1, 2, 3], [3, 1]))).toThrow(ShapeError);
    expect(() => core.add(column, device.tensor([1, 2, 3], [3, 1]))).toThrow(
      'add: shapes [2, 1] and [3, 1] do not broadcast (axis 0 is 2 and 3).',
    );
  });

  test('NaN passes through extremes and fails comparisons', async () => {
    const a = vector([NaN, 1, NaN]);
    const b = vector([1, NaN, NaN]);
    expect(await valuesOf(core.maximum(a, b))).toEqual([NaN, NaN, NaN]);
    expect(await valuesOf(core.minimum(a, b))).toEqual([NaN, NaN, NaN]);
    expect(await valuesOf(core.equal(a, b))).toEqual([0, 0, 0]);
    expect(await valuesOf(core.notEqual(a, b))).toEqual([1, 1, 1]);
    expect(await valuesOf(core.lessEqual(a, b))).toEqual([0, 0, 0]);
    expect(await valuesOf(core.pow(vector([1, NaN]), vector([NaN, 0])))).toEqual([1, 1]);
  });

  test('integer arithmetic wraps, floors, and has no division by zero', async () => {
    const big = vector([2 ** 31 - 1, 65537], 'i32');
    expect(await valuesOf(core.add(big, 1))).toEqual([-(2 ** 31), 65538]);
    expect(await valuesOf(core.mul(big, big))).toEqual([1, 131073]);
    expect(await valuesOf(core.sub(vector([1], 'u32'), 2))).toEqual([2 ** 32 - 1]);
    expect(await valuesOf(core.mul(vector([2 ** 32 - 1], 'u32'), 2))).toEqual([2 ** 32 - 2]);
    expect(await valuesOf(core.add(vector([250], 'u8'), 10))).toEqual([4]);
    const a = vector([7, -7, 7, -7, 7], 'i32');
    const b = vector([2, 2, -2, -2, 0], 'i32');
    expect(await valuesOf(core.floorDivide(a, b))).toEqual([3, -4, -4, 3, 0]);
    expect(await valuesOf(core.remainder(a, b))).toEqual([1, 1, -1, -1, 0]);
    expect(await valuesOf(core.remainder(vector([5.5, -5.5]), 2))).toEqual([1.5, 0.5]);
  });

  test('dtypes must agree and numbers must fit', () => {
    expect(() => core.add(vector([1]), vector([1], 'f16'))).toThrow(
      'add: b must have the dtype of a (f32), got f16.',
    );
    expect(() => core.add(vector([1], 'i32'), 0.5)).toThrow(
      'add: the number must be an integer from -2147483648 to 2147483647 beside i32, got 0.5.',
    );
    expect(() => core.div(vector([1], 'i32'), 2)).toThrow(DTypeError);
    expect(() => device.execute(core.addOp, [vector([1])], {})).toThrow(
      'add: b must be a tensor or a number, got neither.',
    );
  });

  test('logic works on every dtype', async () => {
    const flags = vector([1, 0, 1], 'bool');
    expect(await valuesOf(core.logicalAnd(flags, vector([1, 1, 0], 'bool')))).toEqual([1, 0, 0]);
    expect(await valuesOf(core.equal(flags, 1))).toEqual([1, 0, 1]);
    expect(core.equal(flags, 1).dtype).toBe('bool');
    expect(await valuesOf(core.logicalNot(vector([3, 0], 'u8')))).toEqual([0, 1]);
  });

  test('where broadcasts its three operands', async () => {
    const condition = device.tensor([1, 0], [2, 1], 'bool');
    const result = core.where(condition, vector([1, 2, 3]), device.scalar(-1));
    expect(result.shape).toEqual([2, 3]);
    expect(await valuesOf(result)).toEqual([1, 2, 3, -1, -1, -1]);
    expect(() => core.where(vector([1]), vector([1]), vector([1]))).toThrow(
      'where: condition must be bool, got f32.',
    );
  });
});

test('cast truncates, saturates, wraps and tests', async () => {
  const x = vector([1.9, -1.9, 1e10, -1e10, NaN, Infinity]);
  const high = 2 ** 31 - 1;
  expect(await valuesOf(core.cast(x, 'i32'))).toEqual([1, -1, high, -(2 ** 31), 0, high]);
  expect(await valuesOf(core.cast(x, 'u8'))).toEqual([1, 0, 255, 0, 0, 255]);
  expect(await valuesOf(core.cast(x, 'bool'))).toEqual([1, 1, 1, 1, 1, 1]);
  expect(await valuesOf(core.cast(vector([-1, 258], 'i32'), 'u8'))).toEqual([255, 2]);
  expect(await valuesOf(core.cast(vector([-1], 'i32'), 'u32'))).toEqual([2 ** 32 - 1]);
  expect(await valuesOf(core.cast(vector([1, 0], 'bool'), 'f16'))).toEqual([1, 0]);
  expect(await valuesOf(core.cast(vector([70000, 2049]), 'f16'))).toEqual([Infinity, 2048]);
  expect(() => core.cast(x, 'f64' as never)).toThrow(DTypeError);
});
