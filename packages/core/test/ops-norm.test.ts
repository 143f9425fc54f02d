import { afterAll, describe, expect, test } from 'vitest';
import * as core from '@pergola/core';
import { DTypeError, InputError, type Tensor } from '@pergola/core';
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

/** Mean and biased variance of a list. */
function moments(values: readonly number[]): [mean: number, variance: number] {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return [mean, values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length];
}

describe('norms with parameters', () => {
  test('layerNorm of a known row', async () => {
    const x = device.tensor([1, 2, 3, 4], [1, 4]);
    const weight = device.tensor([1, 1, 2, 2], [4]);
    const bias = device.tensor([0, 1, 0, 1], [4]);
    // Mean 2.5, variance 1.25: standardised -1.3416, -0.4472, 0.4472, 1.3416.
    const result = await core.layerNorm(x, weight, bias).floats();
    expect(largestError(result, [-1.341636, 0.552788, 0.894424, 3.683271])).toBeLessThan(1e-5);
  });

  test('rmsNorm of a known row', async () => {
    const x = device.tensor([3, 4], [1, 2]);
    const result = await core.rmsNorm(x, device.tensor([1, 2], [2])).floats();
    // Root mean square of (3, 4) is sqrt(12.5).
    expect(largestError(result, [3 / Math.sqrt(12.5), 8 / Math.sqrt(12.5)])).toBeLessThan(1e-6);
    expect([...(await core.rmsNorm(device.tensor([0, 0], [2])).floats())]).toEqual([0, 0]);
  });

  test('groupNorm equals a loop over groups', async () => {
    const [batch, channels, height, width, groups] = [2, 6, 3, 2, 3];
    const x = tensor([batch, channels, height, width], 1);
    const [weight, bias] = [tensor([channels], 2), tensor([channels], 3)];
    const [xv, wv, bv] = [await x.floats(), await weight.floats(), await bias.floats()];
    const area = height * width;
    const expected = new Float64Array(xv.length);
    for (let b = 0; b < batch; b++) {
      for (let g = 0; g < groups; g++) {
        const members: number[] = [];
        for (let c = g * 2; c < g * 2 + 2; c++) {
          for (let p = 0; p < area; p++) members.push((b * channels + c) * area + p);
        }
        const [mean, variance] = moments(members.map((i) => xv[i]!));
        for (const i of members) {
          const c = Math.floor(i / area) % channels;
          expected[i] = ((xv[i]! - mean) / Math.sqrt(variance + 1e-5)) * wv[c]! + bv[c]!;
        }
      }
    }
    const result = await core.groupNorm(x, weight, bias, { groups }).floats();
    expect(largestError(result, expected)).toBeLessThan(1e-5);
    // One group over [B, C] is a layer norm.
    const flat = tensor([3, 5], 4);
    const grouped = await core.groupNorm(flat, undefined, undefined, { groups: 1 }).floats();
    expect(largestError(grouped, await core.layerNorm(flat).floats())).toBeLessThan(1e-6);
  });

  test('parameters may be f32 beside half inputs, and must fit', () => {
    const half = device.tensor([1, 2, 3, 4], [2, 2], 'f16');
    expect(core.layerNorm(half, tensor([2], 1)).dtype).toBe('f16');
    expect(() => core.layerNorm(half, device.tensor([1, 1], [2], 'bf16'))).toThrow(
      'layerNorm: weight must be f32 or f16, got bf16.',
    );
    expect(() => core.rmsNorm(half, tensor([3], 1))).toThrow(
      'rmsNorm: weight must be [2] (last axis of x), got [3].',
    );
    expect(() => core.groupNorm(half, tensor([3], 1), undefined, { groups: 2 })).toThrow(
      'groupNorm: weight must be [2] (axis 1 of x), got [3].',
    );
    expect(() => core.groupNorm(half, undefined, undefined, { groups: 3 })).toThrow(
      'groupNorm: groups must be a divisor of the 2 channels of x, got 3.',
    );
    expect(() => core.layerNorm(half, undefined, undefined, { eps: 0 })).toThrow(InputError);
    expect(() => core.rmsNorm(half, undefined, { eps: NaN })).toThrow(
      'rmsNorm: eps must be a positive finite number, got NaN.',
    );
  });
});

