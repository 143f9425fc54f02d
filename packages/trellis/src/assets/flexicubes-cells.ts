/**
 * Step 2 of mesh extraction: the cells that the surface crosses and their cases, and the points whose displacement and
 * colour they need.
 *
 * Rows of eight points are compared as bytes of bits, so the work per point away from the surface is next to nothing.
 */
import type { CellGrid, DistanceField } from './flexicubes-grid.ts';
import { flexicubesTables } from './flexicubes-tables.ts';
import { BLOCK_BITS, BLOCK_MASK, BLOCK_ROWS, type SparseLattice } from './sparse-lattice.ts';

/** Cells with both inside and outside corners, numbered by slot. They need not have been given. */
export interface SurfaceCells {
  readonly count: number;
  /** `[S]` lattice slot, ascending. */
  readonly slots: Int32Array;
  /** `[S]` case after the ambiguity rule. */
  readonly cases: Uint8Array;
  /** `[S]` bits of the corners 0 and 2 that lie strictly outside: there the edges start whose last cell this is. */
  readonly starts: Uint8Array;
  /** `[S]` the cells ascending by x, y, z. */
  readonly order: Int32Array;
  /** `[S]` z of the cells in that order. */
  readonly heights: Uint16Array;
  /** `[resolution^2 + 1]` where each `(x, y)` row begins in that order. */
  readonly rowStart: Int32Array;
}

/** The ends of crossed edges, numbered densely by slot. */
export interface CrossedPoints {
  readonly count: number;
  /** By row of eight slots: a bit for every point that is numbered. */
  readonly used: Uint8Array;
  /** By row of eight slots: number of its first point. */
  readonly first: Int32Array;
}

/** Number of bits set in a byte. */
const BIT_COUNT = Uint8Array.from({ length: 256 }, (_, byte) => {
  let bits = 0;
  for (let rest = byte; rest > 0; rest >>= 1) bits += rest & 1;
  return bits;
});

/** Number of a point that is numbered. */
export function pointAt({ used, first }: CrossedPoints, slot: number): number {
  const row = slot >> 3;
  return first[row]! + BIT_COUNT[used[row]! & ((1 << (slot & 7)) - 1)]!;
}

/** For rows of bits: how many are set in the rows before each, and in all. */
function countBefore(bits: Uint8Array): { first: Int32Array; count: number } {
  const first = new Int32Array(bits.length);
  let count = 0;
  for (let row = 0; row < bits.length; row++) {
    first[row] = count;
    count += BIT_COUNT[bits[row]!]!;
  }
  return { first, count };
}

/** Lines of points along z round one block: 9 x 9 of them, and the point after each line's end. */
const LINES = 9;

/**
 * Finds the surface cells, settles their cases and numbers the points of crossed edges.
 *
 * A point is inside when its distance is strictly negative.
 */
export function findSurface(
  grid: CellGrid,
  field: DistanceField,
): { surface: SurfaceCells; points: CrossedPoints } {
  const { lattice } = grid;
  const { marked, used, codes } = markSurface(lattice, field.inside);
  return {
    surface: listSurface(lattice, field.outside, marked, codes),
    points: { used, ...countBefore(used) },
  };
}

interface SurfaceMarks {
  /** By row of eight slots: a bit for every surface cell. */
  readonly marked: Uint8Array;
  /** Likewise for every end of a crossed edge. */
  readonly used: Uint8Array;
  /** By slot: the case of a surface cell before the ambiguity rule, 0 elsewhere. */
  readonly codes: Uint8Array;
}

