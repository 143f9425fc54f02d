/** Faces: every lattice edge that the surface crosses joins the four cells round it by a quad, all quads at once. */
import {
  add,
  argwhere,
  cast,
  concat,
  equal,
  gather,
  greater,
  mul,
  sortByKey,
  sub,
  tanh,
  type Device,
  type Tensor,
} from '@pergola/core';
import { CELL_WEIGHTS, WEIGHT_CHANNEL } from '../assets/cell-record.ts';
import { QUAD_INDICES, X_RING, Y_RING, Z_RING, type EdgeRing } from '../assets/flexicubes-quads.ts';
import { CORNERS, flexicubesTables } from '../assets/flexicubes-tables.ts';
import { indices, surfaceNumbers, type SurfaceTensors, type VertexTensors } from './cells.ts';
import type { LatticeTensors } from './lattice.ts';
import { distancesAt, type PointDistances } from './points.ts';

/** The edges at the lowest corner of a cell, in the order in which edges of one start point come. */
interface EdgeKind {
  /** Corners of the cell that it joins. */
  readonly corners: readonly [number, number];
  /** Axes along which the cell must not be the grid's first. */
  readonly inner: readonly [number, number];
  /** As which corner the four cells round the edge have the cell's lowest one, the cells ascending by x, y, z, */
  readonly cells: readonly [number, number, number, number];
  /** and the number of the edge within each. */
  readonly edges: EdgeRing;
}

// y-edges run downwards: they start at corner 2.
const EDGE_KINDS: readonly EdgeKind[] = [
  { corners: [2, 0], inner: [0, 2], cells: [5, 1, 4, 0], edges: Y_RING },
  { corners: [0, 4], inner: [0, 1], cells: [3, 1, 2, 0], edges: Z_RING },
  { corners: [0, 1], inner: [1, 2], cells: [6, 2, 4, 0], edges: X_RING },
];
const Y_KIND = 0;
const KINDS = EDGE_KINDS.length;
/** Cells round an edge. */
const RING = 4;

/**
 * `[4, 6]` which of the four cells' vertices the triangles take, by 2 times whether the edge starts outside, plus
 * whether the diagonal joins the pair that belongs to the start of the ring.
 */
const QUAD_ORDERS: readonly number[] = [
  ...[2, 3, 0, 0, 3, 1],
  ...[2, 3, 1, 2, 1, 0],
  ...[0, 1, 2, 2, 1, 3],
  ...[0, 1, 3, 0, 3, 2],
];

/**
 * Builds the triangles, in the published order: edges ascending by their start point, those whose start lies outside
 * first. Edges on the border of the grid have fewer than four cells and give no face.
 *
 * @param records f32 `[N, 53 or 101]`.
 * @returns i32 `[F, 3]` vertex numbers, counter-clockwise seen from outside.
 */
export async function connectVertices(
  lattice: LatticeTensors,
  points: PointDistances,
  surface: SurfaceTensors,
  { base }: VertexTensors,
  records: Tensor,
): Promise<Tensor> {
  const { device } = lattice;
  return device.run(async () => {
    const found = await argwhere(crossedEdges(surface));
    const { cell, kind, outside } = inOrder(lattice, points, surface, found);
    const cells = ringCells(lattice, surface, cell, kind);
    const vertex = device.run(() => {
      const groups = device.tensor(Int32Array.from(flexicubesTables().edgeGroup), [256 * 12]);
      const edges = table(device, (edge) => edge.edges);
      const owners = add(mul(gather(surface.cases, cells), 12), gather(edges, kind).reshape(-1));
      return add(gather(base, cells), gather(groups, owners));
    });
    const along = alongFirst(surface, records, cells, outside);
    return device.run(() => {
      const orders = device.tensor(Int32Array.from(QUAD_ORDERS), [
        QUAD_ORDERS.length / QUAD_INDICES,
        QUAD_INDICES,
      ]);
      const order = gather(orders, add(mul(outside, 2), along));
      const entries = add(order, mul(indices(cell), RING).unsqueeze(1)).reshape(-1);
      return gather(vertex, entries).reshape(2 * cell.size, 3);
    });
  });
}

/** i32 `[3, 4]` of the kinds of edges. */
function table(device: Device, read: (kind: EdgeKind) => readonly number[]): Tensor {
  return device.tensor(Int32Array.from(EDGE_KINDS.flatMap(read)), [KINDS, RING]);
}

