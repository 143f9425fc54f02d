/** Step 5 of mesh extraction: every lattice edge that the surface crosses joins the four cells round it by a quad. */
import type { SurfaceCells } from './flexicubes-cells.ts';
import { EDGE_CORNERS, flexicubesTables } from './flexicubes-tables.ts';
import type { DualVertices } from './flexicubes-vertices.ts';

/** The number of a lattice edge within each of the four cells round it, the cells ascending by x, y, z. */
type EdgeRing = readonly [number, number, number, number];

// y-edges run downwards, so the last cell holds their start as corner 2 and that of the others as corner 0.
const Y_RING: EdgeRing = [10, 9, 11, 8];
const Z_RING: EdgeRing = [5, 1, 7, 3];
const X_RING: EdgeRing = [6, 4, 2, 0];

/** Triangles of one orientation, filled from the front. */
interface FaceList {
  readonly indices: Uint32Array;
  length: number;
}

/**
 * Builds the triangles, in the published order: edges ascending by their start point, those whose start lies outside
 * first. Edges on the border of the grid have fewer than four cells and give no face.
 *
 * @returns `[F, 3]` vertex numbers, counter-clockwise seen from outside.
 */
export function connectQuads(
  resolution: number,
  surface: SurfaceCells,
  { base, gamma }: DualVertices,
): Uint32Array {
  const { edgeGroup } = flexicubesTables();
  const { cases, starts, order, heights, rowStart } = surface;
  // A cell is the last of at most three rings, a quad is six indices.
  const outward: FaceList = { indices: new Uint32Array(surface.count * 18), length: 0 };
  const inward: FaceList = { indices: new Uint32Array(surface.count * 18), length: 0 };

  /** Adds the quad round an edge, given the places in `order` of the four surface cells round it. */
  const addQuad = (ring: EdgeRing, p0: number, p1: number, p2: number, p3: number): void => {
    const c0 = order[p0]!;
    const c1 = order[p1]!;
    const c2 = order[p2]!;
    const c3 = order[p3]!;
    const v0 = base[c0]! + edgeGroup[cases[c0]! * 12 + ring[0]]!;
    const v1 = base[c1]! + edgeGroup[cases[c1]! * 12 + ring[1]]!;
    const v2 = base[c2]! + edgeGroup[cases[c2]! * 12 + ring[2]]!;
    const v3 = base[c3]! + edgeGroup[cases[c3]! * 12 + ring[3]]!;
    const startOutside = ((starts[c3]! >> EDGE_CORNERS[ring[3]]![0]) & 1) === 1;
    // The diagonal joins the pair of opposite cells with the larger product.
    const even = Math.fround(gamma[c0]! * gamma[c3]!);
    const odd = Math.fround(gamma[c1]! * gamma[c2]!);
    if (startOutside) addFaces(outward, v0, v1, v3, v2, even > odd);
    else addFaces(inward, v2, v3, v1, v0, odd > even);
  };

  for (let x = 0; x < resolution; x++) {
    for (let y = 0; y <= resolution; y++) {
      // y-edges that start in this row belong to cells of the row before, so two rows are merged by z. The cells round
      // a crossed edge are all surface cells; those of the rows at x - 1 are found by walking along.
      const row = x * resolution + y;
      let before = y > 0 ? rowStart[row - 1]! : 0;
      const beforeEnd = y > 0 ? rowStart[row]! : 0;
      let own = y < resolution ? rowStart[row]! : 0;
      const ownEnd = y < resolution ? rowStart[row + 1]! : 0;
      let farBefore = x > 0 && y > 0 ? rowStart[row - 1 - resolution]! : 0;
      let far = x > 0 && y < resolution ? rowStart[row - resolution]! : 0;
      while (before < beforeEnd || own < ownEnd) {
        const beforeZ = before < beforeEnd ? heights[before]! : Infinity;
        const ownZ = own < ownEnd ? heights[own]! : Infinity;
        const z = Math.min(beforeZ, ownZ);
        if (beforeZ === z) {
          // Crossed or not is the same before and after the ambiguity rule: complementing a case keeps its crossings.
          const code = cases[order[before]!]!;
          if (x > 0 && z > 0 && (code ^ (code >> 2)) & 1) {
            while (heights[farBefore]! < z) farBefore++;
            addQuad(Y_RING, farBefore - 1, farBefore, before - 1, before);
          }
        }
        if (ownZ === z) {
          const code = cases[order[own]!]!;
          if (x > 0 && y > 0 && (code ^ (code >> 4)) & 1) {
            while (heights[farBefore]! < z) farBefore++;
            while (heights[far]! < z) far++;
            addQuad(Z_RING, farBefore, far, before, own);
          }
          if (y > 0 && z > 0 && (code ^ (code >> 1)) & 1) {
            addQuad(X_RING, before - 1, before, own - 1, own);
          }
          own++;
        }
        if (beforeZ === z) before++;
      }
    }
  }
  const faces = new Uint32Array(outward.length + inward.length);
  faces.set(outward.indices.subarray(0, outward.length));
  faces.set(inward.indices.subarray(0, inward.length), outward.length);
  return faces;
}

/** Splits the ring `q0 q1 q2 q3` into two triangles, along `q0 q2` or else along `q1 q3`. */
function addFaces(
  list: FaceList,
  q0: number,
  q1: number,
  q2: number,
  q3: number,
  alongFirst: boolean,
): void {
  const { indices, length } = list;
  indices[length] = q0;
  indices[length + 1] = q1;
  indices[length + 2] = alongFirst ? q2 : q3;
  indices[length + 3] = alongFirst ? q0 : q3;
  indices[length + 4] = alongFirst ? q2 : q1;
  indices[length + 5] = alongFirst ? q3 : q2;
  list.length = length + 6;
}
