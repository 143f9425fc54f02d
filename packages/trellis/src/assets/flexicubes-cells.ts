/**
 * Step 2 of mesh extraction: the cells that the surface crosses and their cases, and the points at the ends of crossed
 * edges.
 *
 * The 64 points of a block are compared at once, as bits of two words, so the work per point away from the surface is
 * next to nothing.
 */
import { flexicubesTables } from './flexicubes-tables.ts';
import { BLOCK_WORDS, type SparseLattice } from './sparse-lattice.ts';

/** Cells with both inside and outside corners, ascending by x, y, z. They need not have been given. */
export interface SurfaceCells {
  readonly count: number;
  /** `[S]` lattice slot. */
  readonly slots: Int32Array;
  /** `[S]` case after the ambiguity rule. */
  readonly cases: Uint8Array;
  /** `[S]` z. */
  readonly heights: Uint16Array;
  /** `[resolution^2 + 1]` where each `(x, y)` row begins. */
  readonly rowStart: Int32Array;
}

/**
 * Finds the surface cells and settles their cases.
 *
 * @param inside the points that lie inside, as a set of slots.
 * @returns the cells, and the ends of crossed edges as a set of slots.
 */
export function findSurface(
  lattice: SparseLattice,
  inside: Int32Array,
): { surface: SurfaceCells; ends: Int32Array } {
  const { marked, ends, codes } = markSurface(lattice, inside);
  return { surface: listSurface(lattice, marked, codes), ends };
}

interface SurfaceMarks {
  /** The surface cells, as a set of slots. */
  readonly marked: Int32Array;
  /** Likewise the ends of crossed edges. */
  readonly ends: Int32Array;
  /** By slot: the case of a surface cell before the ambiguity rule, 0 elsewhere. */
  readonly codes: Uint8Array;
}

function markSurface(lattice: SparseLattice, inside: Int32Array): SurfaceMarks {
  const marks: SurfaceMarks = {
    marked: new Int32Array(inside.length),
    ends: new Int32Array(inside.length),
    codes: new Uint8Array(lattice.slots),
  };
  /** `[2, 8]` for each word of a block's cells: the words of their eight corners. */
  const corners = new Int32Array(16);
  /** `[2, 3]` for each word: the cells that lie in the grid as far as x, y and z tell. */
  const limits = new Int32Array(6);
  for (let block = 0; block < lattice.blockCount; block++) {
    if (!readCorners(lattice, inside, block, corners)) continue;
    readLimits(lattice, block, limits);
    markWord(lattice, block, 0, corners, limits, marks);
    markWord(lattice, block, 1, corners, limits, marks);
  }
  return marks;
}

/** Marks the cells of half a block and the ends of the edges at their lowest corners. */
function markWord(
  { next }: SparseLattice,
  block: number,
  half: number,
  corners: Int32Array,
  limits: Int32Array,
  { marked, ends, codes }: SurfaceMarks,
): void {
  const word = block * BLOCK_WORDS + half;
  const first = half * 8;
  const own = corners[first]!;
  const [inX, inY, inZ] = [limits[half * 3]!, limits[half * 3 + 1]!, limits[half * 3 + 2]!];
  const alongX = (own ^ corners[first + 1]!) & inX;
  const alongY = (own ^ corners[first + 2]!) & inY;
  const alongZ = (own ^ corners[first + 4]!) & inZ;
  const starts = alongX | alongY | alongZ;
  ends[word]! |= starts | (alongX << 16) | ((alongY & Y_INNER) << 4) | ((alongZ & Z_INNER) << 1);
  ends[half === 0 ? word + 1 : next[block * 8 + 1]! >> 5]! |= alongX >>> 16;
  ends[(next[block * 8 + 2]! >> 5) + half]! |= (alongY >>> 12) & Y_FIRST;
  ends[(next[block * 8 + 4]! >> 5) + half]! |= (alongZ >>> 3) & Z_FIRST;

  const cells = crossedCells(corners, first) & inX & inY & inZ;
  marked[word] = cells;
  for (let rest = cells; rest !== 0; rest &= rest - 1) {
    const bit = 31 - Math.clz32(rest & -rest);
    codes[word * 32 + bit] = caseOf(corners, first, bit);
  }
}

// A word holds two layers along x of four rows along y of four points along z. Of these, the points that have a
// neighbour further along the axis in the same block, and those that come first.
const Y_INNER = 0x0fff_0fff;
const Y_FIRST = 0x000f_000f;
const Z_INNER = 0x7777_7777;
const Z_FIRST = 0x1111_1111;

/** Moves every point's bit to the place before it along z. @param after the word of the block after this one. */
function stepZ(word: number, after: number): number {
  return ((word >>> 1) & Z_INNER) | ((after & Z_FIRST) << 3);
}

/** Likewise along y. */
function stepY(word: number, after: number): number {
  return ((word >>> 4) & Y_INNER) | ((after & Y_FIRST) << 12);
}

/** Likewise along x. */
function stepX(word: number, after: number): number {
  return (word >>> 16) | (after << 16);
}

