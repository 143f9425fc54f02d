import {
  cameraPosition,
  orbitCamera,
  renderMesh,
  vertexNormals,
  voxelMesh,
  type Camera,
  type Mesh,
} from '@pergola/trellis';
import { describe, expect, test } from 'vitest';
import { unitValues } from '../../../testdata/synthetic.ts';

/** Looks along -y: picture x is -x, picture y is -z. */
const front = orbitCamera({ yaw: 0, pitch: 0 });

function mesh(vertices: number[], faces: number[], colors: number[] | null = null): Mesh {
  return {
    kind: 'mesh',
    vertices: Float32Array.from(vertices),
    faces: Uint32Array.from(faces),
    colors: colors === null ? null : Float32Array.from(colors),
    normals: null,
  };
}

/** Direction of the ray through a pixel's centre; its component along the view axis is 1. */
function pixelRay(camera: Camera, size: number, px: number, py: number): number[] {
  const m = camera.extrinsics;
  const tangent = Math.tan(camera.fov / 2);
  const u = ((2 * px + 1) / size - 1) * tangent;
  const v = ((2 * py + 1) / size - 1) * tangent;
  return [0, 1, 2].map((axis) => u * m[axis]! + v * m[4 + axis]! + m[8 + axis]!);
}

/** Depth at which the default near plane cuts: where z = -w. */
const NEAR = 100 / 199;

/** Nearest hit of a ray: depth and the two edge weights of its triangle, or undefined. */
function trace(
  { vertices, faces }: Mesh,
  origin: Float64Array,
  ray: number[],
): { depth: number; face: number; weights: number[] } | undefined {
  const cross = (a: number[], b: number[]): number[] => [
    a[1]! * b[2]! - a[2]! * b[1]!,
    a[2]! * b[0]! - a[0]! * b[2]!,
    a[0]! * b[1]! - a[1]! * b[0]!,
  ];
  const dot = (a: number[], b: number[]): number => a[0]! * b[0]! + a[1]! * b[1]! + a[2]! * b[2]!;
  let best: { depth: number; face: number; weights: number[] } | undefined;
  for (let f = 0; f < faces.length / 3; f++) {
    const [a, b, c] = [0, 1, 2].map((i) =>
      Array.from(vertices.subarray(faces[f * 3 + i]! * 3, faces[f * 3 + i]! * 3 + 3)),
    ) as [number[], number[], number[]];
    const ab = b.map((v, k) => v - a[k]!);
    const ac = c.map((v, k) => v - a[k]!);
    const p = cross(ray, ac);
    const det = dot(ab, p);
    const s = [...origin].map((v, k) => v - a[k]!);
    const u = dot(s, p) / det;
    const q = cross(s, ab);
    const v = dot(ray, q) / det;
    const depth = dot(ac, q) / det;
    if (u < 0 || v < 0 || u + v > 1 || depth < NEAR) continue;
    if (best === undefined || depth < best.depth)
      best = { depth, face: f, weights: [1 - u - v, u, v] };
  }
  return best;
}

