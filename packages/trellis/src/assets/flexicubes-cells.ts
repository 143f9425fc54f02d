/** Step 2 of mesh extraction: the cells that the surface crosses, their cases, and one dual vertex per sheet in each. */
import { sigmoid, tanh } from './activations.ts';
import {
  WEIGHT_CHANNEL,
  type CellRecords,
  type DistanceField,
  type PointValues,
} from './flexicubes-grid.ts';
import {
  EDGE_CORNERS,
  flexicubesTables,
  MAX_GROUP_EDGES,
  MAX_GROUPS,
} from './flexicubes-tables.ts';

/** Cells with both inside and outside corners, ascending by x, y, z. They need not be active. */
export interface SurfaceCells {
  readonly count: number;
  /** `[S]` lattice slot. */
  readonly slots: Int32Array;
  /** `[S, 3]` coordinates. */
  readonly coords: Uint16Array;
  /** `[S]` case after the ambiguity rule. */
  readonly cases: Uint8Array;
  /** `[resolution^2 + 1]` first surface cell of each `(x, y)` row. */
  readonly rowStart: Int32Array;
}

/** Finds the surface cells and settles their cases. A point is inside when its distance is strictly negative. */
export function findSurfaceCells(field: DistanceField): SurfaceCells {
  const { lattice, sdf } = field;
  const { resolution } = lattice;
  const inside = new Uint8Array(sdf.length);
  for (let slot = 0; slot < sdf.length; slot++) inside[slot] = sdf[slot]! < 0 ? 1 : 0;

  const caseOf = new Uint8Array(lattice.slots);
  const rowStart = new Int32Array(resolution * resolution + 1);
  let capacity = 4096;
  let slots = new Int32Array(capacity);
  let coords = new Uint16Array(capacity * 3);
  let count = 0;
  const corners = new Int32Array(8);
  lattice.forEachCell((slot, x, y, z) => {
    lattice.cornerSlots(slot, x, y, z, corners);
    let code = 0;
    for (let corner = 0; corner < 8; corner++) {
      const point = corners[corner]!;
      // A missing block is far from every active cell: its points are outside.
      if (point >= 0 && inside[point] === 1) code |= 1 << corner;
    }
    if (code === 0 || code === 255) return;
    caseOf[slot] = code;
    if (count === capacity) {
      capacity *= 2;
      slots = grown(slots, new Int32Array(capacity));
      coords = grown(coords, new Uint16Array(capacity * 3));
    }
    slots[count] = slot;
    coords[count * 3] = x;
    coords[count * 3 + 1] = y;
    coords[count * 3 + 2] = z;
    count++;
    const row = x * resolution + y + 1;
    rowStart[row] = rowStart[row]! + 1;
  });
  for (let row = 0; row < resolution * resolution; row++) {
    rowStart[row + 1] = rowStart[row + 1]! + rowStart[row]!;
  }
  slots = slots.slice(0, count);
  coords = coords.slice(0, count * 3);

  const { ambiguous, ambiguousStep } = flexicubesTables();
  const cases = new Uint8Array(count);
  for (let s = 0; s < count; s++) {
    const code = caseOf[slots[s]!]!;
    cases[s] = code;
    if (ambiguous[code] === 0) continue;
    const x = coords[s * 3]! + ambiguousStep[code * 3]!;
    const y = coords[s * 3 + 1]! + ambiguousStep[code * 3 + 1]!;
    const z = coords[s * 3 + 2]! + ambiguousStep[code * 3 + 2]!;
    if (Math.min(x, y, z) < 0 || Math.max(x, y, z) >= resolution) continue;
    const neighbor = lattice.slotOf(x, y, z);
    // Decided by the cases before any switch, so the order of the cells does not matter.
    if (neighbor >= 0 && ambiguous[caseOf[neighbor]!] === 1) cases[s] = 255 - code;
  }
  return { count, slots, coords, cases, rowStart };
}

function grown<A extends Int32Array | Uint16Array>(old: A, larger: A): A {
  larger.set(old);
  return larger;
}

