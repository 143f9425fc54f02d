import {
  cameraPosition,
  downsampleImage,
  hammersleyCameras,
  orbitCamera,
  projectionMatrix,
  quantizeColors,
  snapshotCameras,
  turntableCameras,
  type Camera,
} from '@pergola/trellis';
import { describe, expect, test } from 'vitest';

function expectMatrix(actual: Float32Array, expected: number[], digits = 6): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((v, i) => expect(actual[i]).toBeCloseTo(v, digits));
}

/** Where a camera stands, as yaw, pitch and distance. */
function place(camera: Camera): number[] {
  const [x, y, z] = cameraPosition(camera);
  const radius = Math.hypot(x!, y!, z!);
  return [Math.atan2(x!, y!), Math.asin(z! / radius), radius];
}

describe('orbitCamera', () => {
  test('from +y', () => {
    const camera = orbitCamera({ yaw: 0, pitch: 0 });
    // Looking along -y: right is -x, down is -z.
    expectMatrix(camera.extrinsics, [-1, 0, 0, 0, 0, 0, -1, 0, 0, -1, 0, 2, 0, 0, 0, 1]);
    expect(camera.fov).toBeCloseTo((40 * Math.PI) / 180, 12);
  });

  test('from +x', () => {
    const camera = orbitCamera({ yaw: Math.PI / 2, pitch: 0, radius: 3 });
    expectMatrix(camera.extrinsics, [0, 1, 0, 0, 0, 0, -1, 0, -1, 0, 0, 3, 0, 0, 0, 1]);
  });

  test('from 45 degrees above', () => {
    const camera = orbitCamera({ yaw: 0, pitch: Math.PI / 4, radius: 1 });
    const r = Math.SQRT1_2;
    expectMatrix(camera.extrinsics, [-1, 0, 0, 0, 0, r, -r, 0, 0, -r, -r, 1, 0, 0, 0, 1]);
  });

  test('straight from below the picture is not turned over', () => {
    const [camera] = hammersleyCameras(30);
    expectMatrix(camera!.extrinsics, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1]);
  });

  test('rejects impossible cameras', () => {
    const orbit = { yaw: 0, pitch: 0 };
    expect(() => orbitCamera({ ...orbit, radius: 0 })).toThrow('radius must be a positive number');
    expect(() => orbitCamera({ ...orbit, fov: 4 })).toThrow(
      'fov must lie between 0 and pi, got 4.',
    );
    expect(() => orbitCamera({ yaw: Number.NaN, pitch: 0 })).toThrow('must be finite, got NaN');
  });
});

test('projection', () => {
  const camera = orbitCamera({ yaw: 0, pitch: 0, fov: Math.PI / 2 });
  const far = 100 / 99;
  expectMatrix(projectionMatrix(camera, 1, 100), [
    ...[1, 0, 0, 0],
    ...[0, 1, 0, 0],
    ...[0, 0, far, -far],
    ...[0, 0, 1, 0],
  ]);
});

describe('paths', () => {
  test('snapshots', () => {
    const cameras = snapshotCameras();
    cameras.forEach((camera, i) => {
      const [yaw, pitch, radius] = place(camera);
      const expected = ((90 * i - 16) * Math.PI) / 180;
      expect(Math.cos(yaw! - expected)).toBeCloseTo(1, 6);
      expect(pitch).toBeCloseTo((20 * Math.PI) / 180, 5);
      expect(radius).toBeCloseTo(10, 4);
      expect(camera.fov).toBeCloseTo((8 * Math.PI) / 180, 12);
    });
    expect(cameras.length).toBe(4);
  });

  test('Hammersley views', () => {
    const cameras = hammersleyCameras(8);
    const inverse = [0, 0.5, 0.25, 0.75, 0.125, 0.625, 0.375, 0.875];
    cameras.slice(1).forEach((camera, i) => {
      const [yaw, pitch, radius] = place(camera);
      expect(Math.cos(yaw! - 2 * Math.PI * inverse[i + 1]!)).toBeCloseTo(1, 5);
      expect(pitch).toBeCloseTo(Math.acos(1 - (2 * (i + 1)) / 8) - Math.PI / 2, 5);
      expect(radius).toBeCloseTo(2, 5);
    });
  });

  test('turntable', () => {
    const cameras = turntableCameras(5);
    expect(place(cameras[0]!)[1]).toBeCloseTo(0.25, 5);
    expect(place(cameras[1]!)[1]).toBeCloseTo(0.75, 5);
    expect(place(cameras[3]!)[1]).toBeCloseTo(-0.25, 4);
    expect(place(cameras[4]!)[0]).toBeCloseTo(6.283 - 2 * Math.PI, 4);
    expect(turntableCameras(1).length).toBe(1);
  });
});

describe('downsampleImage', () => {
  test('weights of factor 4', () => {
    const size = 16;
    // One bright column at a time shows the weight of that column in each output.
    const weights = Array.from({ length: size }, (_, column) => {
      const data = new Float32Array(size * size);
      for (let row = 0; row < size; row++) data[row * size + column] = 32;
      return downsampleImage(data, size, 1, 4)[5]!;
    });
    weights
      .slice(2, 10)
      .forEach((weight, i) => expect(weight).toBeCloseTo([1, 3, 5, 7, 7, 5, 3, 1][i]!, 5));
    expect(weights.filter((weight) => weight !== 0).length).toBe(8);
  });

  test.each([1, 2, 3, 4])('factor %d keeps a constant and a ramp', (factor) => {
    const size = 6 * factor;
    const data = new Float32Array(size * size * 2);
    for (let i = 0; i < size * size; i++) {
      data[i * 2] = 0.7;
      data[i * 2 + 1] = Math.floor(i / size) + 0.5;
    }
    const out = downsampleImage(data, size, 2, factor);
    expect(out.length).toBe(72);
    for (let i = 0; i < 36; i++) {
      expect(out[i * 2]).toBeCloseTo(0.7, 6);
      const row = Math.floor(i / 6);
      if (row > 0 && row < 5) expect(out[i * 2 + 1]! / factor).toBeCloseTo(row + 0.5, 5);
    }
  });
});

test('8-bit values are clamped and truncated', () => {
  const values = Float32Array.of(-1, 0, 0.5, 0.999, 1, 7, Number.NaN);
  expect([...quantizeColors(values)]).toEqual([0, 0, 127, 254, 255, 255, 0]);
});
