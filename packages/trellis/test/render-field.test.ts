import {
  cameraPosition,
  leafCodes,
  orbitCamera,
  renderRadianceField,
  sampleRadianceField,
  type Camera,
  type RadianceField,
} from '@pergola/trellis';
import { describe, expect, test } from 'vitest';
import { unitValues } from '../../../testdata/synthetic.ts';

const C0 = 0.28209479177387814;

function fieldOf(
  coords: number[],
  resolution: number,
  density: number,
  color: number,
): RadianceField {
  const count = coords.length / 3;
  return {
    kind: 'radianceField',
    count,
    resolution,
    rank: 2,
    dim: 8,
    positions: Float32Array.from(coords, (v) => (v + 0.5) / resolution),
    factors: new Float32Array(count * 48).fill(1),
    density: new Float32Array(count * 2).fill(density / 2),
    color: new Float32Array(count * 6).fill(color / 2),
  };
}

/** Unit ray through a pixel's centre. */
function rayOf(camera: Camera, size: number, px: number, py: number): number[] {
  const m = camera.extrinsics;
  const tangent = Math.tan(camera.fov / 2);
  const u = ((2 * px + 1) / size - 1) * tangent;
  const v = ((2 * py + 1) / size - 1) * tangent;
  const ray = [0, 1, 2].map((axis) => u * m[axis]! + v * m[4 + axis]! + m[8 + axis]!);
  return ray.map((c) => c / Math.hypot(...ray));
}

/** Distances at which a ray enters and leaves a leaf, or undefined when it passes by. */
function crossing(
  field: RadianceField,
  leaf: number,
  eye: Float64Array,
  ray: number[],
): [number, number] | undefined {
  let enter = -Infinity;
  let leave = Infinity;
  for (let axis = 0; axis < 3; axis++) {
    const low = field.positions[leaf * 3 + axis]! - 0.5 - 0.5 / field.resolution;
    const a = (low - eye[axis]!) / ray[axis]!;
    const b = (low + 1 / field.resolution - eye[axis]!) / ray[axis]!;
    enter = Math.max(enter, Math.min(a, b));
    leave = Math.min(leave, Math.max(a, b));
  }
  return leave > enter ? [enter, leave] : undefined;
}

