/**
 * The f32 matrix product of the CPU backend, C = activation(A B + bias), over addresses in its memory.
 *
 * B is packed into panels of 8 columns, then blocks of C are spread over the threads. With few rows or columns and both
 * operands contiguous along depth, dot products read B in place instead. Sums run in blocks of at most 256 along
 * depth, in an order that depends on the shapes alone.
 */
import type { Activation } from '../ops/activation.ts';
import { withTemporary, wordsAt, type CpuContext } from './context.ts';
import { wasm } from './wasm/gemm.generated.ts';

/** Byte addresses of the operands of one product. */
export interface MatrixAddresses {
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/** Products of equal shape. Strides are in elements and may be 0. */
export interface MatrixProduct {
  readonly matrices: readonly MatrixAddresses[];
  readonly rows: number;
  readonly columns: number;
  /** At least 1. */
  readonly depth: number;
  /** Strides of A along rows and depth. */
  readonly aStrides: readonly [row: number, depth: number];
  /** Strides of B along depth and columns. */
  readonly bStrides: readonly [depth: number, column: number];
  /** Elements between rows of C, whose columns are contiguous. */
  readonly cStride: number;
  /** Byte address of a row of biases. */
  readonly bias?: number;
  readonly activation?: Activation;
}

/** Numbers by which jobs know the activations. */
export const ACTIVATION_CODES: Readonly<Record<Activation, number>> = {
  none: 0,
  relu: 1,
  silu: 2,
  gelu: 3,
  geluTanh: 4,
  quickGelu: 5,
};

/** Columns of one panel. */
export const PANEL_COLUMNS = 8;

// Depth of a block: a panel of it (8 KiB) stays in the first-level cache.
const BLOCK_DEPTH = 256;
// Rows of a block: A's part of it (96 KiB) stays in the second-level cache. A multiple of the 6 rows of a tile.
const BLOCK_ROWS = 96;
const BLOCK_COLUMNS = 128;
const SMALLEST_BLOCK = { rows: 24, columns: 32 } as const;
// Columns that one packing item covers, as in wasm/gemm.ts.
const PACK_COLUMNS = 64;
// Up to this many rows, reading B again for each pair of rows costs less than packing it.
const FEW_ROWS = 48;
const FEW_COLUMNS = 6;
// Packed B is at most this large; larger products are cut along columns or matrices.
const MAX_PACKED_BYTES = 64 * 1024 * 1024;
// Work worth handing to another thread, about 30 microseconds.
const GRAIN_FLOPS = 1_000_000;
const GRAIN_ELEMENTS = 32_768;
const TABLE_ENTRY_BYTES = 12;

/** Depth of the blocks of a sum: equal parts of at most 256. */
export function blockDepth(depth: number): number {
  return Math.ceil(depth / Math.ceil(depth / BLOCK_DEPTH));
}

/** Bytes of a packed matrix B. */
export function packedBytes(depth: number, columns: number): number {
  return Math.ceil(columns / PANEL_COLUMNS) * PANEL_COLUMNS * depth * 4;
}

/** Computes all products. */
export function multiply(context: CpuContext, product: MatrixProduct): void {
  const { rows, columns, aStrides, bStrides } = product;
  const contiguous = aStrides[1] === 1 && bStrides[0] === 1;
  if (contiguous && (rows <= FEW_ROWS || columns < FEW_COLUMNS)) multiplyFew(context, product);
  else multiplyPacked(context, product);
}

/** Writes the (A, B, C) table of a job. */
function writeTable(
  context: CpuContext,
  address: number,
  matrices: readonly MatrixAddresses[],
): void {
  const words = wordsAt(context, address, matrices.length * 3);
  matrices.forEach(({ a, b, c }, i) => words.set([a, b, c], i * 3));
}

function multiplyFew(context: CpuContext, product: MatrixProduct): void {
  const { matrices, rows, columns, depth, aStrides, bStrides, cStride } = product;
  const width = 32;
  const items = matrices.length * Math.ceil(columns / width);
  withTemporary(context, matrices.length * TABLE_ENTRY_BYTES, (table) => {
    writeTable(context, table, matrices);
    const words = [
      ...[table, rows, columns, depth, aStrides[0] * 4, bStrides[1] * 4, cStride * 4],
      ...[0, width, 0, product.bias ?? 0, ACTIVATION_CODES[product.activation ?? 'none']],
    ];
    const grain = GRAIN_FLOPS / (2 * rows * width * depth);
    context.pool.run(wasm, 'dotProduct', words, items, grain);
  });
}

/** Cuts a product so that its packed matrices fit their bound, and computes the parts. */
function multiplyPacked(context: CpuContext, product: MatrixProduct): void {
  const { matrices, columns, depth } = product;
  const panels = Math.max(1, Math.floor(MAX_PACKED_BYTES / packedBytes(depth, PACK_COLUMNS)));
  const width = Math.min(columns, panels * PACK_COLUMNS);
  const count = Math.max(1, Math.floor(MAX_PACKED_BYTES / packedBytes(depth, width)));
  for (let first = 0; first < matrices.length; first += count) {
    const part = matrices.slice(first, first + count);
    for (let column = 0; column < columns; column += width) {
      multiplyPart(context, {
        ...product,
        matrices: part.map(({ a, b, c }) => ({
          a,
          b: b + column * product.bStrides[1] * 4,
          c: c + column * 4,
        })),
        columns: Math.min(width, columns - column),
        ...(product.bias === undefined ? {} : { bias: product.bias + column * 4 }),
      });
    }
  }
}

function multiplyPart(context: CpuContext, product: MatrixProduct): void {
  const { matrices, rows, columns, depth, aStrides, cStride } = product;
  // Broadcast matrices are packed once.
  const places = new Map<number, number>();
  for (const { b } of matrices) if (!places.has(b)) places.set(b, places.size);
  const sources = [...places.keys()];
  const bytes = packedBytes(depth, columns);
  const tableBytes = Math.ceil((matrices.length * TABLE_ENTRY_BYTES) / 64) * 64;
  withTemporary(context, tableBytes + bytes * sources.length, (table) => {
    const packed = table + tableBytes;
    packMatrices(context, sources, product, packed);
    const [height, width] = chooseBlock(rows, columns, matrices.length, context.pool.threads);
    writeTable(
      context,
      table,
      matrices.map(({ a, b, c }) => ({ a, b: packed + places.get(b)! * bytes, c })),
    );
    const words = [
      ...[table, rows, columns, depth, aStrides[0] * 4, aStrides[1] * 4, cStride * 4],
      ...[height, width, blockDepth(depth), product.bias ?? 0],
      ACTIVATION_CODES[product.activation ?? 'none'],
    ];
    const items = matrices.length * Math.ceil(rows / height) * Math.ceil(columns / width);
    context.pool.run(wasm, 'product', words, items, GRAIN_FLOPS / (2 * height * width * depth));
  });
}

/** Packs matrices of one layout behind each other at `destination`. */
export function packMatrices(
  context: CpuContext,
  sources: readonly number[],
  layout: Pick<MatrixProduct, 'depth' | 'columns' | 'bStrides'>,
  destination: number,
): void {
  const { depth, columns, bStrides } = layout;
  const perMatrix = Math.ceil(columns / PACK_COLUMNS);
  withTemporary(context, sources.length * 4, (table) => {
    wordsAt(context, table, sources.length).set(sources);
    const words = [
      ...[table, destination, packedBytes(depth, columns), depth, columns],
      ...[bStrides[0] * 4, bStrides[1] * 4, perMatrix],
    ];
    const grain = GRAIN_ELEMENTS / (depth * Math.min(columns, PACK_COLUMNS));
    context.pool.run(wasm, 'packB', words, sources.length * perMatrix, grain);
  });
}

/** Blocks of C small enough that every thread gets several. The values of C do not depend on the choice. */
function chooseBlock(
  rows: number,
  columns: number,
  matrices: number,
  threads: number,
): [rows: number, columns: number] {
  let height = BLOCK_ROWS;
  let width = BLOCK_COLUMNS;
  const items = (): number => matrices * Math.ceil(rows / height) * Math.ceil(columns / width);
  while (items() < 8 * threads) {
    if (width > SMALLEST_BLOCK.columns && columns > width / 2) width /= 2;
    else if (height > SMALLEST_BLOCK.rows && rows > height / 2) height /= 2;
    else break;
  }
  return [height, width];
}
