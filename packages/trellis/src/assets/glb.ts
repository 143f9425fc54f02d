/** Meshes as GLB (binary glTF 2.0) with vertex colours. */
import { Document, VertexLayout, WebIO } from '@gltf-transform/core';
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
  const document = new Document();
  document.getRoot().getAsset().generator = 'Pergola';
  const buffer = document.createBuffer();
  const attribute = (array: Float32Array) =>
    document.createAccessor().setType('VEC3').setArray(plain(array)).setBuffer(buffer);

  const primitive = document
    .createPrimitive()
    .setIndices(
      document
        .createAccessor()
        .setType('SCALAR')
        .setArray(new Uint32Array(mesh.faces))
        .setBuffer(buffer),
    )
    .setAttribute('POSITION', attribute(yUp(mesh.vertices)))
    .setAttribute('NORMAL', attribute(yUp(vertexNormals(mesh.vertices, mesh.faces))))
    .setMaterial(document.createMaterial(name).setMetallicFactor(0).setRoughnessFactor(1));
  if (mesh.colors !== null) {
    primitive.setAttribute('COLOR_0', attribute(mesh.colors.map(linearFromSrgb)));
  }
  const node = document.createNode(name).setMesh(document.createMesh(name).addPrimitive(primitive));
  document.getRoot().setDefaultScene(document.createScene(name).addChild(node));
  return new WebIO().setVertexLayout(VertexLayout.SEPARATE).writeBinary(document);
}

/** The same numbers over a plain `ArrayBuffer`, which the writer wants; no copy when they already are. */
function plain(array: Float32Array): Float32Array<ArrayBuffer> {
  return array.buffer instanceof ArrayBuffer
    ? (array as Float32Array<ArrayBuffer>)
    : new Float32Array(array);
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