describe('renderRadianceField', () => {
  test('a uniform leaf absorbs by the length of the ray in it', () => {
    const field = fieldOf([0, 0, 0], 1, 2, 1);
    const camera = orbitCamera({ yaw: 0, pitch: 0, radius: 3 });
    const size = 33;
    const { color, alpha, depth, medianDepth } = renderRadianceField(field, camera, {
      size,
      background: [0, 1, 0],
    });
    // One unit of density softplus(2), in 16 steps of 1/16.
    const density = Math.log(1 + Math.exp(2));
    const light = Math.exp(-density);
    const pixel = 16 * size + 16;
    expect(alpha[pixel]).toBeCloseTo(1 - light, 5);
    const own = 1 / (1 + Math.exp(-C0));
    expect(color[pixel * 3]).toBeCloseTo(own * (1 - light), 5);
    expect(color[pixel * 3 + 1]).toBeCloseTo(own * (1 - light) + light, 5);
    let weighted = 0;
    let median = 0;
    for (let k = 0; k < 16; k++) {
      const t = 2.5 + (k + 0.5) / 16;
      const before = Math.exp((-density * k) / 16);
      const after = Math.exp((-density * (k + 1)) / 16);
      weighted += t * (before - after);
      if (before >= 0.5 && after < 0.5) median = t;
    }
    expect(depth[pixel]).toBeCloseTo(weighted, 5);
    expect(medianDepth[pixel]).toBeCloseTo(median, 5);
    expect(alpha[0]).toBe(0);
    expect(medianDepth[0]).toBe(0);
  });

  test('equals marching every ray through its own leaves', () => {
    const resolution = 8;
    const coords: number[] = [];
    const chance = unitValues('occupied', 512);
    for (let i = 0; i < 512; i++) {
      if (chance[i]! < -0.4) coords.push(i >> 6, (i >> 3) & 7, i & 7);
    }
    const field = fieldOf(coords, resolution, 0, 0);
    field.density.set(Float32Array.from(unitValues('d', field.density.length), (v) => 4 * v + 2));
    field.color.set(Float32Array.from(unitValues('c', field.color.length), (v) => 6 * v));
    field.factors.set(Float32Array.from(unitValues('f', field.factors.length), (v) => 1 + 0.5 * v));
    const size = 24;
    const camera = orbitCamera({ yaw: 2.2, pitch: 0.4, radius: 1.7 });
    const { color, alpha } = renderRadianceField(field, camera, { size, jitter: 0.25 });
    const eye = cameraPosition(camera);
    const step = 1 / (16 * resolution);
    const sample = new Float64Array(4);
    let worst = 0;
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const ray = rayOf(camera, size, x, y);
        const spans: { leaf: number; span: [number, number] }[] = [];
        for (let leaf = 0; leaf < field.count; leaf++) {
          const span = crossing(field, leaf, eye, ray);
          if (span !== undefined) spans.push({ leaf, span });
        }
        spans.sort((a, b) => a.span[0] - b.span[0]);
        let light = 1;
        const expected = [0, 0, 0];
        for (const { leaf, span } of spans) {
          for (let k = Math.ceil(span[0] / step - 0.25); k <= span[1] / step - 0.25; k++) {
            if (light < 0.001) break;
            const t = (k + 0.25) * step;
            const [u, v, w] = ray.map((d, axis) => {
              const low = field.positions[leaf * 3 + axis]! - 0.5 - 0.5 / resolution;
              return (eye[axis]! + t * d - low) * resolution;
            }) as [number, number, number];
            sampleRadianceField(field, leaf, u, v, w, sample);
            const opacity = Math.min(0.999, 1 - Math.exp(-sample[0]! * step));
            expected.forEach((c, i) => (expected[i] = c + sample[1 + i]! * opacity * light));
            light *= 1 - opacity;
          }
        }
        const pixel = y * size + x;
        worst = Math.max(worst, Math.abs(alpha[pixel]! - (1 - light)));
        expected.forEach((c, i) => {
          worst = Math.max(worst, Math.abs(c - color[pixel * 3 + i]!));
        });
      }
    }
    expect(worst).toBeLessThan(1e-3);
  });

  test('the order of the leaves is front to back along any ray', () => {
    const resolution = 8;
    const coords = Array.from({ length: 512 }, (_, i) => [i >> 6, (i >> 3) & 7, i & 7]).flat();
    const field = fieldOf(coords, resolution, 1, 0);
    const size = 5;
    for (const [i, yaw] of unitValues('yaw', 12).entries()) {
      const camera = orbitCamera({ yaw: 4 * yaw, pitch: 0.13 * (i - 6), radius: 0.9 + 0.2 * i });
      const codes = leafCodes(field, camera);
      const eye = cameraPosition(camera);
      for (let pixel = 0; pixel < size * size; pixel++) {
        const ray = rayOf(camera, size, pixel % size, Math.floor(pixel / size));
        const hits: { code: number; span: [number, number] }[] = [];
        for (let leaf = 0; leaf < field.count; leaf++) {
          const span = crossing(field, leaf, eye, ray);
          // Grazed corners may come in any order: they hold no sample.
          if (span !== undefined && span[0] > 0 && span[1] - span[0] > 1e-5) {
            hits.push({ code: codes[leaf]!, span });
          }
        }
        hits.sort((a, b) => a.code - b.code);
        for (let k = 1; k < hits.length; k++) {
          expect(hits[k]!.span[0]).toBeGreaterThan(hits[k - 1]!.span[0]);
        }
      }
    }
  });

  test('an empty field leaves the background; leaves behind the camera are dropped', () => {
    const camera = orbitCamera({ yaw: 0, pitch: 0, radius: 0.3 });
    const options = { size: 4, background: [0.5, 0.5, 0.5] } as const;
    for (const field of [fieldOf([], 4, 1, 0), fieldOf([1, 3, 1, 2, 3, 2], 4, 9, 0)]) {
      const { color } = renderRadianceField(field, camera, options);
      expect(color.every((v) => v === 0.5)).toBe(true);
    }
  });
});