describe('fused norms over packed rows', () => {
  const [rows, channels] = [5, 4];
  const x = tensor([rows, channels], 1);
  // Three batch elements with 2, 0 and 3 rows.
  const offsets = device.tensor([0, 2, 2, 5], [4], 'i32');
  const elements = [0, 0, 2, 2, 2];
  const shift = tensor([3, channels], 2);
  const scale = tensor([3, channels], 3);

  test.each(['none', 'silu'] as const)('layerNormModulate, activation %s', async (activation) => {
    const [xv, shiftv, scalev] = [await x.floats(), await shift.floats(), await scale.floats()];
    const expected = elements.flatMap((element, row) => {
      const values = [...xv.subarray(row * channels, (row + 1) * channels)];
      const [mean, variance] = moments(values);
      return values.map((value, c) => {
        const normal = (value - mean) / Math.sqrt(variance + 1e-6);
        const at = element * channels + c;
        const result = normal * (1 + scalev[at]!) + shiftv[at]!;
        return activation === 'silu' ? result / (1 + Math.exp(-result)) : result;
      });
    });
    const result = core.layerNormModulate(x, shift, scale, offsets, { activation });
    expect(largestError(await result.floats(), expected)).toBeLessThan(1e-5);
  });

  test('gatedResidual adds the gated branch', async () => {
    const [h, gate] = [tensor([rows, channels], 4), tensor([3, channels], 5)];
    const [xv, hv, gatev] = [await x.floats(), await h.floats(), await gate.floats()];
    const expected = elements.flatMap((element, row) =>
      [0, 1, 2, 3].map((c) => {
        const at = row * channels + c;
        return xv[at]! + hv[at]! * gatev[element * channels + c]!;
      }),
    );
    const result = await core.gatedResidual(x, h, gate, offsets).floats();
    expect(largestError(result, expected)).toBeLessThan(1e-6);
  });

  test('qkNorm gives unit vectors times sqrt(D) and gamma; zeros stay zero', async () => {
    const vectors = device.tensor([3, 4, 0, 0, 0, 5, 6, 8], [2, 2, 2]);
    const gamma = device.tensor([1, 2, 1, 1], [2, 2]);
    const r = Math.SQRT2;
    const result = await core.qkNorm(vectors, gamma).floats();
    expect(largestError(result, [0.6 * r, 1.6 * r, 0, 0, 0, 2 * r, 0.6 * r, 0.8 * r])).toBeLessThan(
      1e-6,
    );
  });

  test('arguments must fit', () => {
    expect(() => core.layerNormModulate(x, tensor([2, channels], 1), scale, offsets)).toThrow(
      'layerNormModulate: shift must be [3, 4] (offsets hold 3 batch elements, x 4 channels), got [2, 4].',
    );
    expect(() => core.gatedResidual(x, tensor([4, channels], 1), shift, offsets)).toThrow(
      'gatedResidual: h must be [5, 4] (shape of x), got [4, 4].',
    );
    const half = device.tensor(new Float32Array(12), [3, 4], 'f16');
    expect(() => core.gatedResidual(x, x, half, offsets)).toThrow(DTypeError);
    expect(() => core.gatedResidual(x, x, half, offsets)).toThrow(
      'gatedResidual: gate must have the dtype of x (f32), got f16.',
    );
    expect(() => core.qkNorm(tensor([1, 2, 3], 1), tensor([3, 2], 1))).toThrow(
      'qkNorm: gamma must be [2, 3] (heads of x), got [3, 2].',
    );
    expect(() =>
      core.layerNormModulate(x, shift, scale, offsets, { activation: 'relu' as 'silu' }),
    ).toThrow('layerNormModulate: activation must be one of none, silu, got relu.');
  });
});
