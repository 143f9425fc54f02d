/**
 * How sparseConv3d divides its work on Hopper: the strategy, the width of its tiles, and among how many blocks the sum of
 * a tile is shared. The least of estimated times, from rates measured on an H200, where the L2 cache
 * binds most; a pure function of sizes.
 */

export interface ConvSize {
  /** Rows of the result. */
  readonly rows: number;
  readonly cin: number;
  readonly cout: number;
  readonly taps: number;
}

export interface ConvDivision {
  readonly strategy: string;
  /** Output channels of a tile. */
  readonly columns: number;
  /** Blocks that share a tile. */
  readonly splits: number;
}

interface Tile {
  readonly rows: number;
  readonly columns: number;
  /** Blocks that a multiprocessor holds. */
  readonly blocks: number;
  /** Channels of a step that the input channels have to be a multiple of. */
  readonly step: number;
}

// What is chosen among.
const CANDIDATES = ['wgmma', 'split'];

const TILES: readonly Tile[] = [
  { rows: 128, columns: 256, blocks: 1, step: 64 },
  { rows: 128, columns: 192, blocks: 1, step: 32 },
  { rows: 128, columns: 128, blocks: 2, step: 32 },
  { rows: 128, columns: 96, blocks: 2, step: 32 },
  { rows: 128, columns: 64, blocks: 2, step: 32 },
  { rows: 128, columns: 32, blocks: 2, step: 32 },
];
// Bytes that a multiprocessor takes from the L2 cache, and flops of its tensor cores, in a microsecond.
const L2_RATE = 4.9e4;
const TENSOR_RATE = 5e6;
const MAX_SPLITS = 8;
// Share of its rate that a multiprocessor reaches with one block where it could hold two.
const ALONE = 0.65;
// Microseconds: of a launch, and of the beginning and end of a block.
const LAUNCH = 4;
const BLOCK = 2;
// Bytes a microsecond of the pass over the sums.
const PASS_RATE = 3e6;

/** Flops that a multiprocessor full of such tiles does in a microsecond. */
function rateOf({ rows, columns }: Tile): number {
  // Each channel of a tap takes 2 bytes of every row and of every column.
  return Math.min(TENSOR_RATE, (L2_RATE * rows * columns) / (rows + columns));
}

/** Estimated microseconds. */
function estimate(
  size: ConvSize,
  division: ConvDivision,
  tile: Tile,
  multiprocessors: number,
): number {
  const { rows, cin, cout, taps } = size;
  const { splits } = division;
  const items = Math.ceil(rows / tile.rows) * Math.ceil(cout / tile.columns) * splits;
  // Of the busiest multiprocessor.
  const own = Math.ceil(items / multiprocessors);
  const alone = own % tile.blocks;
  const flops = (2 * tile.rows * tile.columns * taps * cin) / splits;
  const products = (flops * (own - alone + alone / ALONE)) / rateOf(tile);
  let passes = LAUNCH;
  if (splits > 1) passes += LAUNCH + (2 * 4 * splits * rows * cout) / PASS_RATE;
  return products + Math.ceil(own / tile.blocks) * BLOCK + passes;
}

/** The numbers of blocks that may share a tile. */
function splitsOf(strategy: string): number[] {
  if (strategy !== 'split') return [1];
  return Array.from({ length: MAX_SPLITS - 1 }, (_, i) => i + 2);
}

/** The best division of the work, by `forced` strategy or by any that is chosen among. */
export function divideConv(size: ConvSize, multiprocessors: number, forced?: string): ConvDivision {
  let best: ConvDivision | undefined;
  let least = Infinity;
  for (const strategy of forced === undefined ? CANDIDATES : [forced]) {
    for (const tile of TILES) {
      if (size.cin % tile.step !== 0) continue;
      for (const splits of splitsOf(strategy)) {
        const division = { strategy, columns: tile.columns, splits };
        const time = estimate(size, division, tile, multiprocessors);
        if (time < least) [best, least] = [division, time];
      }
    }
  }
  return best!;
}
