/**
 * A sparse cubic lattice: blocks of 8x8x8 points that exist only near given cells.
 *
 * Values live in plain arrays indexed by slot (`block * 512 + point within the block`), so neighbours are close in
 * memory and a lookup is one directory read. A cell shares the slot of its lowest corner.
 */
const BLOCK_BITS = 3;
const BLOCK_MASK = 7;
/** Slots of one block. */
export const BLOCK_SLOTS = 512;

/** Cells along an axis at most: keeps `3 * points^3` below 2^32 and the directory below 10 MB. */
export const MAX_LATTICE_RESOLUTION = 1024;

/** Slot steps to the eight corners of a cell that lies within one block; corner `i` at `(i & 1, i >> 1 & 1, i >> 2)`. */
const CORNER_STEPS = Int32Array.of(0, 64, 8, 72, 1, 65, 9, 73);

export class SparseLattice {
  /** Cells along each axis; points are one more. */
  readonly resolution: number;
  readonly blocksPerAxis: number;
  /** `[blocksPerAxis^3]` number of the block, -1 where none exists. */
  readonly directory: Int32Array;
  readonly blockCount: number;

  /**
   * A lattice with room for every point within one cell of the given cells.
   *
   * @param coords `[N, width]`; the last three columns are x, y, z from 0 to `resolution - 1`.
   */
  constructor(coords: Int32Array, width: number, resolution: number) {
    this.resolution = resolution;
    const perAxis = (resolution >> BLOCK_BITS) + 1;
    this.blocksPerAxis = perAxis;
    const directory = new Int32Array(perAxis ** 3).fill(-1);
    this.directory = directory;
    let blocks = 0;
    for (let at = width - 3; at < coords.length; at += width) {
      const x = coords[at]!;
      const y = coords[at + 1]!;
      const z = coords[at + 2]!;
      // Cells around a corner reach from -1 to +1, their corners to +2.
      const x1 = Math.min(x + 2, resolution) >> BLOCK_BITS;
      const y1 = Math.min(y + 2, resolution) >> BLOCK_BITS;
      const z1 = Math.min(z + 2, resolution) >> BLOCK_BITS;
      for (let bx = Math.max(x - 1, 0) >> BLOCK_BITS; bx <= x1; bx++) {
        for (let by = Math.max(y - 1, 0) >> BLOCK_BITS; by <= y1; by++) {
          for (let bz = Math.max(z - 1, 0) >> BLOCK_BITS; bz <= z1; bz++) {
            const entry = (bx * perAxis + by) * perAxis + bz;
            if (directory[entry]! < 0) directory[entry] = blocks++;
          }
        }
      }
    }
    this.blockCount = blocks;
  }

  /** Length that an array indexed by slot must have. */
  get slots(): number {
    return this.blockCount * BLOCK_SLOTS;
  }

  /** Slot of a point or cell, -1 when its block does not exist. Coordinates must lie in `[0, resolution]`. */
  slotOf(x: number, y: number, z: number): number {
    const perAxis = this.blocksPerAxis;
    const block =
      this.directory[
        ((x >> BLOCK_BITS) * perAxis + (y >> BLOCK_BITS)) * perAxis + (z >> BLOCK_BITS)
      ]!;
    if (block < 0) return -1;
    return (
      block * BLOCK_SLOTS + (((x & BLOCK_MASK) << 6) | ((y & BLOCK_MASK) << 3) | (z & BLOCK_MASK))
    );
  }

  /** Writes the slots of a cell's eight corners to `out`. `slot` is the cell's own; -1 where a block is missing. */
  cornerSlots(slot: number, x: number, y: number, z: number, out: Int32Array): void {
    if (
      (x & BLOCK_MASK) !== BLOCK_MASK &&
      (y & BLOCK_MASK) !== BLOCK_MASK &&
      (z & BLOCK_MASK) !== BLOCK_MASK
    ) {
      for (let corner = 0; corner < 8; corner++) out[corner] = slot + CORNER_STEPS[corner]!;
      return;
    }
    for (let corner = 0; corner < 8; corner++) {
      out[corner] = this.slotOf(x + (corner & 1), y + ((corner >> 1) & 1), z + (corner >> 2));
    }
  }

  /** Calls `visit` for every existing cell in ascending order of x, then y, then z. */
  forEachCell(visit: (slot: number, x: number, y: number, z: number) => void): void {
    const { resolution, blocksPerAxis: perAxis, directory } = this;
    for (let x = 0; x < resolution; x++) {
      for (let y = 0; y < resolution; y++) {
        const row = ((x >> BLOCK_BITS) * perAxis + (y >> BLOCK_BITS)) * perAxis;
        const within = ((x & BLOCK_MASK) << 6) | ((y & BLOCK_MASK) << 3);
        for (let bz = 0; bz < perAxis; bz++) {
          const block = directory[row + bz]!;
          if (block < 0) continue;
          const end = Math.min(resolution - (bz << BLOCK_BITS), 8);
          const base = block * BLOCK_SLOTS + within;
          for (let z = 0; z < end; z++) visit(base + z, x, y, (bz << BLOCK_BITS) + z);
        }
      }
    }
  }
}