function markSurface(lattice: SparseLattice, inside: Uint8Array): SurfaceMarks {
  const { resolution, blocks, blockCount } = lattice;
  const marked = new Uint8Array(inside.length);
  const used = new Uint8Array(inside.length);
  const lines = new Int32Array(LINES * LINES);
  const ends = new Int32Array(LINES * LINES);
  const codes = new Uint8Array(lattice.slots);
  for (let block = 0; block < blockCount; block++) {
    if (!readLines(lattice, inside, block, lines)) continue;
    const [sizeX, sizeY, sizeZ] = [0, 1, 2].map((axis) =>
      Math.min(8, resolution - (blocks[block * 3 + axis]! << BLOCK_BITS)),
    ) as [number, number, number];
    const cells = (1 << sizeZ) - 1;
    ends.fill(0);
    for (let x = 0; x < sizeX; x++) {
      for (let y = 0; y < sizeY; y++) {
        const at = x * LINES + y;
        const a = lines[at]!;
        const b = lines[at + LINES]!;
        const c = lines[at + 1]!;
        const d = lines[at + LINES + 1]!;
        const some = a | b | c | d;
        const every = a & b & c & d;
        const crossed = (some | (some >> 1)) & ~(every & (every >> 1)) & cells;
        if (crossed === 0) continue;
        const row = block * BLOCK_ROWS + x * 8 + y;
        marked[row] = crossed;
        for (let rest = crossed; rest !== 0; rest &= rest - 1) {
          const z = 31 - Math.clz32(rest & -rest);
          const low =
            ((a >> z) & 1) | (((b >> z) & 1) * 2) | (((c >> z) & 1) * 4) | (((d >> z) & 1) * 8);
          const high =
            ((a >> z) & 2) | (((b >> z) & 2) * 2) | (((c >> z) & 2) * 4) | (((d >> z) & 2) * 8);
          codes[row * 8 + z] = low | (high << 3);
        }
        const points = (cells << 1) | 1;
        const [ab, ac, bd, cd] = [a ^ b, a ^ c, b ^ d, c ^ d];
        ends[at]! |= (ab | ac | crossedAlong(a, cells)) & points;
        ends[at + LINES]! |= (ab | bd | crossedAlong(b, cells)) & points;
        ends[at + 1]! |= (ac | cd | crossedAlong(c, cells)) & points;
        ends[at + LINES + 1]! |= (bd | cd | crossedAlong(d, cells)) & points;
      }
    }
    writeLines(lattice, ends, block, used);
  }
  return { marked, used, codes };
}

/** Both ends of the crossed edges along a line. */
function crossedAlong(line: number, cells: number): number {
  const edges = (line ^ (line >> 1)) & cells;
  return edges | (edges << 1);
}

/** Reads the lines of a block and their first neighbours: nine bits each. @returns whether any bit is set. */
function readLines(
  { next }: SparseLattice,
  bits: Uint8Array,
  block: number,
  lines: Int32Array,
): boolean {
  let some = 0;
  for (let x = 0; x < LINES; x++) {
    for (let y = 0; y < LINES; y++) {
      const step = block * 8 + (x >> BLOCK_BITS) + ((y >> BLOCK_BITS) << 1);
      const row = (x & BLOCK_MASK) * 8 + (y & BLOCK_MASK);
      const low = bits[next[step]! * BLOCK_ROWS + row]!;
      const high = bits[next[step + 4]! * BLOCK_ROWS + row]! & 1;
      const line = low | (high << 8);
      lines[x * LINES + y] = line;
      some |= line;
    }
  }
  return some !== 0;
}

/** Adds the lines' bits to the rows they come from. */
function writeLines(
  { next }: SparseLattice,
  lines: Int32Array,
  block: number,
  bits: Uint8Array,
): void {
  for (let x = 0; x < LINES; x++) {
    for (let y = 0; y < LINES; y++) {
      const line = lines[x * LINES + y]!;
      if (line === 0) continue;
      const step = block * 8 + (x >> BLOCK_BITS) + ((y >> BLOCK_BITS) << 1);
      const row = (x & BLOCK_MASK) * 8 + (y & BLOCK_MASK);
      bits[next[step]! * BLOCK_ROWS + row]! |= line & 255;
      if (line > 255) bits[next[step + 4]! * BLOCK_ROWS + row]! |= 1;
    }
  }
}

