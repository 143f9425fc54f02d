import { readFile } from 'node:fs/promises';
import { bytesSource, createCpuDevice, openSafetensors, type Device } from '@pergola/core';
import { SparseTensor } from '@pergola/sparse';
import {
  activateGaussians,
  decodeGaussians,
  gaussianCovariances,
  offsetPerturbation,
  type GaussianDecoding,
  type Gaussians,
  type GaussianTensors,
} from '@pergola/trellis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { synthInput } from '../../../testdata/synthetic.ts';

const testdata = new URL('../../../testdata/', import.meta.url);

let device: Device;
beforeAll(async () => {
  device = await createCpuDevice({ threads: 1 });
});
afterAll(() => {
  expect(device.memory().liveBytes).toBe(0);
  device.dispose();
});

/** Raw values of G Gaussians, activated on the device. */
async function activated(
  raw: Readonly<Record<keyof GaussianTensors, Float32Array>>,
): Promise<Gaussians> {
  return device.run(async () => {
    const tensor = (name: keyof GaussianTensors, width: number) =>
      device.tensor(raw[name], [raw[name].length / width, width]);
    const tensors = activateGaussians({
      positions: tensor('positions', 3),
      scales: tensor('scales', 3),
      rotations: tensor('rotations', 4),
      opacities: tensor('opacities', 1),
      harmonics: tensor('harmonics', 3),
    });
    return {
      kind: 'gaussians',
      count: raw.opacities.length,
      positions: await tensors.positions.floats(),
      scales: await tensors.scales.floats(),
      rotations: await tensors.rotations.floats(),
      opacities: await tensors.opacities.floats(),
      harmonics: await tensors.harmonics.floats(),
    };
  });
}

/** Gaussians of decoder output that starts on the host. */
async function decoded(
  coords: readonly number[],
  features: Float32Array,
  perVoxel: number,
  options: Partial<Omit<GaussianDecoding, 'perturbation'>> & { perturbation?: Float32Array } = {},
): Promise<Gaussians[]> {
  return device.run(async () => {
    const rows = coords.length / 4;
    const feats = device.tensor(features, [rows, features.length / rows]);
    const x = await SparseTensor.create(device.tensor(coords, [rows, 4], 'i32'), feats);
    const { perturbation: offsets, ...rest } = options;
    const perturbation = offsets === undefined ? null : device.tensor(offsets, [offsets.length]);
    try {
      return await decodeGaussians(x, perVoxel, { ...rest, perturbation });
    } finally {
      x.dispose();
      x.structure.dispose();
    }
  });
}

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
    gaussians = await activated({
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
  test('takes grouped channels apart, by batch element', async () => {
    const perVoxel = 4;
    const features = synthInput('gaussians', [3, 14 * perVoxel]);
    const coords = [0, 0, 1, 2, 0, 10, 20, 30, 1, 63, 62, 61];
    const perturbation = offsetPerturbation(perVoxel, 1.5);
    const elements = await decoded(coords, features, perVoxel, { perturbation });
    expect(elements.map(({ count }) => count)).toEqual([8, 4]);

    for (const [element, voxel, first] of [
      [0, 1, 0],
      [1, 2, 2],
    ] as const) {
      const gaussians = elements[element]!;
      const k = 2;
      const g = (voxel - first) * perVoxel + k;
      const channel = (block: number, size: number, c: number): number =>
        features[voxel * 56 + block * perVoxel + k * size + c]!;
      for (let axis = 0; axis < 3; axis++) {
        const offset = Math.tanh(channel(0, 3, axis) + perturbation[k * 3 + axis]!) * (0.75 / 64);
        const center = (coords[voxel * 4 + 1 + axis]! + 0.5) / 64 - 0.5;
        expect(gaussians.positions[g * 3 + axis]).toBeCloseTo(center + offset, 6);
        expect(gaussians.harmonics[g * 3 + axis]).toBe(channel(3, 3, axis));
        const soft = Math.log(1 + Math.exp(channel(6, 3, axis) - 5.5194602));
        expect(gaussians.scales[g * 3 + axis]).toBeCloseTo(Math.sqrt(soft ** 2 + 0.0009 ** 2), 6);
      }
      const q = [0, 1, 2, 3].map((c) => 0.1 * channel(9, 4, c) + (c === 0 ? 1 : 0));
      q.forEach((v, c) => {
        expect(gaussians.rotations[g * 4 + c]).toBeCloseTo(v / Math.hypot(...q), 6);
      });
      const opacity = 1 / (1 + 9 * Math.exp(-channel(13, 1, 0)));
      expect(gaussians.opacities[g]).toBeCloseTo(opacity, 6);
    }
  });

  test('exponential scales', async () => {
    const [gaussians] = await decoded([0, 0, 0, 0], new Float32Array(14), 1, {
      scalingActivation: 'exp',
      scalingBias: 0.01,
      kernelSize: 0,
    });
    expect(gaussians!.scales[0]).toBeCloseTo(0.01, 7);
  });

  test('softplus is the identity where the published one turns linear', async () => {
    const features = new Float32Array(14).fill(30, 6, 9);
    const [gaussians] = await decoded([0, 0, 0, 0], features, 1, { kernelSize: 0 });
    expect(gaussians!.scales[0]).toBe(Math.fround(30 - 5.5194602));
  });

  test('rejects what it cannot read', async () => {
    const at = [0, 0, 0, 0];
    await expect(decoded(at, new Float32Array(13), 1)).rejects.toThrow(
      'decodeGaussians: feats must be [N, 14] for 1 Gaussians a voxel, got [1, 13].',
    );
    await expect(decoded(at, new Float32Array(14), 0)).rejects.toThrow(
      'perVoxel must be an integer of at least 1, got 0.',
    );
    const perturbation = new Float32Array(3);
    await expect(decoded(at, new Float32Array(28), 2, { perturbation })).rejects.toThrow(
      'perturbation must be [2, 3], got [3].',
    );
    device.run(() => {
      const zeros = (width: number) => device.tensor(new Float32Array(2 * width), [2, width]);
      const tensors = {
        positions: zeros(3),
        scales: zeros(3),
        rotations: zeros(4),
        opacities: zeros(1),
        harmonics: zeros(1),
      };
      expect(() => activateGaussians(tensors)).toThrow(
        'activateGaussians: harmonics must be [2, 3], got [2, 1].',
      );
    });
  });
});
