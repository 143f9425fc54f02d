/** Shapes of the tiles that workgroups of the subgroup-matrix strategy make, and the choice among them. */
import type { Capabilities } from '../capabilities.ts';
import { hasMatrixUnits, MATRIX, poolFits, SUBGROUP } from '../wgsl/matrix-units.ts';
import type { Product } from './problem.ts';

/** A tile of the output and its division among subgroups. */
export interface MatrixTiles {
  readonly rows: number;
  readonly columns: number;
  /** Depth of one step through workgroup memory. */
  readonly depth: number;
  /** Subgroups along the rows and along the columns. */
  readonly down: number;
  readonly across: number;
}

// 64x64 sums per subgroup fill the registers of current GPUs; more are spilled to memory.
export const LARGE: MatrixTiles = { rows: 128, columns: 128, depth: 32, down: 2, across: 2 };
export const SMALL: MatrixTiles = { rows: 64, columns: 64, depth: 32, down: 2, across: 2 };
export const WIDE_192: MatrixTiles = { rows: 128, columns: 192, depth: 32, down: 2, across: 4 };
export const NARROW_96: MatrixTiles = { rows: 128, columns: 96, depth: 32, down: 2, across: 2 };
export const NARROW_64: MatrixTiles = { rows: 128, columns: 64, depth: 32, down: 2, across: 2 };
export const NARROW_32: MatrixTiles = { rows: 128, columns: 32, depth: 32, down: 4, across: 1 };

// With fewer large tiles than this, small ones keep more of a device busy.
const MANY_TILES = 96;

/** Invocations of a workgroup. */
export function invocations({ down, across }: MatrixTiles): number {
  return down * across * SUBGROUP;
}

/** Pool elements from one line of a tile to the next: eight halves more, so that lines start in different banks. */
export function tilePitch(halves: number): number {
  return halves / 8 + 1;
}

/** Likewise of a line of sums: eight f32 more. */
export function sumsPitch(sums: number): number {
  return sums / 4 + 2;
}

/** Pool elements of both operands' tiles, lines in either direction, or of the sums on their way out. */
export function poolElements({ rows, columns, depth, down, across }: MatrixTiles): number {
  const tile = (lines: number): number =>
    Math.max(lines * tilePitch(depth), depth * tilePitch(lines));
  const sums = down * across * MATRIX * sumsPitch(columns / across);
  return Math.max(tile(rows) + tile(columns), sums);
}

/** Whether a device has the units and the workgroup memory for every tile shape. */
export function hasMatrixTiles(capabilities: Capabilities): boolean {
  const largest = Math.max(...[LARGE, WIDE_192].map(poolElements));
  return hasMatrixUnits(capabilities) && poolFits(largest, capabilities);
}

/** The large shape that pads the columns least. */
function chooseLarge({ columns, right }: Product): MatrixTiles {
  // The others divide their columns evenly among reads along the depth alone.
  if (!right.alongDepth) return LARGE;
  const padded = (tiles: MatrixTiles): number => Math.ceil(columns / tiles.columns) * tiles.columns;
  return [LARGE, WIDE_192, NARROW_96].reduce((best, tiles) =>
    padded(tiles) < padded(best) ? tiles : best,
  );
}

/** The same tiles in steps of twice the depth, which wait half as often, where the depth and the device permit it. */
function deepen(tiles: MatrixTiles, { depth }: Product, capabilities: Capabilities): MatrixTiles {
  const deep = { ...tiles, depth: 2 * tiles.depth };
  return depth % deep.depth === 0 && poolFits(poolElements(deep), capabilities) ? deep : tiles;
}

/** The tile shape for a product. */
export function chooseMatrixTiles(product: Product, capabilities: Capabilities): MatrixTiles {
  const { rows, columns, batches } = product;
  if (columns <= 32) return NARROW_32;
  if (columns <= 64) return NARROW_64;
  const large = chooseLarge(product);
  const tiles = Math.ceil(rows / large.rows) * Math.ceil(columns / large.columns) * batches;
  return deepen(tiles >= MANY_TILES ? large : SMALL, product, capabilities);
}