describe('renderMesh', () => {
  test('a triangle covers the pixels whose centres lie in it', () => {
    // At depth 2 a world unit is size / (4 tan(20 deg)) pixels.
    const size = 32;
    const unit = (4 * Math.tan((20 * Math.PI) / 180)) / size;
    const at = (px: number, py: number): number[] => [(16 - px) * unit, 0, (16 - py) * unit];
    const triangle = mesh([...at(4, 4), ...at(12, 4), ...at(4, 12)], [0, 1, 2]);
    const { alpha, depth, normal } = renderMesh(triangle, front, { size, ssaa: 1 });
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        // The long side runs through pixel centres x + y = 15; as a right side it excludes them.
        const inside = x >= 4 && y >= 4 && x + y < 15;
        const pixel = y * size + x;
        expect([x, y, alpha[pixel]]).toEqual([x, y, inside ? 1 : 0]);
        expect(depth[pixel]).toBeCloseTo(inside ? 2 : 0, 5);
        // Wound clockwise as seen: the normal points away along -y.
        expect(normal[pixel * 3 + 1]).toBeCloseTo(inside ? 0 : 0.5, 5);
      }
    }
  });

  test('neighbours share no pixel and leave no gap', () => {
    const corners = Array.from(unitValues('fan', 14), (v) => 0.3 * v);
    const fan: number[] = [0, 0, 0.01];
    for (let i = 0; i < 7; i++) {
      const angle = (2 * Math.PI * i) / 7;
      fan.push(
        0.9 * Math.cos(angle) + 0.2 * corners[i * 2]!,
        0.3 * corners[i * 2 + 1]!,
        0.9 * Math.sin(angle),
      );
    }
    const size = 61;
    const count = new Float32Array(size * size);
    const faces: number[] = [];
    for (let i = 0; i < 7; i++) {
      const face = [0, 1 + i, 1 + ((i + 1) % 7)];
      faces.push(...face);
      const { alpha } = renderMesh(mesh(fan, face), front, { size, ssaa: 1 });
      alpha.forEach((a, pixel) => (count[pixel] = count[pixel]! + a));
    }
    expect(Math.max(...count)).toBe(1);
    expect([...renderMesh(mesh(fan, faces), front, { size, ssaa: 1 }).alpha]).toEqual([...count]);
    // All pixels near the middle are covered.
    for (let y = 20; y < 40; y++) for (let x = 20; x < 40; x++) expect(count[y * size + x]).toBe(1);
  });

  test.each([
    [2, 1],
    // So near that triangles reach behind the camera.
    [0.7, 0.4],
  ])('equals ray casting from a distance of %f', (radius, spread) => {
    const size = 40;
    const camera = orbitCamera({ yaw: 0.7, pitch: 0.5, radius, fov: 1.2 });
    const count = 24;
    const soup = mesh(
      Array.from(unitValues('soup', count * 9), (v) => spread * v),
      Array.from({ length: count * 3 }, (_, i) => i),
      Array.from(unitValues('soupColor', count * 9), (v) => 0.5 + 0.5 * v),
    );
    const { color, alpha, depth } = renderMesh(soup, camera, {
      size,
      ssaa: 1,
      background: [0, 0, 0.5],
    });
    const eye = cameraPosition(camera);
    let different = 0;
    let covered = 0;
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const pixel = y * size + x;
        const hit = trace(soup, eye, pixelRay(camera, size, x, y));
        covered += alpha[pixel]!;
        const expected = [0, 1, 2].map((c) =>
          hit === undefined
            ? [0, 0, 0.5][c]!
            : hit.weights.reduce((s, w, k) => s + w * soup.colors![hit.face * 9 + k * 3 + c]!, 0),
        );
        const same =
          Math.abs(depth[pixel]! - (hit?.depth ?? 0)) < 1e-3 &&
          expected.every((v, c) => Math.abs(v - color[pixel * 3 + c]!) < 1e-3);
        if (!same) different++;
      }
    }
    expect(covered).toBeGreaterThan(400);
    // Corners are snapped, so a few pixels on edges may go to the neighbour.
    expect(different).toBeLessThan(16);
  });

  test('supersampling averages the border', () => {
    const half = mesh(
      [0, 0, -3, 0, 0, 3, -3, 0, 3, -3, 0, -3],
      [0, 1, 2, 0, 2, 3],
      new Array(12).fill(1),
    );
    const { color, alpha } = renderMesh(half, front, { size: 9, ssaa: 4 });
    // The border runs down the middle of column 4; the filter is wider than a pixel.
    const row = [...alpha.subarray(4 * 9, 5 * 9)];
    expect(row.slice(0, 3)).toEqual([0, 0, 0]);
    expect(row[4]).toBeCloseTo(0.5, 5);
    expect(row[3]! + row[5]!).toBeCloseTo(1, 5);
    row.slice(6).forEach((v) => expect(v).toBeCloseTo(1, 5));
    expect(color[4 * 27 + 12]).toBeCloseTo(0.5, 5);
  });

  test('light follows the normals', () => {
    const sphere = voxelMesh({ kind: 'voxels', coords: Int32Array.of(1, 1, 1), resolution: 3 });
    const camera = orbitCamera({ yaw: 0.5, pitch: 0.6 });
    const lit = (shading: 'none' | 'flat' | 'smooth'): number[] => {
      const { color, alpha } = renderMesh(sphere, camera, { size: 40, ssaa: 1, shading });
      const blues = [...alpha].flatMap((a, i) => (a === 1 ? [color[i * 3 + 2]!] : []));
      return [...new Set(blues.map((v) => v.toFixed(4)))].map(Number).sort((a, b) => a - b);
    };
    expect(lit('none')).toEqual([0.88]);
    // Three sides of the cube, each in its own light; corners are not shared, so smooth is the same.
    expect(lit('flat').length).toBe(3);
    expect(lit('smooth')).toEqual(lit('flat'));
    // Seen from behind, a face is as bright as from the front.
    const quad = [-1, 0, -1, 1, 0, -1, 1, 0, 1, -1, 0, 1];
    const there = renderMesh(mesh(quad, [0, 1, 2, 0, 2, 3]), front, { size: 4, shading: 'flat' });
    const back = renderMesh(mesh(quad, [0, 2, 1, 0, 3, 2]), front, { size: 4, shading: 'flat' });
    expect([...back.color]).toEqual([...there.color]);
    expect(back.normal[1]).toBeCloseTo(1 - there.normal[1]!, 6);
  });

  test('an empty mesh leaves the background', () => {
    const { color, alpha } = renderMesh(mesh([], []), front, { size: 4, background: [1, 1, 1] });
    expect(color.every((v) => Math.abs(v - 1) < 1e-6)).toBe(true);
    expect(alpha.every((v) => v === 0)).toBe(true);
  });
});

