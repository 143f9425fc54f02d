import { afterAll, describe, expect, test } from 'vitest';
import { attention, linear, matmul, type Activation, type Tensor } from '@pergola/core';
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

function offsets(...values: number[]): Tensor {
  return device.tensor(values, [values.length], 'i32');
}

describe('matmul', () => {
  test('small matrices by hand, and a transposed view', async () => {
    const a = device.tensor([1, 2, 3, 4, 5, 6], [2, 3]);
    const b = device.tensor([7, 8, 9, 10, 11, 12], [3, 2]);
    expect([...(await matmul(a, b).floats())]).toEqual([58, 64, 139, 154]);
    expect([...(await matmul(a, a.transpose()).floats())]).toEqual([14, 32, 32, 77]);
  });

  test('batches broadcast as a loop says', async () => {
    const a = tensor([2, 1, 3, 4], 1);
    const b = tensor([5, 4, 2], 2);
    const result = matmul(a, b);
    expect(result.shape).toEqual([2, 5, 3, 2]);
    const [av, bv] = [await a.floats(), await b.floats()];
    const expected: number[] = [];
    for (let i = 0; i < 2; i++) {
      for (let j = 0; j < 5; j++) {
        for (let m = 0; m < 3; m++) {
          for (let n = 0; n < 2; n++) {
            let total = 0;
            for (let k = 0; k < 4; k++) {
              total += av[i * 12 + m * 4 + k]! * bv[j * 8 + k * 2 + n]!;
            }
            expected.push(total);
          }
        }
      }
    }
    expect(largestError(await result.floats(), expected)).toBeLessThan(1e-5);
  });

  test('an empty depth gives zeros, and depths must agree', async () => {
    const result = matmul(device.tensor([], [2, 0]), device.tensor([], [0, 2]));
    expect([...(await result.floats())]).toEqual([0, 0, 0, 0]);
    expect(() => matmul(tensor([2, 3], 1), tensor([2, 3], 1))).toThrow(
      'matmul: b must be [..., 3, N] (last axis of a), got [2, 3].',
    );
    expect(() => matmul(tensor([3, 2, 3], 1), tensor([2, 3, 3], 1))).toThrow('do not broadcast');
  });
});

describe('linear', () => {
  test('multiplies by the transposed weight, adds the bias and activates', async () => {
    const x = device.tensor([1, 2, -3, 4], [2, 2]);
    const weight = device.tensor([1, 0, 0, 1, 1, 1], [3, 2]);
    const bias = device.tensor([0.5, -0.5, 0], [3]);
    expect([...(await linear(x, weight).floats())]).toEqual([1, 2, 3, -3, 4, 1]);
    expect([...(await linear(x, weight, bias).floats())]).toEqual([1.5, 1.5, 3, -2.5, 3.5, 1]);
    const relu = linear(x, weight, bias, { activation: 'relu' });
    expect([...(await relu.floats())]).toEqual([1.5, 1.5, 3, 0, 3.5, 1]);
  });

  test.each([
    ['silu', 1.761594156],
    ['gelu', 1.954499736],
    ['geluTanh', 1.954597694],
    ['quickGelu', 1.9356599],
  ] as [Activation, number][])('%s of 2', async (activation, expected) => {
    const one = device.tensor([2], [1]);
    const result = linear(one, device.tensor([1], [1, 1]), undefined, { activation });
    expect(result.shape).toEqual([1]);
    expect(await result.item()).toBeCloseTo(expected, 4);
  });

  test('arguments must fit', () => {
    const x = tensor([2, 3], 1);
    expect(() => linear(x, tensor([3, 2], 1))).toThrow(
      'linear: weight must be [N, 3] (last axis of x), got [3, 2].',
    );
    expect(() => linear(x, tensor([2, 3], 1), tensor([3], 1))).toThrow(
      'linear: bias must be [2] (first axis of weight), got [3].',
    );
    expect(() =>
      linear(x, tensor([2, 3], 1), undefined, { activation: 'tanh' as Activation }),
    ).toThrow('linear: activation must be one of');
  });
});

/** Attention of one head of one sequence, with the whole score matrix and plain softmax. */
function naiveAttention(
  q: number[][],
  k: number[][],
  v: number[][],
  scale: number,
  causal: boolean,
) {
  return q.map((query, i) => {
    const visible = k.flatMap((key, j) => (causal && j > i ? [] : [{ key, value: v[j]! }]));
    const scores = visible.map(
      ({ key }) => scale * key.reduce((total, value, d) => total + value * query[d]!, 0),
    );
    const total = scores.reduce((sum, score) => sum + Math.exp(score), 0);
    return query.map((_, d) =>
      visible.reduce((mix, { value }, j) => mix + (Math.exp(scores[j]!) / total) * value[d]!, 0),
    );
  });
}

