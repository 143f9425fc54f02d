/**
 * A sparse cubic lattice: blocks of 8x8x8 points that exist only near given cells.
 *
 * Values live in plain arrays indexed by slot (`block * 512 + point within the block`), so neighbours are close in
 * memory and a lookup is one directory read. A cell shares the slot of its lowest corner. Blocks are numbered along x,
 * then y, then z; the number after the last stands for all blocks that do not exist.
 */
export const BLOCK_BITS = 3;
export const BLOCK_MASK = 7;
/** Slots of one block. */
export const BLOCK_SLOTS = 512;
/** Rows of eight slots along z in one block; row `slot >> 3` can keep one bit per point in a byte. */
export const BLOCK_ROWS = 64;

/** Cells along an axis at most: keeps `3 * points^3` below 2^32 and the directory below 10 MB. */
export const MAX_LATTICE_RESOLUTION = 1024;

/** Cells are marked in cubes of this edge; what surrounds a cube may exist without need, what is needed always does. */
const MARK_BITS = 2;

/** Slot bits of a point's place within its block; all set along an axis means the last place, none the first. */
const X_BITS = 0o700;
const Y_BITS = 0o70;
const Z_BITS = 0o7;

export class SparseLattice {
  /** Cells along each axis; points are one more. */
  readonly resolution: number;
  readonly blocksPerAxis: number;
  readonly blockCount: number;
  /** `[blockCount, 3]` block coordinates, ascending. */
  readonly blocks: Uint8Array;
  /** `[blocksPerAxis^2 + 1]` first block of each `(x, y)` column of blocks. */
  readonly columnStart: Int32Array;
  /** `[blockCount, 8]` the block `(i & 1, i >> 1 & 1, i >> 2)` further, `blockCount` where it does not exist. */
  readonly next: Int32Array;
  /** `[blockCount, 8]` likewise the block that lies before. */
  readonly previous: Int32Array;
  /** `[blocksPerAxis^3]` number of the block. */
  readonly #directory: Int32Array;

  /**
   * A lattice with room for every point within one cell of the given cells.
   *
   * @param coords `[N, width]`; the last three columns are x, y, z from 0 to `resolution - 1`.
   */
  constructor(coords: Int32Array, width: number, resolution: number) {
    this.resolution = resolution;
    const perAxis = (resolution >> BLOCK_BITS) + 1;
    this.blocksPerAxis = perAxis;
    const directory = markBlocks(coords, width, resolution, perAxis);
    this.#directory = directory;
    let count = 0;
    this.columnStart = new Int32Array(perAxis * perAxis + 1);
    for (let entry = 0; entry < directory.length; entry++) {
      if (entry % perAxis === 0) this.columnStart[entry / perAxis] = count;
      if (directory[entry] === 1) directory[entry] = count++;
      else directory[entry] = -1;
    }
    this.columnStart[perAxis * perAxis] = count;
    this.blockCount = count;

    this.blocks = new Uint8Array(count * 3);
    this.next = new Int32Array(count * 8).fill(count);
    this.previous = new Int32Array(count * 8).fill(count);
    for (let entry = 0; entry < directory.length; entry++) {
      const block = directory[entry]!;
      if (block < 0) continue;
      const bz = entry % perAxis;
      const by = Math.floor(entry / perAxis) % perAxis;
      const bx = Math.floor(entry / (perAxis * perAxis));
      this.blocks[block * 3] = bx;
      this.blocks[block * 3 + 1] = by;
      this.blocks[block * 3 + 2] = bz;
      for (let i = 0; i < 8; i++) {
        const [x, y, z] = [bx + (i & 1), by + ((i >> 1) & 1), bz + (i >> 2)];
        if (Math.max(x, y, z) >= perAxis) continue;
        const other = directory[(x * perAxis + y) * perAxis + z]!;
        if (other < 0) continue;
        this.next[block * 8 + i] = other;
        this.previous[other * 8 + i] = block;
      }
    }
  }

  /** Length that an array indexed by slot must have; the last block holds what no block does. */
  get slots(): number {
    return (this.blockCount + 1) * BLOCK_SLOTS;
  }

