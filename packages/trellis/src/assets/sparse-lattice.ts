/**
 * A sparse cubic lattice: blocks of 4x4x4 points that exist only near given cells.
 *
 * Values live in plain arrays indexed by slot (`block * 64 + point within the block`), so neighbours are close in
 * memory and a lookup is one directory read; sets of points take one bit each, in words of 32 slots. A cell shares the
 * slot of its lowest corner. Blocks with given cells come first and those with the corners of these next, so arrays
 * that only they need are short; within each kind, blocks ascend by x, y, z. The number after the last stands for all
 * blocks that do not exist.
 */
export const BLOCK_BITS = 2;
export const BLOCK_MASK = 3;
/** Slots of one block: bits 5 and 4 are the point's x within it, 3 and 2 its y, 1 and 0 its z. */
export const BLOCK_SLOTS = 64;
/** Words of a set of points in one block; word `slot >> 5` keeps the point in bit `slot & 31`. */
export const BLOCK_WORDS = 2;

/** Cells along an axis at most: keeps `3 * points^3` below 2^32 and the directory below 70 MB. */
export const MAX_LATTICE_RESOLUTION = 1024;

/** `[64, 8]` by place in a block and corner: 64 times the step to the corner's block, plus its place in there. */
export const CORNER_PLACES: Uint16Array = stepTable(1);
/** Likewise the cells that have the point as that corner. */
export const CELL_PLACES: Uint16Array = stepTable(-1);

/** `[64]` 1 for the cells that have all corners in their own block. */
const INNER_CELLS = Uint8Array.from({ length: BLOCK_SLOTS }, (_, place) =>
  Number(CORNER_PLACES[place * 8 + 7]! < BLOCK_SLOTS),
);

function stepTable(direction: 1 | -1): Uint16Array {
  return Uint16Array.from({ length: BLOCK_SLOTS * 8 }, (_, entry) => {
    let place = 0;
    let step = 0;
    for (let axis = 0; axis < 3; axis++) {
      const shift = (2 - axis) * BLOCK_BITS;
      const at = ((entry >> (3 + shift)) & BLOCK_MASK) + direction * ((entry >> axis) & 1);
      place |= (at & BLOCK_MASK) << shift;
      step |= Number(at >> BLOCK_BITS !== 0) << axis;
    }
    return step * BLOCK_SLOTS + place;
  });
}

/** What a block is there for; blocks of a higher rank are numbered first. */
const ABSENT = 0;
/** Surroundings of cells that may border on the surface. */
const MARGIN = 1;
/** Corners of given cells. */
const TOUCHED = 2;
const GIVEN = 3;

export class SparseLattice {
  /** Cells along each axis; points are one more. */
  readonly resolution: number;
  readonly blockCount: number;
  /** Given cells have lower slots than this, */
  readonly cellSlotCount: number;
  /** and their corners lower ones than that. */
  readonly pointSlotCount: number;
  /** `[blockCount]` the blocks ascending by x, y, z. */
  readonly order: Int32Array;
  /** `[blockCount, 3]` lowest point of each block. */
  readonly origins: Uint16Array;
  /** `[blockCount, 8]` first slot of the block `(i & 1, i >> 1 & 1, i >> 2)` further; see above where it does not exist. */
  readonly next: Int32Array;
  /** `[blockCount, 8]` likewise of the block that lies before. */
  readonly previous: Int32Array;
  readonly #blocksPerAxis: number;
  /** `[blocksPerAxis^3]` number of the block. */
  readonly #directory: Int32Array;

  /**
   * A lattice with room for every point within one cell of the given cells.
   *
   * @param coords `[N, width]`; the last three columns are x, y, z from 0 to `resolution - 1`.
   */
  constructor(coords: Int32Array, width: number, resolution: number) {
    const perAxis = (resolution >> BLOCK_BITS) + 1;
    const directory = rankBlocks(coords, width, perAxis);
    const counts = [0, 0, 0, 0];
    for (let entry = 0; entry < directory.length; entry++) counts[directory[entry]!]! += 1;
    const [, margin, touched, given] = counts as [number, number, number, number];
    const count = margin + touched + given;
    this.resolution = resolution;
    this.blockCount = count;
    this.cellSlotCount = given * BLOCK_SLOTS;
    this.pointSlotCount = (given + touched) * BLOCK_SLOTS;
    this.order = new Int32Array(count);
    this.origins = new Uint16Array(count * 3);
    this.next = new Int32Array(count * 8).fill(count * BLOCK_SLOTS);
    this.previous = new Int32Array(count * 8).fill(count * BLOCK_SLOTS);
    this.#blocksPerAxis = perAxis;
    this.#directory = directory;
    this.#numberBlocks([count, given + touched, given, 0]);
    this.#joinBlocks();
  }

  /** Length that an array indexed by slot must have; the last block holds what no block does. */
  get slots(): number {
    return (this.blockCount + 1) * BLOCK_SLOTS;
  }

  /** Length that a set of slots must have. */
  get words(): number {
    return (this.blockCount + 1) * BLOCK_WORDS;
  }

  /** Slot of a point or cell in `[0, resolution]`. */
  slotOf(x: number, y: number, z: number): number {
    const perAxis = this.#blocksPerAxis;
    const entry = ((x >> BLOCK_BITS) * perAxis + (y >> BLOCK_BITS)) * perAxis + (z >> BLOCK_BITS);
    return (
      this.#directory[entry]! * BLOCK_SLOTS +
      (((x & BLOCK_MASK) << 4) | ((y & BLOCK_MASK) << 2) | (z & BLOCK_MASK))
    );
  }

