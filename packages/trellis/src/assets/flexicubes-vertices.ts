/** Step 4 of mesh extraction: one dual vertex for each sheet of the surface in a cell. */
import { CELL_WEIGHTS } from './cell-record.ts';
import type { SurfaceCells } from './flexicubes-cells.ts';
import { pointAt, type CrossedPoints } from './flexicubes-points.ts';
import {
  EDGE_CORNERS,
  flexicubesTables,
  MAX_GROUP_EDGES,
  MAX_GROUPS,
} from './flexicubes-tables.ts';
import type { SparseLattice } from './sparse-lattice.ts';

/** Predictions where the surface is, through their activations. */
export interface SurfacePredictions {
  /**
   * `[S, 21]` weights of the rows `cellRows` in (-1, 1): hyperbolic tangent, for the last one of half the prediction;
   * 0 for -1.
   */
  readonly weights: Float32Array;
  /**
   * `[P, 3]` displacements in (-1, 1): hyperbolic tangent of the mean over the lists of `pointCorners`, summed from the
   * first list to the last; 0 where all are empty.
   */
  readonly displacements: Float32Array;
  /** `[P, 6]` colours and normals in (0, 1): logistic function of the mean; null where the network predicts none. */
  readonly attributes: Float32Array | null;
}

/** Numbers of the mesh vertices. */
export interface VertexNumbers {
  readonly count: number;
  /** `[S]` number of the first vertex of each surface cell; its others follow. */
  readonly base: Int32Array;
}

/** Columns of the mesh vertices. */
export interface VertexColumns {
  /** `[V, 3]`. */
  readonly positions: Float32Array;
  /** `[V, 3]` or null. */
  readonly colors: Float32Array | null;
  /** `[V, 3]` or null. */
  readonly normals: Float32Array | null;
}

const EDGE_START = Uint8Array.from(EDGE_CORNERS, ([start]) => start);
const EDGE_END = Uint8Array.from(EDGE_CORNERS, ([, end]) => end);

/** How far a point is displaced at most, in cell edges: just under half, so that displaced points never meet. */
export const POINT_REACH: number = (1 - 1e-8) / 2;

/** A surface cell as its vertices need it; only corners at crossed edges are filled in. */
interface CellCorners {
  /** `[3]` position of corner 0, in cell edges. */
  readonly origin: Float64Array;
  /** `[8]` number of each corner. */
  readonly points: Int32Array;
  /** `[8]` weighted signed distances. */
  readonly distances: Float64Array;
  /** `[8]` what part of the vertex under way each corner is, not yet scaled. */
  readonly shares: Float64Array;
}

/** Places the dual vertices: weighted means of the crossings on the edges of each group. */
export function placeDualVertices(
  lattice: SparseLattice,
  surface: SurfaceCells,
  points: CrossedPoints,
  { base, count }: VertexNumbers,
  predictions: SurfacePredictions,
): VertexColumns {
  const { groupCount, groupEdges } = flexicubesTables();
  const { weights, attributes } = predictions;
  const vertices: VertexColumns = {
    positions: new Float32Array(count * 3),
    colors: attributes && new Float32Array(count * 3),
    normals: attributes && new Float32Array(count * 3),
  };
  const cell: CellCorners = {
    origin: new Float64Array(3),
    points: new Int32Array(8),
    distances: new Float64Array(8),
    shares: new Float64Array(8),
  };
  // The steps are functions of their own because they are compiled long before a single loop would be.
  for (let s = 0; s < surface.count; s++) {
    const code = surface.cases[s]!;
    const record = s * CELL_WEIGHTS;
    readCell(lattice, surface.slots[s]!, code, points, weights, record + 12, cell);
    for (let group = 0; group < groupCount[code]!; group++) {
      const total = weighEdges(groupEdges, code * MAX_GROUPS + group, weights, record, cell);
      mixCorners(cell, predictions, total, lattice.resolution, vertices, base[s]! + group);
    }
  }
  return vertices;
}

