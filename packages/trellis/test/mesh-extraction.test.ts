import { readFile } from 'node:fs/promises';
import { bytesSource, openSafetensors, type StorageArray } from '@pergola/core';
import { extractMesh, flexicubesTables, vertexNormals } from '@pergola/trellis';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { synthInput, unitValues } from '../../../testdata/synthetic.ts';

const testdata = new URL('../../../testdata/', import.meta.url);

/** `[N, 101]` records from corner distances and the synthetic other channels. */
function records(sdf: Float32Array, rest: Float32Array): Float32Array {
  const count = sdf.length / 8;
  const features = new Float32Array(count * 101);
  for (let cell = 0; cell < count; cell++) {
    features.set(sdf.subarray(cell * 8, cell * 8 + 8), cell * 101);
    features.set(rest.subarray(cell * 93, cell * 93 + 93), cell * 101 + 8);
  }
  return features;
}

/** Every cell of a grid, with the distances of an analytic field (before the shift of one cell) at the corners. */
function analyticCells(
  resolution: number,
  distance: (x: number, y: number, z: number) => number,
  keep: (distances: number[]) => boolean = () => true,
): { coords: Int32Array; features: Float32Array } {
  const coords: number[] = [];
  const features: number[] = [];
  for (let x = 0; x < resolution; x++) {
    for (let y = 0; y < resolution; y++) {
      for (let z = 0; z < resolution; z++) {
        const distances = Array.from({ length: 8 }, (_, i) =>
          distance(
            (x + (i & 1)) / resolution - 0.5,
            (y + ((i >> 1) & 1)) / resolution - 0.5,
            (z + (i >> 2)) / resolution - 0.5,
          ),
        );
        if (!keep(distances)) continue;
        coords.push(x, y, z);
        features.push(
          ...distances.map((d) => d + 1 / resolution),
          ...new Array<number>(45).fill(0),
        );
      }
    }
  }
  return { coords: Int32Array.from(coords), features: Float32Array.from(features) };
}

const sphere = (x: number, y: number, z: number): number => Math.hypot(x, y, z) - 0.31;

/** Edges whose two faces are not exactly one along each direction, as pairs of vertices. */
function openEdges(faces: Uint32Array): [number, number][] {
  const count = faces.reduce((a, b) => Math.max(a, b), 0) + 1;
  const uses = new Map<number, number>();
  for (let f = 0; f < faces.length; f++) {
    const end = f % 3 === 2 ? f - 2 : f + 1;
    const key = faces[f]! * count + faces[end]!;
    uses.set(key, (uses.get(key) ?? 0) + 1);
  }
  return [...uses]
    .map(([key, times]) => ({ from: Math.floor(key / count), to: key % count, times }))
    .filter(({ from, to, times }) => times !== 1 || uses.get(to * count + from) !== 1)
    .map(({ from, to }) => [from, to]);
}

describe('case tables', () => {
  test('equal the published ones', async () => {
    const published = JSON.parse(
      await readFile(new URL('flexicubes-tables.json', testdata), 'utf8'),
    ) as { num_vd_table: number[]; dmc_table: number[][][]; check_table: number[][] };
    const tables = flexicubesTables();
    expect([...tables.groupCount]).toEqual(published.num_vd_table);
    expect([...tables.groupEdges]).toEqual(published.dmc_table.flat(2));
    const check = Array.from({ length: 256 }, (_, code) => {
      const flag = tables.ambiguous[code]!;
      return [
        flag,
        ...tables.ambiguousStep.subarray(code * 3, code * 3 + 3),
        flag ? 255 - code : 0,
      ];
    });
    expect(check).toEqual(published.check_table);
  });

  test('every crossed edge has one owner', () => {
    const { groupCount, groupEdges, edgeGroup } = flexicubesTables();
    for (let code = 0; code < 256; code++) {
      const owned = new Map<number, number>();
      for (let group = 0; group < groupCount[code]!; group++) {
        for (const edge of groupEdges.subarray(
          (code * 4 + group) * 7,
          (code * 4 + group + 1) * 7,
        )) {
          if (edge >= 0) owned.set(edge, group);
        }
      }
      for (let edge = 0; edge < 12; edge++) {
        expect(edgeGroup[code * 12 + edge]).toBe(owned.get(edge) ?? -1);
      }
    }
  });
});