/** Reads the corners of a block's cells. @returns whether any lies inside. */
function readCorners(
  { next }: SparseLattice,
  inside: Int32Array,
  block: number,
  corners: Int32Array,
): boolean {
  let some = 0;
  // The two words of the block and the one after them along x, each with those after it along y and z.
  for (let part = 0; part < 3; part++) {
    const at = block * 8 + (part >> 1);
    const half = part & 1;
    const word = inside[(next[at]! >> 5) + half]!;
    const afterY = inside[(next[at + 2]! >> 5) + half]!;
    const afterZ = inside[(next[at + 4]! >> 5) + half]!;
    const afterBoth = inside[(next[at + 6]! >> 5) + half]!;
    some |= word | afterY | afterZ | afterBoth;
    const upper = stepZ(word, afterZ);
    writeLayers(corners, part, 0, word);
    writeLayers(corners, part, 2, stepY(word, afterY));
    writeLayers(corners, part, 4, upper);
    writeLayers(corners, part, 6, stepY(upper, stepZ(afterY, afterBoth)));
  }
  return some !== 0;
}

/** Enters a word as a corner of the cells in its own place, and as the next one along x of the cells before. */
function writeLayers(corners: Int32Array, part: number, corner: number, word: number): void {
  if (part < 2) corners[part * 8 + corner] = word;
  if (part > 0) {
    const before = (part - 1) * 8 + corner;
    corners[before + 1] = stepX(corners[before]!, word);
  }
}

function readLimits(
  { origins, resolution }: SparseLattice,
  block: number,
  limits: Int32Array,
): void {
  const x = resolution - origins[block * 3]!;
  const y = resolution - origins[block * 3 + 1]!;
  const z = resolution - origins[block * 3 + 2]!;
  limits.fill(-1);
  if (Math.min(x, y, z) >= 4) return;
  for (let half = 0; half < BLOCK_WORDS; half++) {
    const layers = x - 2 * half;
    if (layers < 2) limits[half * 3] = layers === 1 ? 0xffff : 0;
    if (y < 4) limits[half * 3 + 1] = ((1 << (4 * y)) - 1) * 0x1_0001;
    if (z < 4) limits[half * 3 + 2] = ((1 << z) - 1) * Z_FIRST;
  }
}

/** Cells whose corners differ. */
function crossedCells(corners: Int32Array, at: number): number {
  let some = 0;
  let every = -1;
  for (let i = at; i < at + 8; i++) {
    some |= corners[i]!;
    every &= corners[i]!;
  }
  return some & ~every;
}

/** Case of a cell. */
function caseOf(corners: Int32Array, at: number, bit: number): number {
  return (
    ((corners[at]! >>> bit) & 1) |
    (((corners[at + 1]! >>> bit) & 1) << 1) |
    (((corners[at + 2]! >>> bit) & 1) << 2) |
    (((corners[at + 3]! >>> bit) & 1) << 3) |
    (((corners[at + 4]! >>> bit) & 1) << 4) |
    (((corners[at + 5]! >>> bit) & 1) << 5) |
    (((corners[at + 6]! >>> bit) & 1) << 6) |
    (((corners[at + 7]! >>> bit) & 1) << 7)
  );
}

/** Lists the marked cells in the order of the grid. */
function listSurface(lattice: SparseLattice, marked: Int32Array, codes: Uint8Array): SurfaceCells {
  const { resolution, origins } = lattice;
  const found = lattice.slotsIn(marked);
  const rowStart = new Int32Array(resolution * resolution + 1);
  for (let i = 0; i < found.length; i++) rowStart[rowOf(lattice, found[i]!) + 1]! += 1;
  for (let row = 0; row < rowStart.length - 1; row++) rowStart[row + 1]! += rowStart[row]!;
  const slots = new Int32Array(found.length);
  const heights = new Uint16Array(found.length);
  // Blocks ascend, so along a row of the grid the cells do.
  const rowEnd = rowStart.slice();
  for (let i = 0; i < found.length; i++) {
    const slot = found[i]!;
    const at = rowEnd[rowOf(lattice, slot)]!++;
    slots[at] = slot;
    heights[at] = origins[(slot >> 6) * 3 + 2]! + (slot & 3);
  }
  const cases = settleCases(lattice, slots, codes);
  return { count: found.length, slots, cases, heights, rowStart };
}

/** Number of the `(x, y)` row of a cell. */
function rowOf({ origins, resolution }: SparseLattice, slot: number): number {
  const block = (slot >> 6) * 3;
  const x = origins[block]! + ((slot >> 4) & 3);
  const y = origins[block + 1]! + ((slot >> 2) & 3);
  return x * resolution + y;
}

/**
 * The ambiguity rule: a cell and its neighbour that disagree about their common face both take the complementary case.
 *
 * @param codes by slot: the case of a surface cell, 0 elsewhere.
 */
function settleCases(lattice: SparseLattice, slots: Int32Array, codes: Uint8Array): Uint8Array {
  const { origins, resolution } = lattice;
  const { ambiguous, ambiguousStep } = flexicubesTables();
  const cases = new Uint8Array(slots.length);
  for (let s = 0; s < slots.length; s++) {
    const slot = slots[s]!;
    const code = codes[slot]!;
    cases[s] = code;
    if (ambiguous[code] === 0) continue;
    const block = (slot >> 6) * 3;
    const x = origins[block]! + ((slot >> 4) & 3) + ambiguousStep[code * 3]!;
    const y = origins[block + 1]! + ((slot >> 2) & 3) + ambiguousStep[code * 3 + 1]!;
    const z = origins[block + 2]! + (slot & 3) + ambiguousStep[code * 3 + 2]!;
    if (Math.min(x, y, z) < 0 || Math.max(x, y, z) >= resolution) continue;
    // Decided by the cases before any switch, so the order of the cells does not matter.
    if (ambiguous[codes[lattice.slotOf(x, y, z)]!] === 1) cases[s] = 255 - code;
  }
  return cases;
}
