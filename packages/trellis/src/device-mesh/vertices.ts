/** Dual vertices: weighted means of the crossings on the edges of each group, all vertices at once. */
import {
  add,
  argwhere,
  cast,
  concat,
  cumsum,
  div,
  gather,
  greater,
  matmul,
  mul,
  full,
  scatterReduce,
  sigmoid,
  sub,
  sum,
  tanh,
  where,
  zeros,
  type Device,
  type Tensor,
} from '@pergola/core';
import {
  ATTRIBUTE_CHANNEL,
  CHANNELS_COLORED,
  DISPLACEMENT_CHANNEL,
  WEIGHT_CHANNEL,
} from '../assets/cell-record.ts';
import {
  CORNERS,
  EDGE_CORNERS,
  flexicubesTables,
  MAX_GROUP_EDGES,
  MAX_GROUPS,
} from '../assets/flexicubes-tables.ts';
import { POINT_REACH } from '../assets/flexicubes-vertices.ts';
import { consume } from '../nn/steps.ts';
import type { SurfaceTensors, VertexTensors } from './cells.ts';
import type { LatticeTensors } from './lattice.ts';
import { distancesAt, meanAtPoints, type PointDistances } from './points.ts';

const EDGES = EDGE_CORNERS.length;

/**
 * Places the vertices.
 *
 * @param records f32 `[N, 53 or 101]`.
 * @returns f32 `[V, 3]` positions, or `[V, 9]` with colours and normals behind.
 */
export async function placeVertices(
  lattice: LatticeTensors,
  points: PointDistances,
  surface: SurfaceTensors,
  vertices: VertexTensors,
  records: Tensor,
): Promise<Tensor> {
  const { device } = lattice;
  return device.run(async () => {
    const corners = gather(surface.corners, vertices.cell);
    const shares = cornerShares(points, surface, vertices, corners, records);
    const used = device.run(() =>
      where(greater(shares, 0), corners, full(device, [1], -1, 'i32')).reshape(-1),
    );
    const marked = device.run(() => {
      const times = scatterReduce(full(device, [used.size], 1, 'i32'), used, {
        size: lattice.slotCount,
      });
      return cast(greater(times, 0), 'i32');
    });
    const found = await argwhere(marked);
    const values = valuesAtPoints(lattice, found.reshape(found.shape[0]!), records);
    const numbers = device
      .run(() => gather(cumsum(marked, { axis: 0, exclusive: true }), corners.reshape(-1)))
      .reshape(...corners.shape);
    const mixed = mixCorners(shares, numbers, values);
    return addOrigins(lattice, surface, vertices, shares, mixed);
  });
}

/** What part of its vertex each corner of a cell is: f32 `[V, 8]`, rows sum to 1. */
function cornerShares(
  points: PointDistances,
  surface: SurfaceTensors,
  { cell, group }: VertexTensors,
  corners: Tensor,
  records: Tensor,
): Tensor {
  const { device } = corners;
  return device.run(() => {
    const rows = gather(surface.rows, cell);
    const raw = gather(records.slice(1, WEIGHT_CHANNEL, WEIGHT_CHANNEL + EDGES + CORNERS), rows);
    // Factors of the edges and the corners: between 0.01 and 1.99.
    const factors = consume(raw, (raw) => add(mul(tanh(raw), 0.99), 1));
    const distances = mul(
      distancesAt(points, corners.reshape(-1)).reshape(...corners.shape),
      factors.slice(1, EDGES),
    );
    const number = add(mul(gather(surface.cases, cell), MAX_GROUPS), group);
    const member = gather(groupMembers(device), number);
    const weights = mul(factors.slice(1, 0, EDGES), member);
    const [starts, ends] = [0, 1].map((end) => edgeEnds(device, end)) as [EdgeEnds, EdgeEnds];
    const atStart = gather(distances, starts.corners, { axis: 1 });
    const atEnd = gather(distances, ends.corners, { axis: 1 });
    // Zero of the linear interpolation between the two ends; on other edges it may not exist.
    const crossing = div(mul(weights, atEnd), sub(atEnd, atStart));
    const towardsStart = where(greater(member, 0), crossing, zeros(device, [1]));
    const towardsEnd = sub(weights, towardsStart);
    const shares = add(matmul(towardsStart, starts.spread), matmul(towardsEnd, ends.spread));
    return div(shares, sum(weights, { axes: [1], keepDims: true }));
  });
}

