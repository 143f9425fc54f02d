/**
 * Step 3 of mesh extraction: the ends of crossed edges, and which rows of the predictions speak of them.
 *
 * A point takes the mean of what the given cells round it say. The contributions are summed in f32 from the lowest cell
 * to the highest, so the sums do not depend on the order of the rows, and a device can form them with eight gathers.
 */
import type { SurfaceCells } from './flexicubes-cells.ts';
import { rowAt, type CellGrid } from './flexicubes-grid.ts';
import { bitCount } from './sparse-lattice.ts';

/** The ends of crossed edges, numbered in the order of the blocks. */
export interface CrossedPoints {
  readonly count: number;
  /** The points as a set of slots. */
  readonly ends: Int32Array;
  /** By word of this set: number of its first point. */
  readonly first: Int32Array;
  /** `[8, P]` of `8 * row + corner`: the cells round the points, ascending; -1 where none is given. */
  readonly corners: Int32Array;
  /** `[P]` signed distance; points that no cell touches lie outside (+1). */
  readonly distances: Float32Array;
  /** The points among them whose distance is strictly positive, as a set of slots. */
  readonly outside: Int32Array;
  /** `[P]` 1 / number of given cells round the point; 1 where there is none. */
  readonly shares: Float32Array;
}

/** Number of a point. */
export function pointAt({ ends, first }: CrossedPoints, slot: number): number {
  const word = slot >> 5;
  return first[word]! + bitCount(ends[word]! & ((1 << (slot & 31)) - 1));
}

/** Corner as which the cells round a point have it, the cells ascending by x, y, z. */
export const ROUND_CORNERS: Uint8Array = Uint8Array.of(7, 3, 5, 1, 6, 2, 4, 0);

/**
 * Looks up what is known of points.
 *
 * @param sums by slot: the given distances, summed.
 * @param ends the points as a set of slots.
 */
export function describePoints(
  grid: CellGrid,
  sums: Float32Array,
  ends: Int32Array,
): CrossedPoints {
  const slots = grid.lattice.slotsIn(ends);
  const count = slots.length;
  const corners = new Int32Array(8 * count);
  const given = new Uint8Array(count);
  ROUND_CORNERS.forEach((corner, k) => {
    listCells(grid, slots, corner, corners.subarray(k * count, (k + 1) * count), given);
  });

  const first = new Int32Array(ends.length);
  const outside = new Int32Array(ends.length);
  const distances = new Float32Array(count);
  const shares = new Float32Array(count);
  let word = -1;
  for (let point = 0; point < count; point++) {
    const slot = slots[point]!;
    if (slot >> 5 !== word) {
      word = slot >> 5;
      first[word] = point;
    }
    const cells = given[point]!;
    const distance = cells === 0 ? 1 : Math.fround(sums[slot]! / cells);
    distances[point] = distance;
    outside[word]! |= Number(distance > 0) << (slot & 31);
    shares[point] = 1 / Math.max(cells, 1);
  }
  return { count, ends, first, corners, distances, outside, shares };
}

/** Lists the cells that have the points as this corner, and counts them in `given`. */
function listCells(
  grid: CellGrid,
  slots: Int32Array,
  corner: number,
  list: Int32Array,
  given: Uint8Array,
): void {
  const { lattice } = grid;
  for (let point = 0; point < slots.length; point++) {
    const row = rowAt(grid, lattice.cellSlot(slots[point]!, corner));
    list[point] = row < 0 ? -1 : row * 8 + corner;
    given[point] = given[point]! + Number(row >= 0);
  }
}

/** Row of each surface cell, -1 for those that were not given. */
export function rowsOfSurface(grid: CellGrid, { slots }: SurfaceCells): Int32Array {
  const rows = new Int32Array(slots.length);
  for (let s = 0; s < rows.length; s++) rows[s] = rowAt(grid, slots[s]!);
  return rows;
}