describe('against the published model', () => {
  let golden: (name: string) => Promise<StorageArray>;
  beforeAll(async () => {
    const bytes = await readFile(new URL('golden/mesh.safetensors', testdata));
    const file = await openSafetensors(bytesSource(bytes));
    golden = async (name) => (await file.read(name)).data;
  });

  test.each([
    ['sphere24', 24],
    ['torus32', 32],
    ['random', 12],
  ])('%s', async (name, resolution) => {
    const coords = (await golden(`${name}/coords`)) as Int32Array;
    const sdf = (await golden(`${name}/sdf`)) as Float32Array;
    const rest = synthInput(`mesh.${name}`, (sdf.length / 8) * 93).map((v) => 0.3 * v);
    const mesh = extractMesh(coords, records(sdf, rest), { resolution });

    // Same numbering of vertices, same order of faces, same diagonal in every quad.
    expect([...mesh.faces]).toEqual([...((await golden(`${name}/faces`)) as Int32Array)]);
    const vertices = (await golden(`${name}/vertices`)) as Float32Array;
    const attributes = (await golden(`${name}/vertex_attrs`)) as Float32Array;
    expect(mesh.vertices.length).toBe(vertices.length);
    let worst = 0;
    let worstAttribute = 0;
    for (let i = 0; i < vertices.length; i++) {
      worst = Math.max(worst, Math.abs(mesh.vertices[i]! - vertices[i]!));
      const at = Math.floor(i / 3) * 6 + (i % 3);
      worstAttribute = Math.max(
        worstAttribute,
        Math.abs(mesh.colors![i]! - attributes[at]!),
        Math.abs(mesh.normals![i]! - attributes[at + 3]!),
      );
    }
    expect(worst).toBeLessThan(1e-5);
    expect(worstAttribute).toBeLessThan(1e-5);
    expect(mesh.success).toBe(true);
  });
});

describe('extractMesh', () => {
  test('a sphere is closed, outward and in place', () => {
    const resolution = 20;
    const { coords, features } = analyticCells(resolution, sphere);
    const mesh = extractMesh(coords, features, { resolution });
    expect(mesh.colors).toBeNull();
    let volume = 0;
    for (let f = 0; f < mesh.faces.length; f += 3) {
      const face = mesh.faces.subarray(f, f + 3);
      const [a, b, c] = [...face].map((v) => mesh.vertices.subarray(v * 3, v * 3 + 3));
      volume +=
        (a![0]! * (b![1]! * c![2]! - b![2]! * c![1]!) +
          a![1]! * (b![2]! * c![0]! - b![0]! * c![2]!) +
          a![2]! * (b![0]! * c![1]! - b![1]! * c![0]!)) /
        6;
    }
    expect(openEdges(mesh.faces)).toEqual([]);
    expect(volume).toBeGreaterThan(0.95 * ((4 / 3) * Math.PI * 0.31 ** 3));
    expect(volume).toBeLessThan((4 / 3) * Math.PI * 0.31 ** 3);
    for (let v = 0; v < mesh.vertices.length; v += 3) {
      const radius = Math.hypot(...mesh.vertices.subarray(v, v + 3));
      expect(Math.abs(radius - 0.31)).toBeLessThan(0.006);
    }
    const normals = vertexNormals(mesh.vertices, mesh.faces);
    for (let v = 0; v < normals.length; v += 3) {
      const along =
        normals[v]! * mesh.vertices[v]! +
        normals[v + 1]! * mesh.vertices[v + 1]! +
        normals[v + 2]! * mesh.vertices[v + 2]!;
      expect(along / 0.31).toBeGreaterThan(0.97);
    }
  });

  test('cells far outside change nothing, and the order of the cells only the sums', () => {
    const resolution = 20;
    const all = analyticCells(resolution, sphere);
    const near = analyticCells(resolution, sphere, (d) => d.some((v) => v < 0.12));
    const whole = extractMesh(all.coords, all.features, { resolution });
    const shell = extractMesh(near.coords, near.features, { resolution });
    expect(near.coords.length).toBeLessThan(all.coords.length * 0.7);
    expect(shell.vertices).toEqual(whole.vertices);
    expect(shell.faces).toEqual(whole.faces);

    const count = all.coords.length / 3;
    const order = [...unitValues('order', count)].map((v, i) => [v, i] as const);
    order.sort((a, b) => a[0] - b[0]);
    const coords = new Int32Array(count * 4);
    const features = new Float32Array(count * 53);
    order.forEach(([, from], to) => {
      coords.set([5, ...all.coords.subarray(from * 3, from * 3 + 3)], to * 4);
      features.set(all.features.subarray(from * 53, from * 53 + 53), to * 53);
    });
    const shuffled = extractMesh(coords, features, { resolution });
    expect(shuffled.faces).toEqual(whole.faces);
    shuffled.vertices.forEach((v, i) => expect(v).toBeCloseTo(whole.vertices[i]!, 5));
  });

  test('a single inside cell becomes a closed box round it, an inside cell at the border stays open', () => {
    const features = new Float32Array(53).fill(0);
    features.fill(-1, 0, 8);
    const inner = extractMesh(Int32Array.of(3, 3, 3), features, { resolution: 8 });
    expect(inner.vertices.length / 3).toBe(26);
    expect(inner.faces.length / 3).toBe(48);
    const corner = extractMesh(Int32Array.of(0, 0, 0), features, { resolution: 8 });
    expect(corner.vertices.length / 3).toBe(7);
    expect(corner.faces.length / 3).toBe(6);
    const full = extractMesh(Int32Array.of(0, 0, 0), features, { resolution: 1 });
    expect(full.success).toBe(false);
  });

  test('no surface gives an empty mesh', () => {
    const features = new Float32Array(53).fill(1);
    for (const mesh of [
      extractMesh(Int32Array.of(1, 2, 3), features, { resolution: 8 }),
      extractMesh(new Int32Array(0), new Float32Array(0)),
    ]) {
      expect(mesh.success).toBe(false);
      expect(mesh.vertices.length).toBe(0);
      expect(mesh.faces.length).toBe(0);
    }
  });

  test('rejects what it cannot read', () => {
    const cell = new Float32Array(53);
    const extract =
      (coords: number[], features = cell, resolution = 8) =>
      () =>
        extractMesh(Int32Array.from(coords), features, { resolution });
    expect(extract([0, 0])).toThrow('extractMesh: coords must be [N, 3] or [N, 4]');
    expect(extract([0, 0, 0], new Float32Array(54))).toThrow('got 3 and 54 numbers.');
    expect(extract([0, 0, 8])).toThrow('extractMesh: coords must lie in 0 to 7, got 8 in row 0.');
    expect(extract([0, -1, 0])).toThrow('got -1 in row 0.');
    expect(extract([0, 0, 0, 0], cell, 0)).toThrow('resolution must be an integer from 1 to 1024');
    const two = new Float32Array(106);
    expect(extract([1, 1, 1, 1, 1, 1], two)).toThrow('must name each cell once, got row 1 again.');
    expect(extract([0, 1, 1, 1, 1, 1, 1, 1], two)).toThrow('one batch element, got 0 and 1.');
  });
});

