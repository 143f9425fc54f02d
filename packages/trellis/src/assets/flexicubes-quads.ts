/** Step 5 of mesh extraction: every lattice edge that the surface crosses joins the four cells round it by a quad. */
import { CELL_WEIGHTS } from './cell-record.ts';
import type { SurfaceCells } from './flexicubes-cells.ts';
import type { CrossedPoints } from './flexicubes-points.ts';
import { flexicubesTables } from './flexicubes-tables.ts';
import type { VertexNumbers } from './flexicubes-vertices.ts';
import type { SparseLattice } from './sparse-lattice.ts';

/** The number of a lattice edge within each of the four cells round it, the cells ascending by x, y, z. */
export type EdgeRing = readonly [number, number, number, number];

// y-edges run downwards, so the last cell holds their start as corner 2 and that of the others as corner 0.
export const Y_RING: EdgeRing = [10, 9, 11, 8];
export const Z_RING: EdgeRing = [5, 1, 7, 3];
export const X_RING: EdgeRing = [6, 4, 2, 0];

/**
 * Builds the triangles, in the published order: edges ascending by their start point, those whose start lies outside
 * first. Edges on the border of the grid have fewer than four cells and give no face.
 *
 * @param weights `[S, 21]`, see `SurfacePredictions`.
 * @returns `[F, 3]` vertex numbers, counter-clockwise seen from outside.
 */
export function connectQuads(
  lattice: SparseLattice,
  surface: SurfaceCells,
  { outside }: CrossedPoints,
  { base }: VertexNumbers,
  weights: Float32Array,
): Uint32Array {
  const { resolution } = lattice;
  const { edgeGroup } = flexicubesTables();
  const { cases, heights, rowStart } = surface;
  // Weights that pick the diagonal of the quads round a cell's vertices, between 0.005 and 0.995.
  const gamma = Float32Array.from(
    cases,
    (_, s) => 0.495 * weights[(s + 1) * CELL_WEIGHTS - 1]! + 0.5,
  );
  const starts = outsideStarts(lattice, surface, outside);
  const { outward: first, inward: second } = countQuads(resolution, surface, starts);
  const faces = new Uint32Array((first + second) * QUAD_INDICES);
  let outward = 0;
  let inward = first * QUAD_INDICES;

  /** Adds the quad round an edge, given the four surface cells round it; the edge starts at a corner of the last. */
  const addQuad = (
    ring: EdgeRing,
    start: number,
    c0: number,
    c1: number,
    c2: number,
    c3: number,
  ): void => {
    const v0 = base[c0]! + edgeGroup[cases[c0]! * 12 + ring[0]]!;
    const v1 = base[c1]! + edgeGroup[cases[c1]! * 12 + ring[1]]!;
    const v2 = base[c2]! + edgeGroup[cases[c2]! * 12 + ring[2]]!;
    const v3 = base[c3]! + edgeGroup[cases[c3]! * 12 + ring[3]]!;
    // The diagonal joins the pair of opposite cells with the larger product.
    const even = Math.fround(gamma[c0]! * gamma[c3]!);
    const odd = Math.fround(gamma[c1]! * gamma[c2]!);
    if ((starts[c3]! >> start) & 1) {
      writeQuad(faces, outward, v0, v1, v3, v2, even > odd);
      outward += QUAD_INDICES;
    } else {
      writeQuad(faces, inward, v2, v3, v1, v0, odd > even);
      inward += QUAD_INDICES;
    }
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
        const beforeZ = before < beforeEnd ? heights[before]! : resolution;
        const ownZ = own < ownEnd ? heights[own]! : resolution;
        const z = Math.min(beforeZ, ownZ);
        if (beforeZ === z && x > 0 && z > 0 && crossedEdges(cases[before]!) & Y_EDGE) {
          while (heights[farBefore]! < z) farBefore++;
          addQuad(Y_RING, 2, farBefore - 1, farBefore, before - 1, before);
        }
        if (ownZ === z) {
          const crossed = crossedEdges(cases[own]!);
          if (x > 0 && y > 0 && crossed & Z_EDGE) {
            while (heights[farBefore]! < z) farBefore++;
            while (heights[far]! < z) far++;
            addQuad(Z_RING, 0, farBefore, far, before, own);
          }
          if (y > 0 && z > 0 && crossed & X_EDGE) {
            addQuad(X_RING, 0, before - 1, before, own - 1, own);
          }
          own++;
        }
        if (beforeZ === z) before++;
      }
    }
  }
  return faces;
}

/** Two triangles. */
export const QUAD_INDICES = 6;

// The edges at corner 0 of a cell.
const X_EDGE = 1;
const Y_EDGE = 2;
const Z_EDGE = 4;

/** Those that are crossed; the same before and after the ambiguity rule, for a complementary case crosses the same. */
function crossedEdges(code: number): number {
  return (
    ((code ^ (code >> 1)) & 1) |
    ((code ^ (code >> 2)) & 1 ? Y_EDGE : 0) |
    ((code ^ (code >> 4)) & 1 ? Z_EDGE : 0)
  );
}

/** `[S]` bits of the corners 0 and 2 that lie strictly outside, where crossed edges start there. */
function outsideStarts(
  lattice: SparseLattice,
  { slots }: SurfaceCells,
  outside: Int32Array,
): Uint8Array {
  const starts = new Uint8Array(slots.length);
  for (let s = 0; s < starts.length; s++) {
    const slot = slots[s]!;
    const end = lattice.cornerSlot(slot, 2);
    starts[s] =
      ((outside[slot >> 5]! >>> (slot & 31)) & 1) |
      (((outside[end >> 5]! >>> (end & 31)) & 1) << 2);
  }
  return starts;
}

/** Quads of either orientation. */
function countQuads(
  resolution: number,
  { cases, heights, rowStart }: SurfaceCells,
  starts: Uint8Array,
): { outward: number; inward: number } {
  let all = 0;
  let outward = 0;
  for (let x = 0; x < resolution; x++) {
    for (let y = 0; y < resolution; y++) {
      const row = x * resolution + y;
      const atBottom = x > 0 && y > 0 ? Z_EDGE : 0;
      const above = atBottom | (y > 0 ? X_EDGE : 0) | (x > 0 ? Y_EDGE : 0);
      for (let s = rowStart[row]!; s < rowStart[row + 1]!; s++) {
        const edges = crossedEdges(cases[s]!) & (heights[s]! > 0 ? above : atBottom);
        const fromOutside = (starts[s]! & 1 ? X_EDGE | Z_EDGE : 0) | (starts[s]! & 4 ? Y_EDGE : 0);
        all += BITS_OF_THREE[edges]!;
        outward += BITS_OF_THREE[edges & fromOutside]!;
      }
    }
  }
  return { outward, inward: all - outward };
}

const BITS_OF_THREE = Uint8Array.of(0, 1, 1, 2, 1, 2, 2, 3);

/** Splits the ring `q0 q1 q2 q3` into two triangles, along `q0 q2` or else along `q1 q3`. */
function writeQuad(
  faces: Uint32Array,
  at: number,
  q0: number,
  q1: number,
  q2: number,
  q3: number,
  alongFirst: boolean,
): void {
  faces[at] = q0;
  faces[at + 1] = q1;
  faces[at + 2] = alongFirst ? q2 : q3;
  faces[at + 3] = alongFirst ? q0 : q3;
  faces[at + 4] = alongFirst ? q2 : q1;
  faces[at + 5] = alongFirst ? q3 : q2;
}