/** i32 `[S, 3]`: 1 where an edge at the lowest corner of a cell is crossed and has four cells round it. */
function crossedEdges({ cases, coordinates }: SurfaceTensors): Tensor {
  const { device } = cases;
  return device.run(() => {
    // The same before and after the ambiguity rule, for a complementary case crosses the same.
    const crossed = Int32Array.from({ length: 256 * KINDS }, (_, i) => {
      const [start, end] = EDGE_KINDS[i % KINDS]!.corners;
      const code = Math.floor(i / KINDS);
      return ((code >> start) ^ (code >> end)) & 1;
    });
    const behind = cast(greater(coordinates, 0), 'i32');
    const [first, second] = [0, 1].map((which) => {
      const axes = Int32Array.from(EDGE_KINDS, ({ inner }) => inner[which]!);
      return gather(behind, device.tensor(axes, [KINDS]), { axis: 1 });
    }) as [Tensor, Tensor];
    return mul(gather(device.tensor(crossed, [256, KINDS]), cases), mul(first, second));
  });
}

interface OrderedEdges {
  /** i32 `[E]` surface cell at whose lowest corner the edge lies. */
  readonly cell: Tensor;
  /** i32 `[E]` index in `EDGE_KINDS`. */
  readonly kind: Tensor;
  /** i32 `[E]` 1 where the start lies strictly outside. */
  readonly outside: Tensor;
}

/** @param found i32 `[E, 2]` cell and kind of each edge. */
function inOrder(
  lattice: LatticeTensors,
  points: PointDistances,
  { corners, coordinates }: SurfaceTensors,
  found: Tensor,
): OrderedEdges {
  const { device, resolution } = lattice;
  return device.run(() => {
    const [cell, kind] = found.unbind(1).map((column) => column.toContiguous()) as [Tensor, Tensor];
    const alongY = cast(equal(kind, Y_KIND), 'i32');
    const corner = mul(alongY, EDGE_KINDS[Y_KIND]!.corners[0]);
    const starts = gather(corners.reshape(-1), add(mul(cell, CORNERS), corner));
    const outside = cast(greater(distancesAt(points, starts), 0), 'i32');
    const [x, y, z] = gather(coordinates, cell).unbind(1) as [Tensor, Tensor, Tensor];
    const perAxis = resolution + 1;
    const plane = add(mul(sub(1, outside), perAxis), x);
    const within = add(mul(add(mul(add(y, alongY), perAxis), z), KINDS), kind);
    // In two columns, since one would leave 32 bits on the largest grids.
    const keys = concat([plane.unsqueeze(1), within.unsqueeze(1)], { axis: 1 });
    const { order } = sortByKey(keys);
    return {
      cell: gather(cell, order),
      kind: gather(kind, order),
      outside: gather(outside, order),
    };
  });
}

/** Surface cells round each edge: i32 `[4 E]`. */
function ringCells(
  lattice: LatticeTensors,
  surface: SurfaceTensors,
  cell: Tensor,
  kind: Tensor,
): Tensor {
  const { device } = lattice;
  return device.run(() => {
    const corners = gather(
      table(device, (edge) => edge.cells),
      kind,
    );
    const entries = add(corners, mul(cell, CORNERS).unsqueeze(1)).reshape(-1);
    const slots = gather(surface.around.reshape(-1), entries);
    return gather(surfaceNumbers(lattice, surface), slots);
  });
}

/** i32 `[E]`: 1 where the first and the third vertex of the ring are joined. @param cells i32 `[4 E]`. */
function alongFirst(
  surface: SurfaceTensors,
  records: Tensor,
  cells: Tensor,
  outside: Tensor,
): Tensor {
  return cells.device.run(() => {
    const column = WEIGHT_CHANNEL + CELL_WEIGHTS - 1;
    const raw = gather(records.slice(1, column, column + 1), surface.rows).reshape(-1);
    // Weights that pick the diagonal of the quads round a cell's vertices, between 0.005 and 0.995.
    const gamma = add(mul(tanh(mul(raw, 0.5)), 0.495), 0.5);
    const ring = gather(gamma, cells).reshape(-1, RING);
    const [c0, c1, c2, c3] = ring.unbind(1) as [Tensor, Tensor, Tensor, Tensor];
    // The diagonal joins the pair of opposite cells with the larger product.
    const even = mul(c0, c3);
    const odd = mul(c1, c2);
    const evenWins = cast(greater(even, odd), 'i32');
    const oddWins = cast(greater(odd, even), 'i32');
    return add(mul(outside, evenWins), mul(sub(1, outside), oddWins));
  });
}