  /**
   * Writes the slots of the eight corners of the cell at `slot`; corner `i` at `(i & 1, i >> 1 & 1, i >> 2)`. Written out
   * because this runs for every cell.
   */
  cornerSlots(slot: number, out: Int32Array): void {
    out[0] = slot;
    if (INNER_CELLS[slot & 63] === 1) {
      out[1] = slot + 16;
      out[2] = slot + 4;
      out[3] = slot + 20;
      out[4] = slot + 1;
      out[5] = slot + 17;
      out[6] = slot + 5;
      out[7] = slot + 21;
      return;
    }
    const { next } = this;
    const block = (slot >> 6) * 8;
    const entry = (slot & 63) * 8;
    out[1] = stepSlot(next, block, CORNER_PLACES[entry + 1]!);
    out[2] = stepSlot(next, block, CORNER_PLACES[entry + 2]!);
    out[3] = stepSlot(next, block, CORNER_PLACES[entry + 3]!);
    out[4] = stepSlot(next, block, CORNER_PLACES[entry + 4]!);
    out[5] = stepSlot(next, block, CORNER_PLACES[entry + 5]!);
    out[6] = stepSlot(next, block, CORNER_PLACES[entry + 6]!);
    out[7] = stepSlot(next, block, CORNER_PLACES[entry + 7]!);
  }

  /** Slot of one of them. */
  cornerSlot(slot: number, corner: number): number {
    return stepSlot(this.next, (slot >> 6) * 8, CORNER_PLACES[(slot & 63) * 8 + corner]!);
  }

  /** Slot of the cell that has the point at `slot` as this corner. */
  cellSlot(slot: number, corner: number): number {
    return stepSlot(this.previous, (slot >> 6) * 8, CELL_PLACES[(slot & 63) * 8 + corner]!);
  }

  /** The slots in a set, in the order of the blocks. */
  slotsIn(set: Int32Array): Int32Array {
    let count = 0;
    for (let word = 0; word < set.length; word++) count += bitCount(set[word]!);
    const slots = new Int32Array(count);
    let at = 0;
    for (let place = 0; place < this.blockCount; place++) {
      const word = this.order[place]! * BLOCK_WORDS;
      for (let half = word; half < word + BLOCK_WORDS; half++) {
        for (let rest = set[half]!; rest !== 0; rest &= rest - 1) {
          slots[at++] = half * 32 + 31 - Math.clz32(rest & -rest);
        }
      }
    }
    return slots;
  }

  /** Turns the ranks in the directory into numbers. @param next by rank: first number. */
  #numberBlocks(next: number[]): void {
    const directory = this.#directory;
    const perAxis = this.#blocksPerAxis;
    let place = 0;
    for (let entry = 0; entry < directory.length; entry++) {
      const rank = directory[entry]!;
      if (rank === ABSENT) {
        directory[entry] = this.blockCount;
        continue;
      }
      const block = next[rank]!++;
      const column = Math.floor(entry / perAxis);
      this.origins[block * 3] = Math.floor(column / perAxis) << BLOCK_BITS;
      this.origins[block * 3 + 1] = (column % perAxis) << BLOCK_BITS;
      this.origins[block * 3 + 2] = (entry % perAxis) << BLOCK_BITS;
      this.order[place++] = block;
      directory[entry] = block;
    }
  }

  #joinBlocks(): void {
    const { origins, next, previous, blockCount } = this;
    const last = (this.#blocksPerAxis - 1) << BLOCK_BITS;
    for (let block = 0; block < blockCount; block++) {
      for (let i = 0; i < 8; i++) {
        const x = origins[block * 3]! + ((i & 1) << BLOCK_BITS);
        const y = origins[block * 3 + 1]! + (((i >> 1) & 1) << BLOCK_BITS);
        const z = origins[block * 3 + 2]! + ((i >> 2) << BLOCK_BITS);
        if (x > last || y > last || z > last) continue;
        const first = this.slotOf(x, y, z);
        const other = first / BLOCK_SLOTS;
        if (other === blockCount) continue;
        next[block * 8 + i] = first;
        previous[other * 8 + i] = block * BLOCK_SLOTS;
      }
    }
  }
}

/** Slot of a place in a neighbouring block. @param block index of its neighbours. */
function stepSlot(neighbors: Int32Array, block: number, place: number): number {
  return neighbors[block + (place >> 6)]! + (place & 63);
}

/** Number of bits set in 32, summed pairwise in place. */
export function bitCount(word: number): number {
  const pairs = word - ((word >>> 1) & 0x5555_5555);
  const quads = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
  return Math.imul((quads + (quads >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

/** `[perAxis^3]` rank of every block: those with a given cell and all blocks round them. */
function rankBlocks(coords: Int32Array, width: number, perAxis: number): Int32Array {
  const ranks = new Int32Array(perAxis ** 3);
  const end = perAxis - 1;
  let last = -1;
  for (let at = width - 3; at < coords.length; at += width) {
    const x = coords[at]! >> BLOCK_BITS;
    const y = coords[at + 1]! >> BLOCK_BITS;
    const z = coords[at + 2]! >> BLOCK_BITS;
    const entry = (x * perAxis + y) * perAxis + z;
    // Subdivided voxels arrive together.
    if (entry === last) continue;
    last = entry;
    for (let bx = Math.max(x - 1, 0); bx <= Math.min(x + 1, end); bx++) {
      for (let by = Math.max(y - 1, 0); by <= Math.min(y + 1, end); by++) {
        for (let bz = Math.max(z - 1, 0); bz <= Math.min(z + 1, end); bz++) {
          const other = (bx * perAxis + by) * perAxis + bz;
          const rank = bx < x || by < y || bz < z ? MARGIN : TOUCHED;
          if (ranks[other]! < rank) ranks[other] = rank;
        }
      }
    }
    ranks[entry] = GIVEN;
  }
  return ranks;
}
