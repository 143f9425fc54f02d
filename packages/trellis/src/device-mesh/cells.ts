/** The cells that the surface crosses, in the order of the grid: their cases, and the numbers of their vertices. */
import {
  add,
  argwhere,
  cast,
  concat,
  cumsum,
  full,
  gather,
  greater,
  less,
  logicalAnd,
  mul,
  scatterReduce,
  sortByKey,
  sub,
  sum,
  type Tensor,
} from '@pergola/core';
import { CORNERS, flexicubesTables } from '../assets/flexicubes-tables.ts';
import { BLOCK_SLOTS } from '../assets/sparse-lattice.ts';
import { consume } from '../nn/steps.ts';
import { coordinatesOf, rowsAt, stepFromAll, stepsFrom, type LatticeTensors } from './lattice.ts';
import type { PointDistances } from './points.ts';

/** Surface cells, ascending by x, y, z. */
export interface SurfaceTensors {
  readonly count: number;
  /** i32 `[S]`. */
  readonly slots: Tensor;
  /** i32 `[S]` row of the predictions, -1 for cells that were not given. */
  readonly rows: Tensor;
  /** i32 `[S, 3]`. */
  readonly coordinates: Tensor;
  /** i32 `[S]` case after the ambiguity rule. */
  readonly cases: Tensor;
  /** i32 `[S, 8]` slots of the corners. */
  readonly corners: Tensor;
  /** i32 `[S, 8]` slots of the cells that have the lowest corner of this one as their corner `i`. */
  readonly around: Tensor;
}

/** Bits of the corners of a cell that lie inside. */
const ALL_INSIDE = 255;

/** Finds the surface cells. */
export async function findCells(
  lattice: LatticeTensors,
  points: PointDistances,
): Promise<SurfaceTensors> {
  const { device } = lattice;
  return device.run(async () => {
    const codes = cornerCodes(lattice, points.inside);
    const crossed = device.run(() => logicalAnd(greater(codes, 0), less(codes, ALL_INSIDE)));
    const found = await argwhere(crossed);
    const count = found.shape[0]!;
    const { slots, coordinates } = inGridOrder(lattice, found.reshape(count));
    const corners = stepsFrom(lattice.corners, slots);
    const around = stepsFrom(lattice.cells, slots);
    const cases = settleCases(slots, corners, around, codes);
    return { count, slots, rows: rowsAt(lattice, slots), coordinates, cases, corners, around };
  });
}

/** By slot: bit `i` is set where corner `i` of the cell lies inside; 0 beyond the grid. */
function cornerCodes(lattice: LatticeTensors, inside: Tensor): Tensor {
  const { device, blockCount } = lattice;
  let codes = full(device, [lattice.slotCount], 0, 'i32');
  for (let corner = 0; corner < CORNERS; corner++) {
    codes = consume(codes, (codes) => {
      const bits = gather(inside, stepFromAll(lattice.corners, corner, blockCount));
      return add(codes, mul(bits, 1 << corner));
    });
  }
  return lattice.partial ? consume(codes, (codes) => mul(codes, insideGrid(lattice))) : codes;
}

/** By slot: 1 for cells of the grid. */
function insideGrid({ device, origins, offsets, blockCount, resolution }: LatticeTensors): Tensor {
  return device.run(() => {
    const [inX, inY, inZ] = [0, 1, 2].map((axis) =>
      less(add(origins.slice(1, axis, axis + 1), offsets.select(1, axis)), resolution),
    ) as [Tensor, Tensor, Tensor];
    const cells = logicalAnd(logicalAnd(inX, inY), inZ);
    return cast(cells, 'i32').reshape(blockCount * BLOCK_SLOTS);
  });
}

/** Sorts slots by their coordinates. @param slots i32 `[S]`. */
function inGridOrder(
  lattice: LatticeTensors,
  slots: Tensor,
): Pick<SurfaceTensors, 'slots' | 'coordinates'> {
  const { device, resolution } = lattice;
  return device.run(() => {
    const weights = device.tensor(Int32Array.of(resolution * resolution, resolution, 1), [3]);
    const coordinates = coordinatesOf(lattice, slots);
    const { order } = sortByKey(sum(mul(coordinates, weights), { axes: [1] }));
    return { slots: gather(slots, order), coordinates: gather(coordinates, order) };
  });
}

/**
 * The ambiguity rule: a cell and its neighbour that disagree about their common face both take the complementary case.
 *
 * @param codes by slot, before any switch.
 */
function settleCases(slots: Tensor, corners: Tensor, around: Tensor, codes: Tensor): Tensor {
  const { device } = slots;
  return device.run(() => {
    const tables = flexicubesTables();
    const ambiguous = device.tensor(Int32Array.from(tables.ambiguous), [256]);
    const towards = device.tensor(ambiguousNeighbors(tables.ambiguousStep), [256]);
    const own = gather(codes, slots);
    const neighbors = concat([corners, around], { axis: 1 });
    const width = 2 * CORNERS;
    const entries = add(mul(indices(slots), width), gather(towards, own));
    const others = gather(codes, gather(neighbors.reshape(-1), entries));
    const switched = mul(gather(ambiguous, own), gather(ambiguous, others));
    return add(own, mul(switched, sub(ALL_INSIDE, mul(own, 2))));
  });
}

/** By case: which of the eight cells ahead, or else of the eight behind, lies behind the ambiguous face. */
function ambiguousNeighbors(steps: Int8Array): Int32Array {
  return Int32Array.from({ length: 256 }, (_, code) => {
    const step = [...steps.subarray(3 * code, 3 * code + 3)];
    const axis = step.findIndex((extent) => extent !== 0);
    if (axis < 0) return 0;
    return (1 << axis) + (step[axis]! < 0 ? CORNERS : 0);
  });
}

/** 0, 1, ... as many as `x` is long: i32. */
export function indices(x: Tensor): Tensor {
  return x.device.run(() =>
    cumsum(full(x.device, [x.size], 1, 'i32'), { axis: 0, exclusive: true }),
  );
}

/** Numbers of the mesh vertices: cells with one vertex first, then those with two, three and four. */
export interface VertexTensors {
  readonly count: number;
  /** i32 `[S]` number of a cell's first vertex; its others follow. */
  readonly base: Tensor;
  /** i32 `[V]` surface cell of each vertex, */
  readonly cell: Tensor;
  /** and which of its vertices this is. */
  readonly group: Tensor;
}

/** Numbers the vertices as the published model does. */
export async function numberVertices({ count, cases }: SurfaceTensors): Promise<VertexTensors> {
  const { device } = cases;
  return device.run(async () => {
    const groupCount = device.tensor(Int32Array.from(flexicubesTables().groupCount), [256]);
    const { keys, order } = sortByKey(gather(groupCount, cases));
    const vertexCount = await sum(keys).item();
    const starts = cumsum(keys, { axis: 0, exclusive: true });
    const begun = scatterReduce(full(device, [count], 1, 'i32'), starts, { size: vertexCount });
    const place = sub(cumsum(begun, { axis: 0 }), 1);
    return {
      count: vertexCount,
      base: scatterReduce(starts, order, { size: count }),
      cell: gather(order, place),
      group: sub(indices(place), gather(starts, place)),
    };
  });
}

/** By slot: number of the surface cell there. Meaningless elsewhere. */
export function surfaceNumbers({ slotCount }: LatticeTensors, { slots }: SurfaceTensors): Tensor {
  return slots.device.run(() => scatterReduce(indices(slots), slots, { size: slotCount }));
}