/** Lists the marked cells by slot and in the order of the grid. */
function listSurface(
  lattice: SparseLattice,
  outside: Uint8Array,
  marked: Uint8Array,
  codes: Uint8Array,
): SurfaceCells {
  const { first, count } = countBefore(marked);
  const slots = new Int32Array(count);
  const starts = new Uint8Array(count);
  const corners = new Int32Array(8);
  let s = 0;
  for (let row = 0; row < marked.length; row++) {
    for (let rest = marked[row]!; rest !== 0; rest &= rest - 1) {
      const slot = row * 8 + 31 - Math.clz32(rest & -rest);
      lattice.cornerSlots(slot, corners);
      const end = corners[2]!;
      starts[s] =
        ((outside[row]! >> (slot & 7)) & 1) | (((outside[end >> 3]! >> (end & 7)) & 1) << 2);
      slots[s++] = slot;
    }
  }
  const cases = settleCases(lattice, slots, codes);
  return { count, slots, cases, starts, ...orderSurface(lattice, marked, first, count) };
}

/** The marked cells in the order of the grid. @param first number of the first cell of each row of eight slots. */
function orderSurface(
  { resolution, blocksPerAxis, blocks, columnStart }: SparseLattice,
  marked: Uint8Array,
  first: Int32Array,
  count: number,
): Pick<SurfaceCells, 'order' | 'heights' | 'rowStart'> {
  const order = new Int32Array(count);
  const heights = new Uint16Array(count);
  const rowStart = new Int32Array(resolution * resolution + 1);
  let at = 0;
  for (let x = 0; x < resolution; x++) {
    for (let y = 0; y < resolution; y++) {
      const column = (x >> BLOCK_BITS) * blocksPerAxis + (y >> BLOCK_BITS);
      const within = ((x & BLOCK_MASK) << 3) | (y & BLOCK_MASK);
      rowStart[x * resolution + y] = at;
      for (let block = columnStart[column]!; block < columnStart[column + 1]!; block++) {
        const row = block * BLOCK_ROWS + within;
        const z = blocks[block * 3 + 2]! << BLOCK_BITS;
        let s = first[row]!;
        for (let rest = marked[row]!; rest !== 0; rest &= rest - 1) {
          order[at] = s++;
          heights[at++] = z + 31 - Math.clz32(rest & -rest);
        }
      }
    }
  }
  rowStart[resolution * resolution] = at;
  return { order, heights, rowStart };
}

/**
 * The ambiguity rule: a cell and its neighbour that disagree about their common face both take the complementary case.
 *
 * @param codes by slot: the case of a surface cell, 0 elsewhere.
 */
function settleCases(lattice: SparseLattice, slots: Int32Array, codes: Uint8Array): Uint8Array {
  const { blocks, resolution } = lattice;
  const { ambiguous, ambiguousStep } = flexicubesTables();
  const cases = new Uint8Array(slots.length);
  for (let s = 0; s < slots.length; s++) {
    const slot = slots[s]!;
    const code = codes[slot]!;
    cases[s] = code;
    if (ambiguous[code] === 0) continue;
    const block = (slot >> 9) * 3;
    const [x, y, z] = [0, 1, 2].map(
      (axis) =>
        (blocks[block + axis]! << BLOCK_BITS) +
        ((slot >> (6 - 3 * axis)) & BLOCK_MASK) +
        ambiguousStep[code * 3 + axis]!,
    ) as [number, number, number];
    if (Math.min(x, y, z) < 0 || Math.max(x, y, z) >= resolution) continue;
    // Decided by the cases before any switch, so the order of the cells does not matter.
    if (ambiguous[codes[lattice.slotOf(x, y, z)]!] === 1) cases[s] = 255 - code;
  }
  return cases;
}
