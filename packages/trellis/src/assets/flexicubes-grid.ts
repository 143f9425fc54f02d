/**
 * Step 1 of mesh extraction: cells arranged on the lattice, and their distances summed at its points.
 *
 * A point shared by several cells takes the mean of what those cells say about it. Sums are f32 in cell order, as in
 * the published model; the mean has their sign, so it is formed later and only where the surface is.
 */
import { BLOCK_BITS, BLOCK_SLOTS, SparseLattice } from './sparse-lattice.ts';

/** Cells on their lattice. */
export interface CellGrid {
  readonly lattice: SparseLattice;
  /** `[N]` slot of each cell. */
  readonly slots: Int32Array;
  /** By slot, as far as cells are given: 1 + row of the cell whose lowest corner is this point, 0 where there is none. */
  readonly cellOf: Int32Array;
}

/** Row of the cell at a slot, -1 when that cell is not given. */
export function rowAt({ cellOf }: CellGrid, slot: number): number {
  return slot < cellOf.length ? cellOf[slot]! - 1 : -1;
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
  const cellOf = new Int32Array(lattice.cellSlotCount);
  for (let cell = 0; cell < count; cell++) {
    const at = cell * width + width - 3;
    const slot = lattice.slotOf(coords[at]!, coords[at + 1]!, coords[at + 2]!);
    if (cellOf[slot] !== 0) return { duplicate: cell };
    cellOf[slot] = cell + 1;
    slots[cell] = slot;
  }
  return { lattice, slots, cellOf };
}

/**
 * `[64]` place within its block of each cell of a voxel that was subdivided twice: bits 5 to 3 of the row are the octant,
 * bits 2 to 0 that within it, x highest.
 */
const SUBDIVIDED_PLACES = Uint8Array.from({ length: BLOCK_SLOTS }, (_, row) => {
  let place = 0;
  for (let axis = 0; axis < 3; axis++) {
    const [coarse, fine] = [(row >> (5 - axis)) & 1, (row >> (2 - axis)) & 1];
    place |= (2 * coarse + fine) << ((2 - axis) * BLOCK_BITS);
  }
  return place;
});

/**
 * Arranges the cells of voxels that were subdivided twice, which fill a block each.
 *
 * @param voxels `[V, width]`, x, y, z in the last three columns.
 * @param resolution cells along each axis, four times the voxels.
 * @returns the grid, or the row of a voxel that repeats an earlier one.
 */
export function arrangeVoxels(
  voxels: Int32Array,
  width: number,
  resolution: number,
): CellGrid | { duplicate: number } {
  const count = voxels.length / width;
  const lowest = new Int32Array(count * 3);
  for (let i = 0; i < lowest.length; i++) {
    const row = Math.floor(i / 3);
    lowest[i] = voxels[row * width + width - 3 + (i % 3)]! << BLOCK_BITS;
  }
  const lattice = new SparseLattice(lowest, 3, resolution);
  const slots = new Int32Array(count * BLOCK_SLOTS);
  const cellOf = new Int32Array(lattice.cellSlotCount);
  for (let voxel = 0; voxel < count; voxel++) {
    const at = voxel * 3;
    const block = lattice.slotOf(lowest[at]!, lowest[at + 1]!, lowest[at + 2]!);
    if (cellOf[block] !== 0) return { duplicate: voxel };
    const first = voxel * BLOCK_SLOTS;
    for (let row = 0; row < BLOCK_SLOTS; row++) {
      const slot = block + SUBDIVIDED_PLACES[row]!;
      slots[first + row] = slot;
      cellOf[slot] = first + row + 1;
    }
  }
  return { lattice, slots, cellOf };
}

/**
 * Sums the signed distances that cells give their corners.
 *
 * @param features `[N, channels]`, the distances at the eight corners first.
 * @returns by slot, as far as cells touch: the sum of what they say.
 */
export function sumDistances(
  { lattice, slots }: CellGrid,
  features: Float32Array,
  channels: number,
): Float32Array {
  const sums = new Float32Array(lattice.pointSlotCount);
  // The network predicts distances that are one cell edge too large by convention.
  const bias = Math.fround(-1 / lattice.resolution);
  const corners = new Int32Array(8);
  for (let cell = 0; cell < slots.length; cell++) {
    lattice.cornerSlots(slots[cell]!, corners);
    const record = cell * channels;
    // Written out: a loop over eight takes twice the time.
    accumulate(sums, corners[0]!, features[record]! + bias);
    accumulate(sums, corners[1]!, features[record + 1]! + bias);
    accumulate(sums, corners[2]!, features[record + 2]! + bias);
    accumulate(sums, corners[3]!, features[record + 3]! + bias);
    accumulate(sums, corners[4]!, features[record + 4]! + bias);
    accumulate(sums, corners[5]!, features[record + 5]! + bias);
    accumulate(sums, corners[6]!, features[record + 6]! + bias);
    accumulate(sums, corners[7]!, features[record + 7]! + bias);
  }
  return sums;
}

/** Adds in f32. */
function accumulate(sums: Float32Array, at: number, value: number): void {
  sums[at] = sums[at]! + Math.fround(value);
}

/** The points that lie inside, their distance strictly negative, as a set of slots. */
export function insidePoints({ lattice }: CellGrid, sums: Float32Array): Int32Array {
  const inside = new Int32Array(lattice.words);
  for (let slot = 0; slot < sums.length; slot += 32) {
    let word = 0;
    for (let bit = 0; bit < 32; bit++) word |= Number(sums[slot + bit]! < 0) << bit;
    inside[slot >> 5] = word;
  }
  return inside;
}
