import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { attention, createCpuDevice, InputError, type Device } from '@pergola/core';
import { expectClose, expectSameBits, randomFloats, runsInKernel } from './cpu-support.ts';

let device: Device;
beforeAll(async () => {
  device = await createCpuDevice({ threads: 2 });
});
afterAll(() => device.dispose());

interface Case {
  readonly lengthsQ: number[];
  readonly lengthsK: number[];
  readonly heads: number;
  readonly dimension: number;
  readonly causal?: boolean;
  readonly scale?: number;
  /** q, k and v as slices of one `[N, 3, H, D]` tensor. */
  readonly packed?: boolean;
}

function offsetsOf(lengths: number[]): number[] {
  const offsets = [0];
  for (const length of lengths) offsets.push(offsets.at(-1)! + length);
  return offsets;
}

/** Attention of one query by the textbook formula, in double precision. */
function attend(query: Float32Array, keys: Float32Array[], values: Float32Array[], scale: number) {
  const scores = keys.map((key) => scale * key.reduce((sum, x, d) => sum + x * query[d]!, 0));
  const highest = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - highest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return Array.from(query, (_, d) =>
    values.reduce((sum, value, j) => sum + (weights[j]! / total) * value[d]!, 0),
  );
}

async function run(on: Device, given: Case) {
  const { lengthsQ, lengthsK, heads, dimension, causal = false, packed = false } = given;
  const [offsetsQ, offsetsK] = [offsetsOf(lengthsQ), offsetsOf(lengthsK)];
  const [nq, nk] = [offsetsQ.at(-1)!, offsetsK.at(-1)!];
  const make = (rows: number, seed: number) =>
    on.tensor(randomFloats([rows, heads, dimension], seed), [rows, heads, dimension]);
  const fused = on.tensor(randomFloats([nq, 3, heads, dimension], 9), [nq, 3, heads, dimension]);
  const [q, k, v] = packed ? fused.unbind(1) : [make(nq, 1), make(nk, 2), make(nk, 3)];
  const out = runsInKernel(on, () =>
    attention(q!, k!, v!, {
      offsetsQ: on.tensor(offsetsQ, [offsetsQ.length], 'i32'),
      offsetsK: on.tensor(offsetsK, [offsetsK.length], 'i32'),
      maxQ: Math.max(0, ...lengthsQ),
      maxK: Math.max(0, ...lengthsK),
      causal,
      ...(given.scale === undefined ? {} : { scale: given.scale }),
    }),
  );
  const [qs, ks, vs] = await Promise.all([q!.floats(), k!.floats(), v!.floats()]);
  const scale = given.scale ?? 1 / Math.sqrt(dimension);
  const row = (data: Float32Array, i: number, h: number) =>
    data.subarray((i * heads + h) * dimension, (i * heads + h + 1) * dimension);
  const expected: number[] = [];
  lengthsQ.forEach((length, s) => {
    for (let i = 0; i < length; i++) {
      for (let h = 0; h < heads; h++) {
        const visible = causal ? Math.min(i + 1, lengthsK[s]!) : lengthsK[s]!;
        const rows = Array.from({ length: visible }, (_, j) => offsetsK[s]! + j);
        const [keys, values] = [rows.map((j) => row(ks, j, h)), rows.map((j) => row(vs, j, h))];
        const query = row(qs, offsetsQ[s]! + i, h);
        expected.push(
          ...(visible === 0 ? Array.from(query, () => 0) : attend(query, keys, values, scale)),
        );
      }
    }
  });
  return { actual: await out.floats(), expected };
}

const CASES: Record<string, Case> = {
  'one of everything': { lengthsQ: [1], lengthsK: [1], heads: 1, dimension: 1 },
  'an odd head': { lengthsQ: [7], lengthsK: [13], heads: 3, dimension: 37 },
  'several key tiles': { lengthsQ: [5], lengthsK: [400], heads: 2, dimension: 64 },
  'several query tiles': { lengthsQ: [211], lengthsK: [129], heads: 1, dimension: 16 },
  'the widest head': { lengthsQ: [97], lengthsK: [257], heads: 1, dimension: 128 },
  'sequences, some empty': {
    lengthsQ: [3, 0, 100, 8, 1],
    lengthsK: [5, 7, 130, 0, 128],
    heads: 2,
    dimension: 24,
  },
  causal: { lengthsQ: [150, 9], lengthsK: [150, 9], heads: 2, dimension: 8, causal: true },
  'causal, fewer keys': { lengthsQ: [140], lengthsK: [20], heads: 1, dimension: 8, causal: true },
  'causal, more keys': { lengthsQ: [5], lengthsK: [300], heads: 1, dimension: 8, causal: true },
  'strided q, k, v': {
    lengthsQ: [100, 31],
    lengthsK: [100, 31],
    heads: 3,
    dimension: 20,
    packed: true,
  },
  'a large scale': { lengthsQ: [9], lengthsK: [300], heads: 1, dimension: 8, scale: 30 },
  'a negative scale': { lengthsQ: [9], lengthsK: [30], heads: 1, dimension: 8, scale: -1 },
  'scale zero': { lengthsQ: [9], lengthsK: [30], heads: 1, dimension: 8, scale: 0 },
};

describe('attention', () => {
  for (const [name, given] of Object.entries(CASES)) {
    test(name, async () => {
      const { actual, expected } = await run(device, given);
      expectClose(actual, expected, given.scale === 30 ? 2e-5 : 2e-6);
    });
  }

  test('one and two threads give the same bits', async () => {
    using single = await createCpuDevice({ threads: 1 });
    const given = { lengthsQ: [300, 20], lengthsK: [300, 20], heads: 4, dimension: 40 };
    for (const causal of [false, true]) {
      const first = await run(single, { ...given, causal });
      const second = await run(device, { ...given, causal });
      expectSameBits(second.actual, first.actual);
    }
  });

  test('offsets that leave the rows are refused', () => {
    const x = device.tensor(randomFloats([4, 1, 2], 1), [4, 1, 2]);
    const offsetsQ = device.tensor([0, 5], [2], 'i32');
    const offsetsK = device.tensor([0, 4], [2], 'i32');
    const options = { offsetsQ, offsetsK, maxQ: 4, maxK: 4 };
    expect(() => attention(x, x, x, options)).toThrow(InputError);
    expect(() => attention(x, x, x, options)).toThrow(
      'attention: offsetsQ must ascend from 0 to 4, got 5 after 0.',
    );
  });
});