/** Reads a cell. @param alphas index in `weights` of the corners' weights. */
function readCell(
  lattice: SparseLattice,
  slot: number,
  code: number,
  crossed: CrossedPoints,
  weights: Float32Array,
  alphas: number,
  { origin, points, distances }: CellCorners,
): void {
  const { origins } = lattice;
  const block = (slot >> 6) * 3;
  origin[0] = origins[block]! + ((slot >> 4) & 3);
  origin[1] = origins[block + 1]! + ((slot >> 2) & 3);
  origin[2] = origins[block + 2]! + (slot & 3);
  lattice.cornerSlots(slot, points);
  const involved = crossedCorners(code);
  for (let corner = 0; corner < 8; corner++) {
    if (((involved >> corner) & 1) === 0) continue;
    const point = pointAt(crossed, points[corner]!);
    points[corner] = point;
    distances[corner] = factor(weights[alphas + corner]!) * crossed.distances[point]!;
  }
}

/**
 * Adds each crossing of a group to the shares of the corners that its edge joins.
 *
 * @param record index in `weights` of the cell's weights.
 * @returns the sum of the shares.
 */
function weighEdges(
  groupEdges: Int8Array,
  group: number,
  weights: Float32Array,
  record: number,
  { distances, shares }: CellCorners,
): number {
  let total = 0;
  const list = group * MAX_GROUP_EDGES;
  for (let at = list; at < list + MAX_GROUP_EDGES; at++) {
    const edge = groupEdges[at]!;
    if (edge < 0) break;
    const start = EDGE_START[edge]!;
    const end = EDGE_END[edge]!;
    const beta = factor(weights[record + edge]!);
    // Zero of the linear interpolation between the two ends.
    const towardsStart = (beta * distances[end]!) / (distances[end]! - distances[start]!);
    shares[start] = shares[start]! + towardsStart;
    shares[end] = shares[end]! + beta - towardsStart;
    total += beta;
  }
  return total;
}

/** Writes vertex `vertex`: the mean of the corners by their shares, whose sum is `total`. Leaves the shares zero. */
function mixCorners(
  { origin, points, shares }: CellCorners,
  { displacements, attributes }: SurfacePredictions,
  total: number,
  resolution: number,
  { positions, colors, normals }: VertexColumns,
  vertex: number,
): void {
  let x = origin[0]!;
  let y = origin[1]!;
  let z = origin[2]!;
  let red = 0;
  let green = 0;
  let blue = 0;
  let nx = 0;
  let ny = 0;
  let nz = 0;
  const scale = 1 / total;
  for (let corner = 0; corner < 8; corner++) {
    const share = shares[corner]! * scale;
    if (share === 0) continue;
    shares[corner] = 0;
    const point = points[corner]!;
    x += share * ((corner & 1) + POINT_REACH * displacements[point * 3]!);
    y += share * (((corner >> 1) & 1) + POINT_REACH * displacements[point * 3 + 1]!);
    z += share * ((corner >> 2) + POINT_REACH * displacements[point * 3 + 2]!);
    if (attributes === null) continue;
    red += share * attributes[point * 6]!;
    green += share * attributes[point * 6 + 1]!;
    blue += share * attributes[point * 6 + 2]!;
    nx += share * attributes[point * 6 + 3]!;
    ny += share * attributes[point * 6 + 4]!;
    nz += share * attributes[point * 6 + 5]!;
  }
  const at = vertex * 3;
  positions[at] = x / resolution - 0.5;
  positions[at + 1] = y / resolution - 0.5;
  positions[at + 2] = z / resolution - 0.5;
  if (colors === null || normals === null) return;
  colors[at] = red;
  colors[at + 1] = green;
  colors[at + 2] = blue;
  normals[at] = nx;
  normals[at + 1] = ny;
  normals[at + 2] = nz;
}

/** Numbers the vertices as the published model does: cells with one vertex first, then those with two, three and four. */
export function numberVertices({ count: cells, cases }: SurfaceCells): VertexNumbers {
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
  for (let s = 0; s < cells; s++) {
    const groups = groupCount[cases[s]!]!;
    base[s] = next[groups]!;
    next[groups]! += groups;
  }
  return { count, base };
}

/** Bits of the corners at which crossed edges end. */
function crossedCorners(code: number): number {
  // Along each axis: a corner and its neighbour differ.
  const x = (code ^ (code >> 1)) & 0x55;
  const y = (code ^ (code >> 2)) & 0x33;
  const z = (code ^ (code >> 4)) & 0x0f;
  return x | (x << 1) | y | (y << 2) | z | (z << 4);
}

/** Factor of an edge or a corner by its weight: between 0.01 and 1.99. */
function factor(weight: number): number {
  return 0.99 * weight + 1;
}