describe('voxelMesh', () => {
  const volume = ({ vertices, faces }: Mesh): number => {
    let sum = 0;
    for (let f = 0; f < faces.length; f += 3) {
      const [a, b, c] = [0, 1, 2].map((i) =>
        vertices.subarray(faces[f + i]! * 3, faces[f + i]! * 3 + 3),
      ) as [Float32Array, Float32Array, Float32Array];
      sum +=
        a[0]! * (b[1]! * c[2]! - b[2]! * c[1]!) +
        a[1]! * (b[2]! * c[0]! - b[0]! * c[2]!) +
        a[2]! * (b[0]! * c[1]! - b[1]! * c[0]!);
    }
    return sum / 6;
  };

  test('one voxel is a cube in its place, faces outwards', () => {
    const cube = voxelMesh({ kind: 'voxels', coords: Int32Array.of(3, 0, 1), resolution: 4 });
    expect(cube.faces.length).toBe(36);
    expect(volume(cube)).toBeCloseTo(1 / 64, 6);
    for (let axis = 0; axis < 3; axis++) {
      const values = cube.vertices.filter((_, i) => i % 3 === axis);
      expect(Math.min(...values)).toBe([0.25, -0.5, -0.25][axis]);
      expect(Math.max(...values)).toBe([0.5, -0.25, 0][axis]);
    }
    const normals = vertexNormals(cube.vertices, cube.faces);
    expect(normals.every((v) => v === 0 || Math.abs(v) === 1)).toBe(true);
  });

  test('faces between voxels are left out', () => {
    const coords = Int32Array.of(7, 8, 8, 8, 8, 8, 8, 9, 8);
    const pair = voxelMesh({ kind: 'voxels', coords, resolution: 16 });
    expect(pair.faces.length / 6).toBe(14);
    expect(volume(pair)).toBeCloseTo(3 / 4096, 7);
  });

  test('rejects coordinates outside the cube', () => {
    expect(() =>
      voxelMesh({ kind: 'voxels', coords: Int32Array.of(0, 4, 0), resolution: 4 }),
    ).toThrow('voxelMesh: coords must lie in 0 to 3, got 4 in row 0.');
  });
});
