import { validateBytes } from 'gltf-validator';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';
import { describe, expect, test } from 'vitest';
import { extractMesh, linearFromSrgb, writeGlb, type Mesh } from '@pergola/trellis';
import { synthInput } from '../../../testdata/synthetic.ts';

/** A solid tetrahedron. */
const tetrahedron: Mesh = {
  kind: 'mesh',
  vertices: Float32Array.of(0, 0, 0, 0.5, 0, 0, 0, 0.25, 0, 0, 0, 0.125),
  faces: Uint32Array.of(0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3),
  colors: Float32Array.of(1, 0, 0, 0, 0.5, 0, 0.2, 0.2, 0.2, 1, 1, 1),
  normals: null,
};

/** A field of random distances: open borders, thin sheets, every cube case. */
function roughMesh(): Mesh {
  const resolution = 8;
  const coords: number[] = [];
  for (let x = 0; x < 8; x++) {
    for (let y = 0; y < 8; y++) for (let z = 0; z < 8; z++) coords.push(x, y, z);
  }
  return extractMesh(Int32Array.from(coords), synthInput('rough', [512, 101]), { resolution });
}

describe('writeGlb', () => {
  test.each([
    ['tetrahedron', tetrahedron],
    ['rough surface', roughMesh()],
    [
      'no colours, a loose vertex and a collapsed face',
      {
        ...tetrahedron,
        vertices: Float32Array.of(...tetrahedron.vertices, 3, 3, 3),
        faces: Uint32Array.of(...tetrahedron.faces, 1, 1, 2),
        colors: null,
      },
    ],
  ])('the validator accepts: %s', async (_, mesh) => {
    const report = await validateBytes(await writeGlb(mesh));
    expect(
      report.issues.messages.filter(({ code }) => code !== 'ACCESSOR_INDEX_TRIANGLE_DEGENERATE'),
    ).toEqual([]);
    expect(report.issues.numErrors + report.issues.numWarnings).toBe(0);
    expect(report.info.totalVertexCount).toBe(mesh.vertices.length / 3);
    expect(report.info.totalTriangleCount).toBe(mesh.faces.length / 3);
  });

  test('three.js loads what was meant', async () => {
    const bytes = await writeGlb(tetrahedron, { name: 'tetra' });
    const { scene } = await new GLTFLoader().parseAsync(bytes.slice().buffer, '');
    let found = 0;
    scene.traverse((object) => {
      if (object.isMesh !== true) return;
      found++;
      const { index, attributes } = object.geometry;
      expect(Array.from(index.array)).toEqual([...tetrahedron.faces]);
      expect(index.array).toBeInstanceOf(Uint32Array);
      expect(Array.from(attributes['position']!.array)).toEqual([
        0, 0, -0, 0.5, 0, -0, 0, 0, -0.25, 0, 0.125, -0,
      ]);
      const colors = Array.from(attributes['color']!.array);
      expect(colors[0]).toBe(1);
      expect(colors[4]).toBeCloseTo(0.21404, 5);
      const normals = Array.from(attributes['normal']!.array);
      for (let v = 0; v < 12; v += 3) {
        expect(Math.hypot(...normals.slice(v, v + 3))).toBeCloseTo(1, 6);
      }
      // The tip that points up in the world points up in the file.
      expect(normals[10]).toBeGreaterThan(0.8);
      expect(object.material).toMatchObject({ metalness: 0, roughness: 1, vertexColors: true });
    });
    expect(found).toBe(1);
  });

  test('rejects what glTF cannot hold', async () => {
    const none = { ...tetrahedron, faces: new Uint32Array(0) };
    await expect(writeGlb(none)).rejects.toThrow('must have a face at least, got 4 vertices and 0');
    const stray = { ...tetrahedron, faces: Uint32Array.of(0, 1, 4) };
    await expect(writeGlb(stray)).rejects.toThrow('must name vertices below 4, got 4 in face 0.');
    const bad = { ...tetrahedron, vertices: tetrahedron.vertices.slice().fill(Infinity, 3, 4) };
    await expect(writeGlb(bad)).rejects.toThrow('must be finite, got Infinity in vertex 1.');
    const short = { ...tetrahedron, colors: new Float32Array(3) };
    await expect(writeGlb(short)).rejects.toThrow('colors must hold 12 numbers like vertices');
  });
});

test('sRGB to linear light', () => {
  expect([0, 1, -1, 2].map(linearFromSrgb)).toEqual([0, 1, 0, 1]);
  expect(linearFromSrgb(0.04045)).toBeCloseTo(0.0031308, 7);
  expect(linearFromSrgb(0.5)).toBeCloseTo(0.2140411, 7);
});