  /** Slot of a point or cell in `[0, resolution]`. */
  slotOf(x: number, y: number, z: number): number {
    const perAxis = this.blocksPerAxis;
    const block =
      this.#directory[
        ((x >> BLOCK_BITS) * perAxis + (y >> BLOCK_BITS)) * perAxis + (z >> BLOCK_BITS)
      ]!;
    return (
      (block < 0 ? this.blockCount : block) * BLOCK_SLOTS +
      (((x & BLOCK_MASK) << 6) | ((y & BLOCK_MASK) << 3) | (z & BLOCK_MASK))
    );
  }

  /** Writes the slots of the eight corners of the cell at `slot`; corner `i` at `(i & 1, i >> 1 & 1, i >> 2)`. */
  cornerSlots(slot: number, out: Int32Array): void {
    const x = slot & X_BITS;
    const y = slot & Y_BITS;
    const z = slot & Z_BITS;
    if (x !== X_BITS && y !== Y_BITS && z !== Z_BITS) writeSlots(out, slot, 64, 8, 1);
    else {
      const sides =
        Number(x === X_BITS) | (Number(y === Y_BITS) << 1) | (Number(z === Z_BITS) << 2);
      wrapSlots(out, slot, 64, 8, 1, this.next, sides);
    }
  }

  /** Writes the slots of the eight cells that have the point at `slot` as a corner: entry `i` has it as corner `i`. */
  cellSlots(slot: number, out: Int32Array): void {
    const x = slot & X_BITS;
    const y = slot & Y_BITS;
    const z = slot & Z_BITS;
    if (x !== 0 && y !== 0 && z !== 0) writeSlots(out, slot, -64, -8, -1);
    else {
      const sides = Number(x === 0) | (Number(y === 0) << 1) | (Number(z === 0) << 2);
      wrapSlots(out, slot, -64, -8, -1, this.previous, sides);
    }
  }
}

/** Eight slots within one block, written out because this runs for every cell. */
function writeSlots(out: Int32Array, slot: number, x: number, y: number, z: number): void {
  out[0] = slot;
  out[1] = slot + x;
  out[2] = slot + y;
  out[3] = slot + x + y;
  out[4] = slot + z;
  out[5] = slot + x + z;
  out[6] = slot + y + z;
  out[7] = slot + x + y + z;
}

/**
 * The same where the steps leave the block along some axes.
 *
 * @param neighbors `[blocks, 8]` the blocks that the steps lead to.
 * @param sides bits of the axes along which they do, x lowest.
 */
function wrapSlots(
  out: Int32Array,
  slot: number,
  x: number,
  y: number,
  z: number,
  neighbors: Int32Array,
  sides: number,
): void {
  // A step that leaves the block comes in again on its other side.
  const x1 = (slot + x) & X_BITS;
  const y1 = (slot + y) & Y_BITS;
  const z1 = (slot + z) & Z_BITS;
  const x0 = slot & X_BITS;
  const y0 = slot & Y_BITS;
  const z0 = slot & Z_BITS;
  const block = (slot >> 9) * 8;
  out[0] = slot;
  out[1] = neighbors[block + (sides & 1)]! * BLOCK_SLOTS + x1 + y0 + z0;
  out[2] = neighbors[block + (sides & 2)]! * BLOCK_SLOTS + x0 + y1 + z0;
  out[3] = neighbors[block + (sides & 3)]! * BLOCK_SLOTS + x1 + y1 + z0;
  out[4] = neighbors[block + (sides & 4)]! * BLOCK_SLOTS + x0 + y0 + z1;
  out[5] = neighbors[block + (sides & 5)]! * BLOCK_SLOTS + x1 + y0 + z1;
  out[6] = neighbors[block + (sides & 6)]! * BLOCK_SLOTS + x0 + y1 + z1;
  out[7] = neighbors[block + sides]! * BLOCK_SLOTS + x1 + y1 + z1;
}

/** `[perAxis^3]` 1 for every block with a point within one cell of a given cell, else 0. */
function markBlocks(
  coords: Int32Array,
  width: number,
  resolution: number,
  perAxis: number,
): Int32Array {
  const marks = new Int32Array(perAxis ** 3);
  let [lastX, lastY, lastZ] = [-1, -1, -1];
  for (let at = width - 3; at < coords.length; at += width) {
    const x = coords[at]! >> MARK_BITS;
    const y = coords[at + 1]! >> MARK_BITS;
    const z = coords[at + 2]! >> MARK_BITS;
    // Subdivided voxels arrive together.
    if (x === lastX && y === lastY && z === lastZ) continue;
    [lastX, lastY, lastZ] = [x, y, z];
    const [x0, x1] = reach(x, resolution);
    const [y0, y1] = reach(y, resolution);
    const [z0, z1] = reach(z, resolution);
    for (let bx = x0; bx <= x1; bx++) {
      for (let by = y0; by <= y1; by++) {
        for (let bz = z0; bz <= z1; bz++) marks[(bx * perAxis + by) * perAxis + bz] = 1;
      }
    }
  }
  return marks;
}

/** Blocks along one axis that a cube of cells reaches. */
function reach(cube: number, resolution: number): [number, number] {
  const first = cube << MARK_BITS;
  const last = first + (1 << MARK_BITS) - 1;
  // Cells around a corner reach from -1 to +1, their corners to +2.
  return [Math.max(first - 1, 0) >> BLOCK_BITS, Math.min(last + 2, resolution) >> BLOCK_BITS];
}
