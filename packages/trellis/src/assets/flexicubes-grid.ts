/**
 * Step 1 of mesh extraction: cells arranged on the lattice, and their distances averaged at its points.
 *
 * A point shared by several cells takes the mean of what those cells say about it; a point that no cell touches lies
 * outside (+1). Sums are f32 in cell order, as in the published model.
 */
import { BLOCK_ROWS, SparseLattice } from './sparse-lattice.ts';

/** Cells on their lattice. */
export interface CellGrid {
  readonly lattice: SparseLattice;
  /** `[N]` slot of each cell. */
  readonly slots: Int32Array;
  /** By slot: 1 + row of the cell whose lowest corner is this point, 0 when that cell is not given. */
  readonly cellOf: Int32Array;
  /** By slot: number of given cells that touch the point, 0 to 8. */
  readonly touches: Uint8Array;
}

/**
 * Arranges the cells.
 *
 * @param coords `[N, width]`, x, y, z in the last three columns.
 * @returns the grid, or the row of a cell that repeats an earlier one.
 */
export function arrangeCells(
  coords: Int32Array,
  width: number,
  resolution: number,
): CellGrid | { duplicate: number } {
  const lattice = new SparseLattice(coords, width, resolution);
  const count = coords.length / width;
  const slots = new Int32Array(count);
  const cellOf = new Int32Array(lattice.slots);
  const touches = new Uint8Array(lattice.slots);
  const corners = new Int32Array(8);
  for (let cell = 0; cell < count; cell++) {
    const at = cell * width + width - 3;
    const slot = lattice.slotOf(coords[at]!, coords[at + 1]!, coords[at + 2]!);
    if (cellOf[slot] !== 0) return { duplicate: cell };
    cellOf[slot] = cell + 1;
    slots[cell] = slot;
    lattice.cornerSlots(slot, corners);
    // Written out, here and below: a loop over eight takes twice the time.
    increment(touches, corners[0]!);
    increment(touches, corners[1]!);
    increment(touches, corners[2]!);
    increment(touches, corners[3]!);
    increment(touches, corners[4]!);
    increment(touches, corners[5]!);
    increment(touches, corners[6]!);
    increment(touches, corners[7]!);
  }
  return { lattice, slots, cellOf, touches };
}

function increment(counts: Uint8Array, at: number): void {
  counts[at] = counts[at]! + 1;
}

/** Signed distances on the lattice. */
export interface DistanceField {
  /** By slot: signed distance, negative inside; means nothing where no cell touches. */
  readonly sdf: Float32Array;
  /** By row of eight slots: a bit for every point that lies inside, its distance strictly negative. */
  readonly inside: Uint8Array;
  /** Likewise for points whose distance is strictly positive. */
  readonly outside: Uint8Array;
}

/**
 * Averages the signed distances.
 *
 * @param features `[N, channels]`, the distances at the eight corners first.
 */
export function averageDistances(
  grid: CellGrid,
  features: Float32Array,
  channels: number,
): DistanceField {
  const { lattice, slots, touches } = grid;
  const sdf = new Float32Array(lattice.slots);
  // The network predicts distances that are one cell edge too large by convention.
  const bias = Math.fround(-1 / lattice.resolution);
  const corners = new Int32Array(8);
  for (let cell = 0; cell < slots.length; cell++) {
    lattice.cornerSlots(slots[cell]!, corners);
    const record = cell * channels;
    accumulate(sdf, corners[0]!, features[record]! + bias);
    accumulate(sdf, corners[1]!, features[record + 1]! + bias);
    accumulate(sdf, corners[2]!, features[record + 2]! + bias);
    accumulate(sdf, corners[3]!, features[record + 3]! + bias);
    accumulate(sdf, corners[4]!, features[record + 4]! + bias);
    accumulate(sdf, corners[5]!, features[record + 5]! + bias);
    accumulate(sdf, corners[6]!, features[record + 6]! + bias);
    accumulate(sdf, corners[7]!, features[record + 7]! + bias);
  }

  const rows = (lattice.blockCount + 1) * BLOCK_ROWS;
  const inside = new Uint8Array(rows);
  const outside = new Uint8Array(rows).fill(255);
  // Four points at a time, to pass over those that no cell touches.
  const quads = new Uint32Array(touches.buffer);
  for (let row = 0; row < rows; row++) {
    if ((quads[row * 2]! | quads[row * 2 + 1]!) === 0) continue;
    let negative = 0;
    let positive = 0;
    for (let z = 0; z < 8; z++) {
      const point = row * 8 + z;
      const contributions = touches[point]!;
      const distance = contributions === 0 ? 1 : Math.fround(sdf[point]! / contributions);
      sdf[point] = distance;
      negative |= Number(distance < 0) << z;
      positive |= Number(distance > 0) << z;
    }
    inside[row] = negative;
    outside[row] = positive;
  }
  return { sdf, inside, outside };
}

/** Adds in f32. */
function accumulate(sums: Float32Array, at: number, value: number): void {
  sums[at] = sums[at]! + Math.fround(value);
}
