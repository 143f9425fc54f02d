/** Triangle meshes as typed arrays, and the checks and normals that every user of them needs. */
import { InputError, ShapeError } from '@pergola/core';

/** An indexed triangle mesh. World axes: right-handed, z up, the asset within `[-0.5, 0.5]^3`. */
export interface Mesh {
  readonly kind: 'mesh';
  /** `[V, 3]` positions. */
  readonly vertices: Float32Array;
  /** `[F, 3]` vertex numbers, counter-clockwise seen from outside. */
  readonly faces: Uint32Array;
  /** `[V, 3]` display (sRGB) colours in `[0, 1]`, or null. */
  readonly colors: Float32Array | null;
  /** `[V, 3]` normals that a network predicted, stored as `(n + 1) / 2` in `[0, 1]`, or null. */
  readonly normals: Float32Array | null;
}

/**
 * Checks lengths and indices.
 *
 * @throws ShapeError when an array is not a list of triples or disagrees with the vertex count.
 * @throws InputError when a face names a vertex that does not exist, or a position is not finite.
 */
export function checkMesh(who: string, mesh: Mesh): void {
  const { vertices, faces, colors, normals } = mesh;
  for (const [name, array] of [
    ['vertices', vertices],
    ['faces', faces],
  ] as const) {
    if (array.length % 3 !== 0) {
      throw new ShapeError(`${who}: ${name} must hold triples, got ${array.length} numbers.`);
    }
  }
  for (const [name, array] of [
    ['colors', colors],
    ['normals', normals],
  ] as const) {
    if (array !== null && array.length !== vertices.length) {
      throw new ShapeError(
        `${who}: ${name} must hold ${vertices.length} numbers like vertices, got ${array.length}.`,
      );
    }
  }
  const count = vertices.length / 3;
  for (let i = 0; i < faces.length; i++) {
    if (faces[i]! >= count) {
      throw new InputError(
        `${who}: faces must name vertices below ${count}, got ${faces[i]} in face ${Math.floor(i / 3)}.`,
      );
    }
  }
  for (let i = 0; i < vertices.length; i++) {
    if (!Number.isFinite(vertices[i]!)) {
      throw new InputError(
        `${who}: vertices must be finite, got ${vertices[i]} in vertex ${Math.floor(i / 3)}.`,
      );
    }
  }
}

/**
 * Unit normals of the surface at its vertices: the sum of the face normals around a vertex, each weighted by its area.
 *
 * @returns `[V, 3]`; `(0, 0, 1)` where no face with an area touches the vertex.
 */
export function vertexNormals(vertices: Float32Array, faces: Uint32Array): Float32Array {
  // f64 sums: tiny faces (areas near 1e-5) would lose digits in f32.
  const sums = new Float64Array(vertices.length);
  for (let f = 0; f < faces.length; f += 3) {
    const a = faces[f]! * 3;
    const b = faces[f + 1]! * 3;
    const c = faces[f + 2]! * 3;
    const ux = vertices[b]! - vertices[a]!;
    const uy = vertices[b + 1]! - vertices[a + 1]!;
    const uz = vertices[b + 2]! - vertices[a + 2]!;
    const vx = vertices[c]! - vertices[a]!;
    const vy = vertices[c + 1]! - vertices[a + 1]!;
    const vz = vertices[c + 2]! - vertices[a + 2]!;
    // The cross product's length is twice the area, so plain sums are area weighted.
    const nx = uy * vz - uz * vy;
    const ny = uz * vx - ux * vz;
    const nz = ux * vy - uy * vx;
    addNormal(sums, a, nx, ny, nz);
    addNormal(sums, b, nx, ny, nz);
    addNormal(sums, c, nx, ny, nz);
  }
  const normals = new Float32Array(vertices.length);
  for (let i = 0; i < normals.length; i += 3) {
    // Squares of sums above 1e-30 are in range, so `Math.hypot`, which takes ten times as long, is not needed.
    const length = Math.sqrt(sums[i]! ** 2 + sums[i + 1]! ** 2 + sums[i + 2]! ** 2);
    if (length > 1e-30) {
      normals[i] = sums[i]! / length;
      normals[i + 1] = sums[i + 1]! / length;
      normals[i + 2] = sums[i + 2]! / length;
    } else {
      normals[i + 2] = 1;
    }
  }
  return normals;
}

function addNormal(sums: Float64Array, at: number, x: number, y: number, z: number): void {
  sums[at] = sums[at]! + x;
  sums[at + 1] = sums[at + 1]! + y;
  sums[at + 2] = sums[at + 2]! + z;
}
