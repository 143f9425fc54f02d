import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCpuDevice, linear, matmul, type Device, type Tensor } from '@pergola/core';
import { expectClose, expectSameBits, randomFloats, runsInKernel } from './cpu-support.ts';

let device: Device;
beforeAll(async () => {
  device = await createCpuDevice({ threads: 2 });
});
afterAll(() => device.dispose());

function random(shape: number[], seed: number): Tensor {
  return device.tensor(randomFloats(shape, seed), shape);
}

/** Product over the last two axes of row-major arrays, summed in double precision. */
function naive(a: Float32Array, b: Float32Array, m: number, n: number, k: number): Float64Array {
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      for (let d = 0; d < k; d++) out[i * n + j]! += a[i * k + d]! * b[d * n + j]!;
    }
  }
  return out;
}

describe('matmul', () => {
  const sizes = [
    [1, 1, 1],
    [5, 7, 3],
    [6, 8, 256],
    [7, 9, 257],
    [17, 8, 31],
    [97, 129, 13],
    [40, 65, 521],
    [3, 200, 64],
    [2, 1, 100],
  ] as const;
  for (const [m, n, k] of sizes) {
    for (const layout of ['plain', 'a transposed', 'b transposed', 'strided']) {
      test(`[${m}, ${k}] x [${k}, ${n}], ${layout}`, async () => {
        const a = random([m, k], 1);
        const b = random([k, n], 2);
        const wide = layout === 'strided' ? random([2 * k, 3 * n], 3) : undefined;
        const left = layout === 'a transposed' ? a.transpose().toContiguous().transpose() : a;
        let right = layout === 'b transposed' ? b.transpose().toContiguous().transpose() : b;
        right = wide?.slice(0, 1, 2 * k, 2).slice(1, 2, 3 * n, 3) ?? right;
        const expected = naive(await a.floats(), await right.floats(), m, n, k);
        const actual = runsInKernel(device, () => matmul(left, right));
        expect(actual.shape).toEqual([m, n]);
        expectClose(await actual.floats(), expected, 1e-6 * Math.sqrt(k) * 4);
      });
    }
  }

  test('batches broadcast', async () => {
    const a = random([2, 1, 19, 11], 1);
    const b = random([3, 11, 21], 2);
    const actual = runsInKernel(device, () => matmul(a, b));
    expect(actual.shape).toEqual([2, 3, 19, 21]);
    const values = await actual.floats();
    for (let i = 0; i < 6; i++) {
      const left = a.select(0, Math.floor(i / 3)).select(0, 0);
      const right = b.select(0, i % 3);
      const expected = naive(await left.floats(), await right.floats(), 19, 21, 11);
      expectClose(values.subarray(i * 399, i * 399 + 399), expected, 1e-5);
    }
  });

  test('an empty sum is zero, an empty result is empty', async () => {
    const zero = matmul(device.tensor([], [2, 0]), device.tensor([], [0, 3]));
    expect(await zero.floats()).toEqual(new Float32Array(6));
    expect(matmul(device.tensor([], [0, 2]), random([2, 3], 1)).shape).toEqual([0, 3]);
  });

  test('one and two threads, and repeated runs, give the same bits', async () => {
    using single = await createCpuDevice({ threads: 1 });
    for (const [m, n, k] of [
      [8, 300, 700],
      [333, 257, 700],
    ] as const) {
      const [a, b] = [randomFloats([m, k], 5), randomFloats([n, k], 6)];
      const results = [];
      for (const each of [single, device, device]) {
        const product = matmul(each.tensor(a, [m, k]), each.tensor(b, [n, k]).transpose());
        results.push(await product.data());
      }
      expectSameBits(results[1]!, results[0]!);
      expectSameBits(results[2]!, results[0]!);
    }
  });
});

describe('linear', () => {
  const functions = {
    none: (x: number) => x,
    relu: (x: number) => Math.max(0, x),
    silu: (x: number) => x / (1 + Math.exp(-x)),
    geluTanh: (x: number) =>
      0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    quickGelu: (x: number) => x / (1 + Math.exp(-1.702 * x)),
  } as const;
  for (const rows of [1, 2, 16, 17, 100]) {
    for (const [activation, apply] of Object.entries(functions)) {
      test(`${rows} rows, ${activation}`, async () => {
        const x = random([rows, 37], 1);
        const weight = random([45, 37], 2);
        const bias = random([45], 3);
        const options = { activation: activation as keyof typeof functions };
        const actual = runsInKernel(device, () => linear(x, weight, bias, options));
        const w = await weight.transpose().floats();
        const biases = await bias.floats();
        const expected = naive(await x.floats(), w, rows, 45, 37).map((value, i) =>
          apply(value + biases[i % 45]!),
        );
        expectClose(await actual.floats(), expected, 1e-5);
      });
    }
  }

  test('gelu is the erf form', async () => {
    const x = device.tensor([-3, -1, -0.5, 0, 0.5, 1, 3], [7, 1]);
    const y = await linear(x, device.tensor([1], [1, 1]), undefined, {
      activation: 'gelu',
    }).floats();
    // x Phi(x), from a table of the normal distribution.
    const phi = [0.0013498980316, 0.15865525393, 0.30853753873, 0.5];
    const table = [...phi, 1 - phi[2]!, 1 - phi[1]!, 1 - phi[0]!];
    const values = [-3, -1, -0.5, 0, 0.5, 1, 3].map((value, i) => value * table[i]!);
    expectClose(y, values, 1e-6);
  });

  test('rows of a slice are read in place', async () => {
    const x = random([4, 9, 40], 1).slice(2, 3, 40);
    const weight = random([10, 37], 2);
    const actual = runsInKernel(device, () => linear(x, weight));
    expect(actual.shape).toEqual([4, 9, 10]);
    const expected = naive(await x.floats(), await weight.transpose().floats(), 36, 10, 37);
    expectClose(await actual.floats(), expected, 1e-5);
  });
});
