/** Step 3 of mesh extraction: every lattice edge that the surface crosses joins the four cells round it by a quad. */
import type { DualVertices, SurfaceCells } from './flexicubes-cells.ts';
import type { DistanceField } from './flexicubes-grid.ts';
import { flexicubesTables } from './flexicubes-tables.ts';

/**
 * The cells round an edge, ascending, seen from the last of them: which edge of each cell it is, and the step to the
 * cell. Rows are y-, z- and x-edges, the order in which edges with the same start are listed.
 */
interface EdgeRing {
  /** Start and end of the edge among the corners of the last cell. */
  readonly start: number;
  readonly end: number;
  /** Edge number within each of the four cells. */
  readonly edges: readonly [number, number, number, number];
  /** `[4, 3]` steps from the last cell. */
  readonly steps: readonly number[];
}

const Y_RING: EdgeRing = {
  start: 2,
  end: 0,
  edges: [10, 9, 11, 8],
  steps: [-1, 0, -1, -1, 0, 0, 0, 0, -1, 0, 0, 0],
};
const Z_RING: EdgeRing = {
  start: 0,
  end: 4,
  edges: [5, 1, 7, 3],
  steps: [-1, -1, 0, -1, 0, 0, 0, -1, 0, 0, 0, 0],
};
const X_RING: EdgeRing = {
  start: 0,
  end: 1,
  edges: [6, 4, 2, 0],
  steps: [0, -1, -1, 0, -1, 0, 0, 0, -1, 0, 0, 0],
};

/**
 * Builds the triangles, in the published order: edges ascending by their start point, those whose start lies outside
 * first. Edges on the border of the grid have fewer than four cells and give no face.
 *
 * @returns `[F, 3]` vertex numbers, counter-clockwise seen from outside.
 */
export function connectQuads(
  field: DistanceField,
  surface: SurfaceCells,
  dual: DualVertices,
): Uint32Array {
  const { edgeGroup } = flexicubesTables();
  const { lattice, sdf } = field;
  const { resolution } = lattice;
  const { coords, cases, slots, rowStart } = surface;
  const surfaceOf = new Int32Array(lattice.slots).fill(-1);
  for (let s = 0; s < surface.count; s++) surfaceOf[slots[s]!] = s;

  // A cell is the last of at most three rings, a quad is six indices.
  const outward = new Uint32Array(surface.count * 18);
  const inward = new Uint32Array(surface.count * 18);
  let outwardLength = 0;
  let inwardLength = 0;
  const vertex = new Uint32Array(4);
  const gamma = new Float32Array(4);
  const corners = new Int32Array(8);

  const addQuad = (s: number, ring: EdgeRing): void => {
    const x = coords[s * 3]!;
    const y = coords[s * 3 + 1]!;
    const z = coords[s * 3 + 2]!;
    // Crossed or not is the same before and after the ambiguity rule: complementing a case keeps its crossings.
    if (edgeGroup[cases[s]! * 12 + ring.edges[3]]! < 0) return;
    for (let i = 0; i < 4; i++) {
      const cx = x + ring.steps[i * 3]!;
      const cy = y + ring.steps[i * 3 + 1]!;
      const cz = z + ring.steps[i * 3 + 2]!;
      if (cx < 0 || cy < 0 || cz < 0) return;
      const cell = surfaceOf[lattice.slotOf(cx, cy, cz)]!;
      vertex[i] = dual.base[cell]! + edgeGroup[cases[cell]! * 12 + ring.edges[i]!]!;
      gamma[i] = dual.gamma[cell]!;
    }
    lattice.cornerSlots(slots[s]!, x, y, z, corners);
    const startOutside = sdf[corners[ring.start]!]! > 0;
    // Walk round the edge; the direction makes the quad face the outside.
    const [i0, i1, i2, i3] = startOutside ? [0, 1, 3, 2] : [2, 3, 1, 0];
    const diagonal = Math.fround(gamma[i0]! * gamma[i2]!) > Math.fround(gamma[i1]! * gamma[i3]!);
    const target = startOutside ? outward : inward;
    const at = startOutside ? outwardLength : inwardLength;
    target[at] = vertex[i0]!;
    target[at + 1] = vertex[i1]!;
    target[at + 2] = vertex[diagonal ? i2 : i3]!;
    target[at + 3] = vertex[diagonal ? i0 : i3]!;
    target[at + 4] = vertex[diagonal ? i2 : i1]!;
    target[at + 5] = vertex[diagonal ? i3 : i2]!;
    if (startOutside) outwardLength += 6;
    else inwardLength += 6;
  };

  for (let x = 0; x < resolution; x++) {
    for (let y = 0; y <= resolution; y++) {
      // y-edges that start in this row belong to cells of the row before, so two rows are merged by z.
      const row = x * resolution + y;
      let below = y > 0 ? rowStart[row - 1]! : 0;
      const belowEnd = y > 0 ? rowStart[row]! : 0;
      let own = y < resolution ? rowStart[row]! : 0;
      const ownEnd = y < resolution ? rowStart[row + 1]! : 0;
      while (below < belowEnd || own < ownEnd) {
        const belowZ = below < belowEnd ? coords[below * 3 + 2]! : Infinity;
        const ownZ = own < ownEnd ? coords[own * 3 + 2]! : Infinity;
        if (belowZ <= ownZ) {
          addQuad(below++, Y_RING);
        } else {
          addQuad(own, Z_RING);
          addQuad(own++, X_RING);
        }
      }
    }
  }
  const faces = new Uint32Array(outwardLength + inwardLength);
  faces.set(outward.subarray(0, outwardLength));
  faces.set(inward.subarray(0, inwardLength), outwardLength);
  return faces;
}
