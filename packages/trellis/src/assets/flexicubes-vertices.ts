/** Step 4 of mesh extraction: one dual vertex for each sheet of the surface in a cell. */
import { sigmoid, tanh } from './activations.ts';
import { CELL_WEIGHTS } from './cell-record.ts';
import { pointAt, type CrossedPoints, type SurfaceCells } from './flexicubes-cells.ts';
import type { PointValues } from './flexicubes-points.ts';
import {
  EDGE_CORNERS,
  flexicubesTables,
  MAX_GROUP_EDGES,
  MAX_GROUPS,
} from './flexicubes-tables.ts';
import type { SparseLattice } from './sparse-lattice.ts';

/** Mesh vertices and where to find them. */
export interface DualVertices {
  /** `[S]` number of the first vertex of each surface cell; its others follow. */
  readonly base: Int32Array;
  /** `[S]` weight that picks the diagonal of the quads round a cell's vertices. */
  readonly gamma: Float32Array;
  /** `[V, 3]`. */
  readonly positions: Float32Array;
  /** `[V, 3]` or null. */
  readonly colors: Float32Array | null;
  /** `[V, 3]` or null. */
  readonly normals: Float32Array | null;
}

const EDGE_START = Uint8Array.from(EDGE_CORNERS, ([start]) => start);
const EDGE_END = Uint8Array.from(EDGE_CORNERS, ([, end]) => end);

/**
 * Places the dual vertices: weighted means of the crossings on the edges of each group.
 *
 * Numbering follows the published model: cells with one vertex first, then those with two, three and four.
 *
 * @param cellRows `[S]` negative for cells that were not given, whose weights are neutral.
 * @param weights `[S, 21]`.
 */
export function placeDualVertices(
  lattice: SparseLattice,
  surface: SurfaceCells,
  points: CrossedPoints,
  values: PointValues,
  cellRows: Int32Array,
  weights: Float32Array,
): DualVertices {
  const { groupCount, groupEdges } = flexicubesTables();
  const { base, count } = numberVertices(surface);
  const colored = values.stride === 9;
  const gamma = new Float32Array(surface.count);
  const vertices: VertexColumns = {
    positions: new Float32Array(count * 3),
    colors: colored ? new Float32Array(count * 3) : null,
    normals: colored ? new Float32Array(count * 3) : null,
  };
  const corners = new Int32Array(8);
  const distances = new Float64Array(8);
  // A vertex is a mix of the cell's corners: each crossing adds to the shares of its edge's two ends.
  const shares = new Float64Array(8);
  for (let s = 0; s < surface.count; s++) {
    const code = surface.cases[s]!;
    const given = cellRows[s]! >= 0;
    const record = s * CELL_WEIGHTS;
    gamma[s] = given ? 0.99 * sigmoid(weights[record + 20]!) + 0.005 : 0.5;
    lattice.cornerSlots(surface.slots[s]!, corners);
    const involved = crossedCorners(code);
    for (let corner = 0; corner < 8; corner++) {
      if (((involved >> corner) & 1) === 0) continue;
      const point = pointAt(points, corners[corner]!);
      corners[corner] = point;
      const alpha = given ? weight(weights[record + 12 + corner]!) : 1;
      distances[corner] = alpha * values.sdf[point]!;
    }
    const groups = groupCount[code]!;
    for (let group = 0; group < groups; group++) {
      let total = 0;
      const list = (code * MAX_GROUPS + group) * MAX_GROUP_EDGES;
      for (let at = list; at < list + MAX_GROUP_EDGES; at++) {
        const edge = groupEdges[at]!;
        if (edge < 0) break;
        const start = EDGE_START[edge]!;
        const end = EDGE_END[edge]!;
        const beta = given ? weight(weights[record + edge]!) : 1;
        // Zero of the linear interpolation between the two ends.
        const towardsStart = (beta * distances[end]!) / (distances[end]! - distances[start]!);
        shares[start] = shares[start]! + towardsStart;
        shares[end] = shares[end]! + beta - towardsStart;
        total += beta;
      }
      mixCorners(values, corners, shares, 1 / total, vertices, base[s]! + group);
    }
  }
  return { base, gamma, ...vertices };
}

type VertexColumns = Pick<DualVertices, 'positions' | 'colors' | 'normals'>;

/** Writes vertex `vertex`: the sum of the points' columns, each times its share and `scale`. Leaves the shares zero. */
function mixCorners(
  { columns, stride }: PointValues,
  points: Int32Array,
  shares: Float64Array,
  scale: number,
  { positions, colors, normals }: VertexColumns,
  vertex: number,
): void {
  let x = 0;
  let y = 0;
  let z = 0;
  let red = 0;
  let green = 0;
  let blue = 0;
  let nx = 0;
  let ny = 0;
  let nz = 0;
  for (let corner = 0; corner < 8; corner++) {
    const share = shares[corner]! * scale;
    if (share === 0) continue;
    shares[corner] = 0;
    const from = points[corner]! * stride;
    x += share * columns[from]!;
    y += share * columns[from + 1]!;
    z += share * columns[from + 2]!;
    if (stride === 3) continue;
    red += share * columns[from + 3]!;
    green += share * columns[from + 4]!;
    blue += share * columns[from + 5]!;
    nx += share * columns[from + 6]!;
    ny += share * columns[from + 7]!;
    nz += share * columns[from + 8]!;
  }
  const at = vertex * 3;
  positions[at] = x;
  positions[at + 1] = y;
  positions[at + 2] = z;
  if (colors === null || normals === null) return;
  colors[at] = red;
  colors[at + 1] = green;
  colors[at + 2] = blue;
  normals[at] = nx;
  normals[at + 1] = ny;
  normals[at + 2] = nz;
}

/** First vertex of each surface cell, and their number. */
function numberVertices({ count: cells, cases, order }: SurfaceCells): {
  base: Int32Array;
  count: number;
} {
  const { groupCount } = flexicubesTables();
  const next = new Int32Array(MAX_GROUPS + 1);
  for (let s = 0; s < cells; s++) {
    const groups = groupCount[cases[s]!]!;
    next[groups]! += groups;
  }
  let count = 0;
  for (let groups = 1; groups <= MAX_GROUPS; groups++) {
    const own = next[groups]!;
    next[groups] = count;
    count += own;
  }
  const base = new Int32Array(cells);
  for (let at = 0; at < cells; at++) {
    const s = order[at]!;
    const groups = groupCount[cases[s]!]!;
    base[s] = next[groups]!;
    next[groups]! += groups;
  }
  return { base, count };
}

/** Bits of the corners at which crossed edges end. */
function crossedCorners(code: number): number {
  // Along each axis: a corner and its neighbour differ.
  const x = (code ^ (code >> 1)) & 0x55;
  const y = (code ^ (code >> 2)) & 0x33;
  const z = (code ^ (code >> 4)) & 0x0f;
  return x | (x << 1) | y | (y << 2) | z | (z << 4);
}

/** Activation of edge and corner weights: between 0.01 and 1.99. */
function weight(raw: number): number {
  return 0.99 * tanh(raw) + 1;
}