/** Soft balls that melt into each other or are cut out: center, radius and whether they add or take away. */
const balls = fc.array(
  fc.record({
    center: fc.tuple(...Array.from({ length: 3 }, () => fc.double({ min: -0.3, max: 0.3 }))),
    radius: fc.double({ min: 0.06, max: 0.2 }),
    sign: fc.constantFrom(1, 1, 1, -1),
  }),
  { minLength: 1, maxLength: 9 },
);

type Ball = { center: number[]; radius: number; sign: number };

/** Negative where the balls are. */
function blend(list: readonly Ball[], x: number, y: number, z: number): number {
  const sum = list.reduce((total, { center, radius, sign }) => {
    const distance = Math.hypot(x - center[0]!, y - center[1]!, z - center[2]!);
    return total + sign * Math.exp(-((distance / radius) ** 2));
  }, -0.5);
  return -0.1 * sum;
}

/** Random displacements and weights; the distances stay. */
function shaken(features: Float32Array, name: string): Float32Array {
  const noise = synthInput(name, features.length);
  return features.map((value, at) => (at % 53 < 8 ? value : noise[at]!));
}

describe('no holes', () => {
  const resolution = 14;

  test.each(['all cells', 'a shell of cells'])('round closed shapes, from %s', (name) => {
    const keep = (distances: number[]): boolean =>
      name === 'all cells' || distances.some((d) => Math.abs(d) < 0.04);
    fc.assert(
      fc.property(balls, (list) => {
        const inBox = (v: number): boolean => Math.abs(v) < 0.45;
        const closed = (x: number, y: number, z: number): number =>
          [x, y, z].every(inBox) ? blend(list, x, y, z) : 0.1;
        const { coords, features } = analyticCells(resolution, closed, keep);
        const mesh = extractMesh(coords, shaken(features, 'closed'), { resolution });
        expect(openEdges(mesh.faces)).toEqual([]);
      }),
      { seed: 11, numRuns: 40 },
    );
  });

  test('but at the border of the grid', () => {
    let open = 0;
    fc.assert(
      fc.property(balls, (list) => {
        const cut = (x: number, y: number, z: number): number => blend(list, x - 0.4, y, z);
        const { coords, features } = analyticCells(resolution, cut);
        const mesh = extractMesh(coords, features, { resolution });
        for (const edge of openEdges(mesh.faces)) {
          open++;
          for (const v of edge) {
            const reach = Math.max(...mesh.vertices.subarray(v * 3, v * 3 + 3).map(Math.abs));
            expect(reach).toBeGreaterThan(0.5 - 1.01 / resolution);
          }
        }
      }),
      { seed: 12, numRuns: 40 },
    );
    expect(open).toBeGreaterThan(100);
  });
});