describe('attention', () => {
  const [heads, depth] = [2, 3];
  const lengthsQ = [2, 0, 4, 1];
  const lengthsK = [3, 2, 4, 0];
  const rowsQ = lengthsQ.reduce((a, b) => a + b, 0);
  const rowsK = lengthsK.reduce((a, b) => a + b, 0);
  const q = tensor([rowsQ, heads, depth], 1);
  const k = tensor([rowsK, heads, depth], 2);
  const v = tensor([rowsK, heads, depth], 3);
  const packing = {
    offsetsQ: offsets(0, 2, 2, 6, 7),
    offsetsK: offsets(0, 3, 5, 9, 9),
    maxQ: 4,
    maxK: 4,
  };

  test.each([
    [false, undefined],
    [true, undefined],
    [false, 0.1],
  ] as const)('causal %s, scale %s', async (causal, scale) => {
    const rows = async (x: Tensor, head: number, from: number, count: number) =>
      Array.from({ length: count }, (_, i) => i).reduce<Promise<number[][]>>(async (all, i) => {
        const row = await x
          .select(0, from + i)
          .select(0, head)
          .floats();
        return [...(await all), [...row]];
      }, Promise.resolve([]));
    const expected = new Float64Array(rowsQ * heads * depth);
    let [fromQ, fromK] = [0, 0];
    for (let s = 0; s < lengthsQ.length; s++) {
      for (let h = 0; h < heads; h++) {
        const queries = await rows(q, h, fromQ, lengthsQ[s]!);
        const keys = await rows(k, h, fromK, lengthsK[s]!);
        const values = await rows(v, h, fromK, lengthsK[s]!);
        const mixed = naiveAttention(queries, keys, values, scale ?? 1 / Math.sqrt(depth), causal);
        mixed.forEach((row, i) => expected.set(row, ((fromQ + i) * heads + h) * depth));
      }
      fromQ += lengthsQ[s]!;
      fromK += lengthsK[s]!;
    }
    const options = { ...packing, causal, ...(scale === undefined ? {} : { scale }) };
    const result = await attention(q, k, v, options).floats();
    expect(largestError(result, expected)).toBeLessThan(1e-6);
    // The last query has no keys.
    expect([...result.subarray(-heads * depth)]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('views of a fused projection work, and large scores do not overflow', async () => {
    const fused = tensor([4, 3, heads, depth], 5);
    const parts = [0, 1, 2].map((i) => fused.select(1, i)) as [Tensor, Tensor, Tensor];
    const whole = { offsetsQ: offsets(0, 4), offsetsK: offsets(0, 4), maxQ: 4, maxK: 4 };
    const strided = await attention(...parts, whole).floats();
    const copies = parts.map((part) => part.toContiguous()) as [Tensor, Tensor, Tensor];
    expect(strided).toEqual(await attention(...copies, whole).floats());
    const sharp = await attention(...parts, { ...whole, scale: 1e5 }).floats();
    expect(sharp.every((value) => Number.isFinite(value))).toBe(true);
  });

  test('arguments must fit', () => {
    expect(() => attention(q, tensor([9, 2, 4], 1), v, packing)).toThrow(
      'attention: k must be [Nk, 2, 3] (heads of q), got [9, 2, 4].',
    );
    expect(() => attention(q, k, tensor([8, 2, 3], 1), packing)).toThrow(
      'attention: v must be [9, 2, 3] (shape of k), got [8, 2, 3].',
    );
    expect(() => attention(q, k, v, { ...packing, offsetsK: offsets(0, 9) })).toThrow(
      'attention: offsetsK must be [5] (shape of offsetsQ), got [2].',
    );
    expect(() => attention(q, k, v, { ...packing, maxQ: -1 })).toThrow(
      'attention: maxQ must be an integer of at least 0, got -1.',
    );
    const wide = tensor([1, 1, 129], 1);
    expect(() => attention(wide, wide, wide, packing)).toThrow('must be 1 to 128');
    const real = device.tensor([0, 7], [2]);
    expect(() => attention(q, k, v, { ...packing, offsetsQ: real })).toThrow(
      'attention: offsetsQ must be i32, got f32.',
    );
  });
});
