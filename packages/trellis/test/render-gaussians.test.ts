import { readFile } from 'node:fs/promises';
import { bytesSource, openSafetensors } from '@pergola/core';
import {
  orbitCamera,
  renderGaussians,
  rotationMatrix,
  snapshotCameras,
  type Camera,
  type Gaussians,
} from '@pergola/trellis';
import { describe, expect, test } from 'vitest';
import { synthInput, unitValues } from '../../../testdata/synthetic.ts';

const C0 = 0.28209479177387814;

function gaussian(overrides: Partial<Gaussians> = {}): Gaussians {
  return {
    kind: 'gaussians',
    count: 1,
    positions: new Float32Array(3),
    scales: Float32Array.of(0.02, 0.02, 0.02),
    rotations: Float32Array.of(1, 0, 0, 0),
    opacities: Float32Array.of(0.8),
    harmonics: Float32Array.of(0.5 / C0, 0, -0.25 / C0),
    ...overrides,
  };
}

function randomGaussians(count: number): Gaussians {
  const raw = synthInput('q', count * 4);
  const rotations = raw.map((v, i) => {
    const first = i - (i % 4);
    return v / Math.hypot(...raw.subarray(first, first + 4));
  });
  return {
    kind: 'gaussians',
    count,
    positions: Float32Array.from(unitValues('p', count * 3), (v) => 0.8 * v),
    scales: Float32Array.from(unitValues('s', count * 3), (v) => 0.05 + 0.045 * v),
    rotations,
    opacities: Float32Array.from(unitValues('o', count), (v) => 0.55 + 0.45 * v),
    harmonics: synthInput('h', count * 3),
  };
}

/** The published procedure written out per pixel, over every Gaussian whose tiles hold the pixel. */
function oracle(g: Gaussians, camera: Camera, size: number, background: number[]): number[] {
  const m = camera.extrinsics;
  const tangent = Math.tan(camera.fov / 2);
  const focal = size / 2 / tangent;
  const projected: {
    depth: number;
    index: number;
    mean: number[];
    inverse: number[];
    opacity: number;
    tiles: number[];
  }[] = [];
  for (let i = 0; i < g.count; i++) {
    const p = [...g.positions.subarray(i * 3, i * 3 + 3)];
    const view = [0, 1, 2].map((r) => p.reduce((s, v, k) => s + m[r * 4 + k]! * v, m[r * 4 + 3]!));
    const [vx, vy, vz] = view as [number, number, number];
    if (vz <= 0.2) continue;
    const rotation = new Float64Array(9);
    rotationMatrix(g.rotations, i * 4, rotation);
    const limit = (v: number): number => Math.max(-1.3 * tangent, Math.min(1.3 * tangent, v));
    const jacobian = [
      [focal / vz, 0, (-focal * limit(vx / vz)) / vz],
      [0, focal / vz, (-focal * limit(vy / vz)) / vz],
    ];
    // Rows of J R_camera R_own S; the image covariance is their product with its transpose.
    const rows = jacobian.map((j) => {
      const world = [0, 1, 2].map((k) => j.reduce((s, v, r) => s + v * m[r * 4 + k]!, 0));
      return [0, 1, 2].map(
        (k) => world.reduce((s, v, r) => s + v * rotation[r * 3 + k]!, 0) * g.scales[i * 3 + k]!,
      );
    });
    const dot = (a: number[], b: number[]): number => a.reduce((s, v, k) => s + v * b[k]!, 0);
    const [a, b, c] = [dot(rows[0]!, rows[0]!), dot(rows[0]!, rows[1]!), dot(rows[1]!, rows[1]!)];
    const det0 = Math.max(1e-6, a * c - b * b);
    const [wideA, wideC] = [a + 0.1, c + 0.1];
    const det = wideA * wideC - b * b;
    const factor = det0 <= 1e-6 ? 0 : Math.sqrt(det0 / (Math.max(1e-6, det) + 1e-6) + 1e-6);
    const middle = (wideA + wideC) / 2;
    const radius = Math.ceil(3 * Math.sqrt(middle + Math.sqrt(Math.max(0.1, middle ** 2 - det))));
    const mean = [vx, vy].map((v) => ((v / tangent / (vz + 1e-7) + 1) * size - 1) / 2);
    const clampTile = (v: number): number =>
      Math.max(0, Math.min(Math.ceil(size / 16), Math.trunc(v)));
    const tiles = mean.flatMap((v) => [
      clampTile((v - radius) / 16),
      clampTile((v + radius + 15) / 16),
    ]);
    const inverse = [wideC / det, -b / det, wideA / det];
    projected.push({
      depth: vz,
      index: i,
      mean,
      inverse,
      opacity: g.opacities[i]! * factor,
      tiles,
    });
  }
  projected.sort((a, b) => a.depth - b.depth || a.index - b.index);
  const out: number[] = [];
  for (let py = 0; py < size; py++) {
    for (let px = 0; px < size; px++) {
      let light = 1;
      const color = [0, 0, 0];
      const [tx, ty] = [px >> 4, py >> 4];
      for (const { index, mean, inverse, opacity, tiles } of projected) {
        if (tx < tiles[0]! || tx >= tiles[1]! || ty < tiles[2]! || ty >= tiles[3]!) continue;
        const dx = mean[0]! - px;
        const dy = mean[1]! - py;
        const e = -0.5 * (inverse[0]! * dx * dx + inverse[2]! * dy * dy) - inverse[1]! * dx * dy;
        const alpha = Math.min(0.99, opacity * Math.exp(e));
        if (e > 0 || alpha < 1 / 255) continue;
        if (light * (1 - alpha) < 1e-4) break;
        color.forEach((v, k) => {
          color[k] = v + Math.max(0, C0 * g.harmonics[index * 3 + k]! + 0.5) * alpha * light;
        });
        light *= 1 - alpha;
      }
      out.push(...color.map((v, k) => v + light * background[k]!));
    }
  }
  return out;
}

