/** NaN, infinities and the extremes of f32 in elementwise ops and fused activations, of whose cases core has few. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  cast,
  clamp,
  div,
  floorDivide,
  linear,
  log,
  logicalAnd,
  logicalNot,
  pow,
  reciprocal,
  relu,
  remainder,
  sign,
  tanh,
  type Device,
  type Tensor,
} from '@pergola/core';
import { openDevice } from './adapter.ts';

const LARGEST = 3.4028234663852886e38;
const SMALLEST_NORMAL = 2 ** -126;
const SPECIAL = [NaN, Infinity, -Infinity, 0, -0, LARGEST, -LARGEST, SMALLEST_NORMAL, 1, -3];

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.dispose());

/** Devices may flush subnormal results: they count as zero, of either sign. */
function flushed(value: number): number {
  const rounded = Math.fround(value);
  return Math.abs(rounded) < SMALLEST_NORMAL ? 0 : rounded;
}

async function valuesOf(result: Tensor): Promise<number[]> {
  return Array.from(await result.floats(), flushed);
}

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  const far = expected.flatMap((value, i) => {
    const want = flushed(value);
    const got = actual[i]!;
    const same = Object.is(want, got) || Math.abs(got - want) <= 1e-6 * Math.abs(want);
    return same ? [] : [`${i}: expected ${want}, got ${got}`];
  });
  expect(far).toEqual([]);
}

describe('division', () => {
  const sizes = [2 ** 127, 2 ** 126, 2 ** 125, 1e38, 1e30, 4, 3.9, 1.7, 1e-30, 1.2e-38, 2 ** -125];
  const numerators = [...SPECIAL, ...sizes, ...sizes.map((size) => -size)];
  const subnormals = [2 ** -127, 2 ** -128, -1e-39, 3e-42, 2 ** -149];
  const divisors = [...numerators, ...subnormals];
  const pairs = numerators.flatMap((a) => divisors.map((b) => [a, b].map(Math.fround)));

  test('of all magnitudes', async () => {
    const [left, right] = [0, 1].map((side) => pairs.map((pair) => pair[side]!));
    const operands = [left!, right!].map((side) => device.tensor(side, [pairs.length]));
    const quotients = await valuesOf(div(operands[0]!, operands[1]!));
    expectClose(
      quotients,
      pairs.map(([a, b]) => a! / b!),
    );
  });

  test('of one', async () => {
    const x = device.tensor(divisors, [divisors.length]);
    expectClose(
      await valuesOf(reciprocal(x)),
      divisors.map((b) => 1 / Math.fround(b)),
    );
  });

  test('with a whole result', async () => {
    const [a, b] = [
      [Infinity, LARGEST, -(2 ** 127), LARGEST, NaN, 1, 7],
      [LARGEST, LARGEST, LARGEST, Infinity, 2, NaN, -2],
    ].map((side) => device.tensor(side, [side.length])) as [Tensor, Tensor];
    expectClose(await valuesOf(floorDivide(a, b)), [Infinity, 1, -1, 0, NaN, NaN, -4]);
    expectClose(await valuesOf(remainder(a, b)), [
      NaN,
      0,
      LARGEST - 2 ** 127,
      LARGEST,
      NaN,
      NaN,
      -1,
    ]);
  });
});

describe('NaN and infinities', () => {
  const ops: Record<string, [op: (x: Tensor) => Tensor, expected: (v: number) => number]> = {
    relu: [relu, (v) => (v < 0 ? 0 : v)],
    clamp: [(x) => clamp(x, { min: -2, max: 5 }), (v) => Math.min(5, Math.max(-2, v))],
    'clamp from below': [(x) => clamp(x, { min: -2 }), (v) => Math.max(-2, v)],
    'clamp from above': [(x) => clamp(x, { max: 5 }), (v) => Math.min(5, v)],
    sign: [sign, Math.sign],
    tanh: [tanh, Math.tanh],
    log: [log, Math.log],
    logicalNot: [(x) => cast(logicalNot(x), 'f32'), (v) => Number(v === 0)],
    logicalAnd: [(x) => cast(logicalAnd(x, 1), 'f32'), (v) => Number(v !== 0)],
    'power of 0': [(x) => pow(x, 0), () => 1],
  };

  test.each(Object.keys(ops))('%s', async (name) => {
    const [op, expected] = ops[name]!;
    const x = device.tensor(SPECIAL, [SPECIAL.length]);
    expectClose(await valuesOf(op(x)), SPECIAL.map(expected));
  });

  test.each(['relu', 'silu', 'gelu', 'geluTanh', 'quickGelu'] as const)(
    '%s of sums passes NaN on',
    async (activation) => {
      for (const dtype of ['f32', 'f16'] as const) {
        const x = device.tensor([NaN, -NaN, 2], [3, 1], dtype);
        const weight = device.tensor([1, -1], [2, 1], dtype);
        const [a, b, c, d, positive] = await linear(x, weight, undefined, { activation }).floats();
        expect([a, b, c, d]).toEqual([NaN, NaN, NaN, NaN]);
        expect(positive).toBeGreaterThan(1.7);
      }
    },
  );
});
