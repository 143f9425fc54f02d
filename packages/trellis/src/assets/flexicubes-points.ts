/**
 * Step 3 of mesh extraction: which rows of the predictions the surface needs, and what comes of them at the points.
 *
 * A point takes the mean of what the given cells round it say. The contributions are summed in f32 from the lowest cell
 * to the highest, so the sums do not depend on the order of the rows, and a device can form them with eight gathers.
 */
import { sigmoid, tanh } from './activations.ts';
import type { CrossedPoints, SurfaceCells } from './flexicubes-cells.ts';
import type { CellGrid, DistanceField } from './flexicubes-grid.ts';
import { BLOCK_BITS, BLOCK_MASK } from './sparse-lattice.ts';

/** Corner as which the cells round a point have it, the cells ascending by x, y, z. */
const ROUND_CORNERS = Uint8Array.of(7, 3, 5, 1, 6, 2, 4, 0);

/** What speaks of each point: `[8, P]` of `8 * row + corner`, the cells round it ascending, -1 where none is given. */
export function cornersAtPoints(grid: CellGrid, points: CrossedPoints): Int32Array {
  const { cellOf, lattice } = grid;
  const { count, used } = points;
  const out = new Int32Array(count * 8);
  const cells = new Int32Array(8);
  let point = 0;
  for (let row = 0; row < used.length; row++) {
    for (let rest = used[row]!; rest !== 0; rest &= rest - 1) {
      lattice.cellSlots(row * 8 + 31 - Math.clz32(rest & -rest), cells);
      for (let k = 0; k < 8; k++) {
        const corner = ROUND_CORNERS[k]!;
        const cell = cellOf[cells[corner]!]! - 1;
        out[k * count + point] = cell < 0 ? -1 : cell * 8 + corner;
      }
      point++;
    }
  }
  return out;
}

/** Row of each surface cell, -1 for those that were not given. */
export function rowsOfSurface({ cellOf }: CellGrid, { slots }: SurfaceCells): Int32Array {
  return slots.map((slot) => cellOf[slot]! - 1);
}

/** Values at the numbered points. */
export interface PointValues {
  /** `[P]` signed distance. */
  readonly sdf: Float32Array;
  /** `[P, 3 or 9]` world position, displaced by at most half a cell, then perhaps colour and normal in (0, 1). */
  readonly columns: Float32Array;
  readonly stride: 3 | 9;
}

/**
 * Turns sums into values.
 *
 * @param displacements `[P, 3]` and `attributes` `[P, 6]` (or null) summed over the given cells round each point.
 */
export function evaluatePoints(
  grid: CellGrid,
  field: DistanceField,
  points: CrossedPoints,
  displacements: Float32Array,
  attributes: Float32Array | null,
): PointValues {
  const { lattice, touches } = grid;
  const { blocks, resolution } = lattice;
  const { count, used } = points;
  const stride = attributes === null ? 3 : 9;
  const sdf = new Float32Array(count);
  const columns = new Float32Array(count * stride);
  // Just under half a cell, so that displaced points never meet.
  const reach = (1 - 1e-8) / (2 * resolution);
  let point = 0;
  for (let row = 0; row < used.length; row++) {
    for (let rest = used[row]!; rest !== 0; rest &= rest - 1) {
      const slot = row * 8 + 31 - Math.clz32(rest & -rest);
      const contributions = touches[slot]!;
      const share = 1 / Math.max(contributions, 1);
      const block = (slot >> 9) * 3;
      const x = (blocks[block]! << BLOCK_BITS) + ((slot >> 6) & BLOCK_MASK);
      const y = (blocks[block + 1]! << BLOCK_BITS) + ((slot >> 3) & BLOCK_MASK);
      const z = (blocks[block + 2]! << BLOCK_BITS) + (slot & BLOCK_MASK);
      const from = point * 3;
      const to = point * stride;
      sdf[point] = contributions === 0 ? 1 : field.sdf[slot]!;
      columns[to] = x / resolution - 0.5 + reach * tanh(displacements[from]! * share);
      columns[to + 1] = y / resolution - 0.5 + reach * tanh(displacements[from + 1]! * share);
      columns[to + 2] = z / resolution - 0.5 + reach * tanh(displacements[from + 2]! * share);
      if (attributes !== null) {
        for (let c = 0; c < 6; c++) {
          columns[to + 3 + c] = sigmoid(attributes[point * 6 + c]! * share);
        }
      }
      point++;
    }
  }
  return { sdf, columns, stride };
}
