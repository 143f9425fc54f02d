import { readFile } from 'node:fs/promises';
import { bytesSource, openSafetensors } from '@pergola/core';
import {
  activateGaussians,
  decodeGaussians,
  gaussianCovariances,
  offsetPerturbation,
  type Gaussians,
} from '@pergola/trellis';
import { beforeAll, describe, expect, test } from 'vitest';
import { synthInput } from '../../../testdata/synthetic.ts';

const testdata = new URL('../../../testdata/', import.meta.url);

function worst(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  return actual.reduce((max, v, i) => Math.max(max, Math.abs(v - expected[i]!)), 0);
}

describe('against the published model', () => {
  const golden = new Map<string, Float32Array>();
  let gaussians: Gaussians;
  beforeAll(async () => {
    const bytes = await readFile(new URL('golden/models_small.safetensors', testdata));
    const file = await openSafetensors(bytesSource(bytes));
    for (const name of file.names) {
      if (!name.startsWith('gsdec/')) continue;
      golden.set(name.slice(6), (await file.read(name)).data as Float32Array);
    }
    gaussians = activateGaussians({
      positions: golden.get('_xyz')!,
      scales: golden.get('_scaling')!,
      rotations: golden.get('_rotation')!,
      opacities: golden.get('_opacity')!,
      harmonics: golden.get('_features_dc')!,
    });
  });

  test('activations', () => {
    expect(worst(gaussians.positions, golden.get('get_xyz')!)).toBeLessThan(1e-6);
    expect(worst(gaussians.scales, golden.get('get_scaling')!)).toBeLessThan(1e-6);
    expect(worst(gaussians.rotations, golden.get('get_rotation')!)).toBeLessThan(1e-6);
    expect(worst(gaussians.opacities, golden.get('get_opacity')!)).toBeLessThan(1e-6);
    expect(gaussians.harmonics).toEqual(golden.get('_features_dc'));
  });

  test('covariances', () => {
    const expected = golden.get('get_covariance')!;
    const largest = expected.reduce((max, v) => Math.max(max, Math.abs(v)), 0);
    expect(worst(gaussianCovariances(gaussians), expected)).toBeLessThan(1e-5 * largest);
  });

  test('perturbation', () => {
    expect(worst(offsetPerturbation(8, 1.5), golden.get('offset_perturbation')!)).toBeLessThan(
      1e-6,
    );
  });
});

describe('decodeGaussians', () => {
  test('takes grouped channels apart', () => {
    const perVoxel = 4;
    const features = synthInput('gaussians', [3, 14 * perVoxel]);
    const coords = Int32Array.of(7, 0, 1, 2, 7, 10, 20, 30, 7, 63, 62, 61);
    const perturbation = offsetPerturbation(perVoxel, 1.5);
    const decoded = decodeGaussians(coords, features, perVoxel, { perturbation });
    expect(decoded.count).toBe(12);

    const voxel = 1;
    const k = 2;
    const g = voxel * perVoxel + k;
    const channel = (block: number, size: number, c: number): number =>
      features[voxel * 56 + block * perVoxel + k * size + c]!;
    for (let axis = 0; axis < 3; axis++) {
      const offset = Math.tanh(channel(0, 3, axis) + perturbation[k * 3 + axis]!) * (0.75 / 64);
      const center = (coords[voxel * 4 + 1 + axis]! + 0.5) / 64 - 0.5;
      expect(decoded.positions[g * 3 + axis]).toBeCloseTo(center + offset, 6);
      expect(decoded.harmonics[g * 3 + axis]).toBe(channel(3, 3, axis));
      const soft = Math.log(1 + Math.exp(channel(6, 3, axis) - 5.5194602));
      expect(decoded.scales[g * 3 + axis]).toBeCloseTo(Math.sqrt(soft ** 2 + 0.0009 ** 2), 6);
    }
    const q = [0, 1, 2, 3].map((c) => 0.1 * channel(9, 4, c) + (c === 0 ? 1 : 0));
    q.forEach((v, c) => {
      expect(decoded.rotations[g * 4 + c]).toBeCloseTo(v / Math.hypot(...q), 6);
    });
    const opacity = 1 / (1 + 9 * Math.exp(-channel(13, 1, 0)));
    expect(decoded.opacities[g]).toBeCloseTo(opacity, 6);
  });

  test('exponential scales', () => {
    const { scales } = decodeGaussians(Int32Array.of(0, 0, 0), new Float32Array(14), 1, {
      scalingActivation: 'exp',
      scalingBias: 0.01,
      kernelSize: 0,
    });
    expect(scales[0]).toBeCloseTo(0.01, 7);
  });

  test('rejects what it cannot read', () => {
    const decode =
      (coords: number[], length: number, perVoxel = 1) =>
      () =>
        decodeGaussians(Int32Array.from(coords), new Float32Array(length), perVoxel);
    expect(decode([0, 0, 0], 13)).toThrow('features must be [N, 14] for 1 Gaussians a voxel');
    expect(decode([0, 0], 14)).toThrow('coords must be [1, 3] or [1, 4], got 2 numbers.');
    expect(decode([0, 64, 0], 14)).toThrow('coords must lie in 0 to 63, got 64 in row 0.');
    expect(decode([0, 0, 0], 14, 0)).toThrow('perVoxel must be an integer of at least 1, got 0.');
    expect(() =>
      decodeGaussians(Int32Array.of(0, 0, 0), new Float32Array(28), 2, {
        perturbation: new Float32Array(3),
      }),
    ).toThrow('perturbation must be [2, 3], got 3 numbers.');
  });
});