describe('renderGaussians', () => {
  const camera = orbitCamera({ yaw: 0.3, pitch: 0.2 });

  test('one round Gaussian in the middle has the profile of its formula', () => {
    const size = 65;
    const { color, alpha } = renderGaussians(gaussian(), camera, { size });
    const focal = size / (2 * Math.tan(camera.fov / 2));
    const variance = (0.02 * (focal / 2)) ** 2;
    const wide = variance + 0.1;
    const opacity = 0.8 * Math.sqrt(variance ** 2 / (wide ** 2 + 1e-6) + 1e-6);
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const value = opacity * Math.exp((-0.5 * ((x - 32) ** 2 + (y - 32) ** 2)) / wide);
        const expected = value < 1 / 255 ? 0 : value;
        const pixel = y * size + x;
        expect(alpha[pixel]).toBeCloseTo(expected, 4);
        expect(color[pixel * 3]).toBeCloseTo(expected, 4);
        expect(color[pixel * 3 + 1]).toBeCloseTo(0.5 * expected, 4);
        expect(color[pixel * 3 + 2]).toBeCloseTo(0.25 * expected, 4);
      }
    }
  });

  test.each([
    [30, 48, 0.3, 0.2],
    [200, 50, 2.5, -0.7],
    [200, 33, 4, 1.2],
  ])('%d Gaussians on %d pixels equal the procedure pixel by pixel', (count, size, yaw, pitch) => {
    const view = orbitCamera({ yaw, pitch, radius: 1.6 });
    const gaussians = randomGaussians(count);
    const background = [0.2, 0.5, 1] as const;
    const { color } = renderGaussians(gaussians, view, { size, background });
    const expected = oracle(gaussians, view, size, [...background]);
    let worst = 0;
    color.forEach((v, i) => (worst = Math.max(worst, Math.abs(v - expected[i]!))));
    expect(worst).toBeLessThan(1e-4);
  });

  test('what is nearer hides what is behind it, whatever the order', () => {
    const toEye = [0, 1, 2].map((axis) => -camera.extrinsics[8 + axis]!);
    const near = toEye.map((v) => 0.2 * v);
    const far = toEye.map((v) => -0.2 * v);
    const pair = (first: number[], second: number[], colors: number[]): number[] => {
      const { color } = renderGaussians(
        gaussian({
          count: 2,
          positions: Float32Array.of(...first, ...second),
          scales: new Float32Array(6).fill(0.05),
          rotations: Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0),
          opacities: Float32Array.of(1, 1),
          harmonics: new Float32Array(6),
        }),
        camera,
        { size: 33, colors: Float32Array.from(colors) },
      );
      return [...color.subarray(16 * 33 * 3 + 48, 16 * 33 * 3 + 51)];
    };
    const middle = pair(near, far, [1, 0, 0, 0, 1, 0]);
    expect(middle[0]).toBeGreaterThan(0.9);
    expect(middle[1]).toBeLessThan(0.06);
    expect(pair(far, near, [0, 1, 0, 1, 0, 0])).toEqual(middle);
  });

  test('behind the camera there is nothing to see', () => {
    const eye = [0, 1, 2].map((axis) => -2.5 * camera.extrinsics[8 + axis]!);
    const { alpha } = renderGaussians(gaussian({ positions: Float32Array.from(eye) }), camera, {
      size: 32,
    });
    expect(alpha.every((a) => a === 0)).toBe(true);
  });

  test('no Gaussians leave the background; supersampling keeps it', () => {
    const empty = gaussian({
      count: 0,
      positions: new Float32Array(0),
      scales: new Float32Array(0),
      rotations: new Float32Array(0),
      opacities: new Float32Array(0),
      harmonics: new Float32Array(0),
    });
    const { color, size } = renderGaussians(empty, camera, {
      size: 8,
      ssaa: 2,
      background: [0.25, 0.5, 1],
    });
    expect(size).toBe(8);
    expect(color.length).toBe(192);
    color.forEach((v, i) => expect(v).toBeCloseTo([0.25, 0.5, 1][i % 3]!, 6));
  });

  test('rejects what does not fit', () => {
    expect(() => renderGaussians(gaussian(), camera, { size: 0 })).toThrow(
      'renderGaussians: size must be an integer of at least 1, got 0.',
    );
    expect(() => renderGaussians(gaussian(), camera, { ssaa: 1000 })).toThrow('at most 16384');
    expect(() => renderGaussians(gaussian({ scales: new Float32Array(2) }), camera)).toThrow(
      'renderGaussians: scales must be [1, 3], got 2 numbers.',
    );
    expect(() => renderGaussians(gaussian(), camera, { colors: new Float32Array(1) })).toThrow(
      'renderGaussians: colors must be [1, 3], got 1 numbers.',
    );
  });
});

test('the reference chair is red from every side', async () => {
  const path = new URL('../../../testdata/tiny-reference.safetensors', import.meta.url);
  const file = await openSafetensors(bytesSource(await readFile(path)));
  const read = async (name: string): Promise<Float32Array> =>
    (await file.read(`gs_${name}_every5`)).data as Float32Array;
  const colors = await read('rgb');
  const gaussians: Gaussians = {
    kind: 'gaussians',
    count: colors.length / 3,
    positions: await read('xyz'),
    scales: await read('scale'),
    rotations: await read('quat'),
    opacities: await read('opacity'),
    harmonics: colors.map((v) => (v - 0.5) / C0),
  };
  for (const view of snapshotCameras()) {
    const { color, alpha } = renderGaussians(gaussians, view, { size: 96 });
    const covered = alpha.reduce((sum, a) => sum + a, 0) / alpha.length;
    const sums = [0, 0, 0];
    color.forEach((v, i) => (sums[i % 3] = sums[i % 3]! + v));
    expect(covered).toBeGreaterThan(0.05);
    expect(covered).toBeLessThan(0.3);
    expect(sums[0]!).toBeGreaterThan(3 * sums[1]!);
    expect(sums[0]!).toBeGreaterThan(3 * sums[2]!);
  }
});