/** One end of the edges of a cell. */
interface EdgeEnds {
  /** i32 `[12]`. */
  readonly corners: Tensor;
  /** f32 `[12, 8]` 1 at the corner of each edge. */
  readonly spread: Tensor;
}

function edgeEnds(device: Device, end: number): EdgeEnds {
  const corners = Int32Array.from(EDGE_CORNERS, (edge) => edge[end]!);
  const spread = new Float32Array(EDGES * CORNERS);
  corners.forEach((corner, edge) => (spread[edge * CORNERS + corner] = 1));
  return {
    corners: device.tensor(corners, [EDGES]),
    spread: device.tensor(spread, [EDGES, CORNERS]),
  };
}

/** f32 `[256 * 4, 12]` by case and group: 1 for the edges of the group. */
function groupMembers(device: Device): Tensor {
  const { groupEdges } = flexicubesTables();
  const groups = groupEdges.length / MAX_GROUP_EDGES;
  const members = new Float32Array(groups * EDGES);
  groupEdges.forEach((edge, at) => {
    if (edge >= 0) members[Math.floor(at / MAX_GROUP_EDGES) * EDGES + edge] = 1;
  });
  return device.tensor(members, [groups, EDGES]);
}

/** Displacement in cell edges of some points, with colour and normal behind where predicted: f32 `[P, 3 or 9]`. */
function valuesAtPoints(lattice: LatticeTensors, points: Tensor, records: Tensor): Tensor {
  return points.device.run(() => {
    const mean = (first: number, end: number): Tensor =>
      meanAtPoints(lattice, points, records.slice(1, first, end));
    const displacements = consume(mean(DISPLACEMENT_CHANNEL, WEIGHT_CHANNEL), (mean) =>
      mul(tanh(mean), POINT_REACH),
    );
    if (records.shape[1] !== CHANNELS_COLORED) return displacements;
    const attributes = consume(mean(ATTRIBUTE_CHANNEL, CHANNELS_COLORED), sigmoid);
    return concat([displacements, attributes], { axis: 1 });
  });
}

/**
 * Mixes the values of a cell's corners.
 *
 * @param shares f32 `[V, 8]`.
 * @param numbers i32 `[V, 8]` of the points.
 * @param values f32 `[P, C]`.
 * @returns f32 `[V, C]`.
 */
function mixCorners(shares: Tensor, numbers: Tensor, values: Tensor): Tensor {
  const { device } = shares;
  let mixed = zeros(device, [shares.shape[0]!, values.shape[1]!]);
  for (let corner = 0; corner < CORNERS; corner++) {
    mixed = consume(mixed, (mixed) => {
      const point = numbers.slice(1, corner, corner + 1).reshape(-1);
      return add(mixed, mul(gather(values, point), shares.slice(1, corner, corner + 1)));
    });
  }
  return mixed;
}

/** Turns mixed displacements into positions in `[-0.5, 0.5]`. */
function addOrigins(
  { device, resolution }: LatticeTensors,
  surface: SurfaceTensors,
  { cell }: VertexTensors,
  shares: Tensor,
  mixed: Tensor,
): Tensor {
  return device.run(() => {
    const origins = cast(gather(surface.coordinates, cell), 'f32');
    const inCell = add(matmul(shares, cornerPositions(device)), mixed.slice(1, 0, 3));
    const positions = sub(div(add(origins, inCell), resolution), 0.5);
    return mixed.shape[1] === 3 ? positions : concat([positions, mixed.slice(1, 3)], { axis: 1 });
  });
}

/** f32 `[8, 3]`. */
function cornerPositions(device: Device): Tensor {
  const positions = Float32Array.from({ length: CORNERS * 3 }, (_, i) => {
    return (Math.floor(i / 3) >> (i % 3)) & 1;
  });
  return device.tensor(positions, [CORNERS, 3]);
}
