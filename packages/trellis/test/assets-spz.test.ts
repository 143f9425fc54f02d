import { gaussianCovariances, writeGaussianSpz, type Gaussians } from '@pergola/trellis';
import { SPZLoader } from 'three/addons/loaders/SPZLoader.js';
import { describe, expect, test } from 'vitest';
import { gunzipSync } from 'node:zlib';
import { unitValues } from '../../../testdata/synthetic.ts';
import { sampleGaussians } from './gaussian-sample.ts';

const COUNT = 40;

function sample(): Gaussians {
  // Scales that the format holds exactly, so that covariances test the rotations.
  const scales = Float32Array.from(unitValues('s', COUNT * 3), (v) =>
    Math.exp(Math.round(80 + 30 * v) / 16 - 10),
  );
  return { ...sampleGaussians(COUNT), scales };
}

describe('writeGaussianSpz', () => {
  test('three.js reads what was meant', async () => {
    const gaussians = sample();
    const bytes = await writeGaussianSpz(gaussians);
    const { attributes } = new SPZLoader().parse(bytes.slice().buffer);
    const { position, covariance, color } = attributes;
    const covariances = gaussianCovariances(gaussians);
    for (let g = 0; g < COUNT; g++) {
      const [x, y, z] = gaussians.positions.subarray(g * 3, g * 3 + 3);
      [x!, z!, -y!].forEach((v, axis) => {
        expect(Math.abs(position!.array[g * 3 + axis]! - v)).toBeLessThan(2 ** -22);
      });
      // Covariance xx, xy, xz, yy, yz, zz under (x, y, z) -> (x, z, -y).
      const [xx, xy, xz, yy, yz, zz] = covariances.subarray(g * 6, g * 6 + 6);
      const largest = Math.max(xx!, yy!, zz!);
      [xx!, xz!, -xy!, zz!, -yz!, yy!].forEach((v, i) => {
        expect(Math.abs(covariance!.array[g * 6 + i]! - v)).toBeLessThan(0.01 * largest);
      });
      gaussians.harmonics.subarray(g * 3, g * 3 + 3).forEach((v, c) => {
        const display = 255 * Math.min(Math.max(0.28209479177387814 * v + 0.5, 0), 1);
        expect(Math.abs(color!.array[g * 4 + c]! - display)).toBeLessThan(2);
      });
      expect(Math.abs(color!.array[g * 4 + 3]! / 255 - gaussians.opacities[g]!)).toBeLessThan(
        0.003,
      );
    }
  });

  test('header, size, and coarser steps for far positions', async () => {
    const gaussians = sample();
    const plain = gunzipSync(await writeGaussianSpz(gaussians));
    expect(plain.toString('latin1', 0, 4)).toBe('NGSP');
    expect([plain.readUInt32LE(4), plain.readUInt32LE(8)]).toEqual([3, COUNT]);
    expect([...plain.subarray(12, 16)]).toEqual([0, 22, 1, 0]);
    expect(plain.length).toBe(16 + 20 * COUNT);
    const far = { ...gaussians, positions: gaussians.positions.map((v) => 1000 * v) };
    const bytes = await writeGaussianSpz(far);
    expect(gunzipSync(bytes)[13]).toBe(14);
    const { position } = new SPZLoader().parse(bytes.slice().buffer).attributes;
    expect(position!.array[0]).toBeCloseTo(far.positions[0]!, 3);
  });

  test('rejects positions that do not fit', async () => {
    const gaussians = sample();
    const broken = { ...gaussians, positions: gaussians.positions.slice().fill(Number.NaN, 3, 4) };
    await expect(writeGaussianSpz(broken)).rejects.toThrow('positions must lie within 8388607');
  });
});