/** Mesh vertices and where to find them. */
export interface DualVertices {
  readonly count: number;
  /** `[S]` number of the first vertex of each surface cell; its others follow. */
  readonly base: Int32Array;
  /** `[V, 3]` positions. */
  readonly positions: Float32Array;
  /** `[V, 6]` colour and normal, or null. */
  readonly attributes: Float32Array | null;
  /** `[S]` weight that picks the diagonal of the quads round a cell's vertices. */
  readonly gamma: Float32Array;
}

/**
 * Places the dual vertices: weighted means of the crossings on the edges of each group.
 *
 * Numbering follows the published model: cells with one vertex first, then those with two, three and four.
 */
export function placeDualVertices(
  cells: CellRecords,
  field: DistanceField,
  surface: SurfaceCells,
  points: PointValues,
): DualVertices {
  const { groupCount, groupEdges } = flexicubesTables();
  const { features, channels } = cells;
  const next = new Int32Array(MAX_GROUPS + 1);
  for (let s = 0; s < surface.count; s++) {
    const groups = groupCount[surface.cases[s]!]!;
    next[groups] = next[groups]! + groups;
  }
  let count = 0;
  for (let groups = 1; groups <= MAX_GROUPS; groups++) {
    const own = next[groups]!;
    next[groups] = count;
    count += own;
  }

  const base = new Int32Array(surface.count);
  const gamma = new Float32Array(surface.count);
  const positions = new Float32Array(count * 3);
  const attributes = points.attributes === null ? null : new Float32Array(count * 6);
  const corners = new Int32Array(8);
  const sum = new Float64Array(9);
  for (let s = 0; s < surface.count; s++) {
    const slot = surface.slots[s]!;
    field.lattice.cornerSlots(
      slot,
      surface.coords[s * 3]!,
      surface.coords[s * 3 + 1]!,
      surface.coords[s * 3 + 2]!,
      corners,
    );
    const cell = field.cellOf[slot]!;
    const weights = cell < 0 ? -1 : cell * channels + WEIGHT_CHANNEL;
    const code = surface.cases[s]!;
    const groups = groupCount[code]!;
    const first = next[groups]!;
    next[groups] = first + groups;
    base[s] = first;
    gamma[s] = weights < 0 ? 0.5 : 0.99 * sigmoid(features[weights + 20]!) + 0.005;

    for (let group = 0; group < groups; group++) {
      sum.fill(0);
      let total = 0;
      for (let at = 0; at < MAX_GROUP_EDGES; at++) {
        const edge = groupEdges[(code * MAX_GROUPS + group) * MAX_GROUP_EDGES + at]!;
        if (edge < 0) break;
        const [cornerA, cornerB] = EDGE_CORNERS[edge]!;
        const a = points.pointOf[corners[cornerA]!]!;
        const b = points.pointOf[corners[cornerB]!]!;
        let distanceA = points.sdf[a]!;
        let distanceB = points.sdf[b]!;
        let beta = 1;
        if (weights >= 0) {
          distanceA *= weight(features[weights + 12 + cornerA]!);
          distanceB *= weight(features[weights + 12 + cornerB]!);
          beta = weight(features[weights + edge]!);
        }
        // Zero of the linear interpolation between the two ends.
        const towardsA = (beta * distanceB) / (distanceB - distanceA);
        const towardsB = beta - towardsA;
        total += beta;
        for (let c = 0; c < 3; c++) {
          sum[c] =
            sum[c]! +
            towardsA * points.positions[a * 3 + c]! +
            towardsB * points.positions[b * 3 + c]!;
        }
        if (points.attributes === null) continue;
        for (let c = 0; c < 6; c++) {
          sum[3 + c] =
            sum[3 + c]! +
            towardsA * points.attributes[a * 6 + c]! +
            towardsB * points.attributes[b * 6 + c]!;
        }
      }
      const vertex = first + group;
      for (let c = 0; c < 3; c++) positions[vertex * 3 + c] = sum[c]! / total;
      if (attributes === null) continue;
      for (let c = 0; c < 6; c++) attributes[vertex * 6 + c] = sum[3 + c]! / total;
    }
  }
  return { count, base, positions, attributes, gamma };
}

/** Activation of edge and corner weights: between 0.01 and 1.99. */
function weight(raw: number): number {
  return 0.99 * tanh(raw) + 1;
}
