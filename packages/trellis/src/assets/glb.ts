/** Meshes as GLB (binary glTF 2.0) with vertex colours. */
import { InputError } from '@pergola/core';
import { checkMesh, vertexNormals, type Mesh } from './mesh.ts';

/** Options of `writeGlb`. */
export interface GlbOptions {
  /** Name of the node, mesh and material in the file. Default 'asset'. */
  readonly name: string;
}

export const GLB_DEFAULTS: GlbOptions = { name: 'asset' };

/**
 * Writes a mesh as one GLB primitive.
 *
 * - Axes turn from z up to y up: `(x, z, -y)`.
 * - Colours become linear light, as glTF wants vertex colours; the mesh holds them as displayed (sRGB).
 * - Normals are those of the surface, averaged by area. The normals that a decoder predicts are not used: the surface
 *   was moved since, and shading by them shows seams where the two disagree.
 * - The material is rough and not metallic. The published tools leave `metallicFactor` out, which means 1 in glTF, and
 *   their assets render as metal; here it is 0.
 *
 * @returns the bytes of the file.
 * @throws InputError for a mesh without vertices or faces (glTF cannot hold one), ShapeError for a malformed one.
 */
export async function writeGlb(mesh: Mesh, options: Partial<GlbOptions> = {}): Promise<Uint8Array> {
  const { name } = { ...GLB_DEFAULTS, ...options };
  checkMesh('writeGlb', mesh);
  if (mesh.vertices.length === 0 || mesh.faces.length === 0) {
    throw new InputError(
      `writeGlb: mesh must have a face at least, got ${mesh.vertices.length / 3} vertices and ${mesh.faces.length / 3} faces.`,
    );
  }
  const count = mesh.vertices.length / 3;
  const positions = yUp(mesh.vertices);
  const vectors = { type: 'VEC3', componentType: FLOAT, count, target: VERTICES } as const;
  return encodeGlb(name, [
    { ...vectors, data: positions, attribute: 'POSITION', ...extent(positions) },
    { ...vectors, data: yUp(vertexNormals(mesh.vertices, mesh.faces)), attribute: 'NORMAL' },
    ...(mesh.colors === null
      ? []
      : [{ ...vectors, data: mesh.colors.map(linearFromSrgb), attribute: 'COLOR_0' }]),
    {
      type: 'SCALAR',
      componentType: UNSIGNED_INT,
      count: mesh.faces.length,
      target: INDICES,
      data: mesh.faces,
    },
  ]);
}

// Constants of glTF 2.0, sections 4.4 and 5.
const FLOAT = 5126;
const UNSIGNED_INT = 5125;
const VERTICES = 34962;
const INDICES = 34963;
const GLB_MAGIC = 0x46546c67;
const JSON_CHUNK = 0x4e4f534a;
const BINARY_CHUNK = 0x004e4942;

/** An array of the file, and what its accessor says of it. */
interface GlbArray {
  readonly data: Float32Array | Uint32Array;
  /** Name of the vertex attribute; none for the indices. */
  readonly attribute?: string;
  readonly type: string;
  readonly componentType: number;
  readonly count: number;
  readonly target: number;
  readonly min?: readonly number[];
  readonly max?: readonly number[];
}

/** A file of one node with one primitive, its arrays one after the other, the indices last. */
function encodeGlb(name: string, arrays: readonly GlbArray[]): Uint8Array {
  const attributes = arrays.flatMap(({ attribute }, at) =>
    attribute === undefined ? [] : [[attribute, at]],
  );
  let byteOffset = 0;
  const bufferViews = arrays.map(({ data: { byteLength }, target }) => {
    const view = { buffer: 0, byteOffset, byteLength, target };
    byteOffset += byteLength;
    return view;
  });
  const document = {
    asset: { generator: 'Pergola', version: '2.0' },
    scene: 0,
    scenes: [{ name, nodes: [0] }],
    nodes: [{ name, mesh: 0 }],
    meshes: [
      {
        name,
        primitives: [
          {
            attributes: Object.fromEntries(attributes) as Record<string, number>,
            indices: arrays.length - 1,
            material: 0,
          },
        ],
      },
    ],
    materials: [{ name, pbrMetallicRoughness: { metallicFactor: 0, roughnessFactor: 1 } }],
    accessors: arrays.map(({ type, componentType, count, min, max }, bufferView) => ({
      bufferView,
      componentType,
      count,
      type,
      min,
      max,
    })),
    bufferViews,
    buffers: [{ byteLength: byteOffset }],
  };
  const json = new TextEncoder().encode(JSON.stringify(document));
  const jsonLength = Math.ceil(json.length / 4) * 4;
  const start = 20 + jsonLength + 8;
  const file = new Uint8Array(start + byteOffset);
  const view = new DataView(file.buffer);
  const words = [GLB_MAGIC, 2, file.length, jsonLength, JSON_CHUNK];
  words.forEach((word, at) => view.setUint32(at * 4, word, true));
  // Text is padded with spaces.
  file.fill(0x20, 20, start - 8).set(json, 20);
  view.setUint32(start - 8, byteOffset, true);
  view.setUint32(start - 4, BINARY_CHUNK, true);
  arrays.forEach(({ data }, at) => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    file.set(bytes, start + bufferViews[at]!.byteOffset);
  });
  return file;
}

/** Least and greatest coordinates, which glTF wants for positions. */
function extent(rows: Float32Array): { min: number[]; max: number[] } {
  const min = [Infinity, Infinity, Infinity];
  const max = [-Infinity, -Infinity, -Infinity];
  for (let axis = 0; axis < 3; axis++) {
    for (let at = axis; at < rows.length; at += 3) {
      min[axis] = Math.min(min[axis]!, rows[at]!);
      max[axis] = Math.max(max[axis]!, rows[at]!);
    }
  }
  return { min, max };
}

/** Rows `(x, y, z)` become `(x, z, -y)`. */
function yUp(rows: Float32Array): Float32Array {
  const out = new Float32Array(rows.length);
  for (let i = 0; i < rows.length; i += 3) {
    out[i] = rows[i]!;
    out[i + 1] = rows[i + 2]!;
    out[i + 2] = -rows[i + 1]!;
  }
  return out;
}

/**
 * Linear light of a display value, both in `[0, 1]`; values outside are clamped.
 *
 * @see IEC 61966-2-1 (sRGB)
 */
export function linearFromSrgb(value: number): number {
  const v = Math.min(Math.max(value, 0), 1);
  // The power by logarithm: half the time of `**`, and the same f32.
  return v <= 0.04045 ? v / 12.92 : Math.exp(2.4 * Math.log((v + 0.055) / 1.055));
}
