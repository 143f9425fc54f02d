// Jobs of the dense matrix product C = activation(A B + bias): packing B, the product itself, and a form for few rows.
import { address, word } from './lib/job';
import { activateRow } from './lib/math';
import { packPanels } from './lib/pack';
import { block, fillTable, multiplyAdd, PANEL_BYTES } from './lib/tile';

/** Columns that one packing item covers. */
const PACK_COLUMNS: i32 = 64;

// Scratch of the product: a row table each for A and C, the edge tile, then packed rows of A.
const C_TABLE: usize = 1024;
const EDGE: usize = 2048;
const A_ROWS: usize = 4096;

/**
 * Packs matrices B into panels. One item is up to 64 columns of one matrix.
 *
 * Words: 0 table of source addresses, 1 destination, 2 bytes between packed matrices, 3 depth, 4 columns,
 * 5 depth stride, 6 column stride (bytes), 7 items per matrix.
 */
export function packB(args: usize, begin: i32, end: i32, scratch: usize): void {
  const sources = address(args, 0);
  const destination = address(args, 1);
  const matrixBytes = address(args, 2);
  const depth = word(args, 3);
  const columns = word(args, 4);
  const depthStride = <usize>word(args, 5);
  const columnStride = <usize>word(args, 6);
  const perMatrix = word(args, 7);
  const panelBytes = <usize>depth * PANEL_BYTES;
  for (let item = begin; item < end; item++) {
    const matrix = <usize>(item / perMatrix);
    const first = (item % perMatrix) * PACK_COLUMNS;
    packPanels(
      <usize>load<u32>(sources + (matrix << 2)) + <usize>first * columnStride,
      depthStride,
      columnStride,
      depth,
      min(PACK_COLUMNS, columns - first),
      destination + matrix * matrixBytes + <usize>(first >> 3) * panelBytes,
      panelBytes,
    );
  }
}

/** Rows of A made contiguous: `rows` rows of `depth` floats. */
function packA(from: usize, rowStride: usize, depthStride: usize, rows: i32, depth: i32, to: usize): void {
  const bytes = <usize>depth << 2;
  for (let d = 0; d < depth; d++) {
    let source = from;
    let target = to + (<usize>d << 2);
    for (let r = 0; r < rows; r++) {
      store<f32>(target, load<f32>(source));
      source += rowStride;
      target += bytes;
    }
    from += depthStride;
  }
}

/** Adds a bias and applies an activation to a finished block of C. */
function finish(c: usize, stride: usize, rows: i32, columns: i32, bias: usize, activation: i32): void {
  if (bias === 0 && activation === 0) return;
  for (let r = 0; r < rows; r++) {
    if (bias !== 0) {
      let j: usize = 0;
      for (; j < <usize>(columns & ~3) << 2; j += 16) {
        v128.store(c + j, f32x4.add(v128.load(c + j), v128.load(bias + j)));
      }
      for (; j < <usize>columns << 2; j += 4) store<f32>(c + j, load<f32>(c + j) + load<f32>(bias + j));
    }
    activateRow(c, columns, activation);
    c += stride;
  }
}

/**
 * The product with packed B. One item is a block of rows by columns of one matrix.
 *
 * Words: 0 table of (A, packed B, C) addresses per matrix, 1 rows, 2 columns, 3 depth (at least 1), 4 row stride and
 * 5 depth stride of A, 6 row stride of C (bytes), 7 rows, 8 columns (a multiple of 8) and 9 depth of a block,
 * 10 bias or 0, 11 activation.
 */
export function product(args: usize, begin: i32, end: i32, scratch: usize): void {
  const matrices = address(args, 0);
  const rows = word(args, 1);
  const columns = word(args, 2);
  const depth = word(args, 3);
  const rowStride = <usize>word(args, 4);
  const depthStride = <usize>word(args, 5);
  const cStride = <usize>word(args, 6);
  const blockRows = word(args, 7);
  const blockColumns = word(args, 8);
  const blockDepth = word(args, 9);
  const bias = address(args, 10);
  const activation = word(args, 11);
  const rowBlocks = (rows + blockRows - 1) / blockRows;
  const columnBlocks = (columns + blockColumns - 1) / blockColumns;
  const panelBytes = <usize>depth * PANEL_BYTES;
  for (let item = begin; item < end; item++) {
    const matrix = matrices + <usize>(item / (rowBlocks * columnBlocks)) * 12;
    const rest = item % (rowBlocks * columnBlocks);
    const row = (rest / columnBlocks) * blockRows;
    const column = (rest % columnBlocks) * blockColumns;
    const height = min(blockRows, rows - row);
    const width = min(blockColumns, columns - column);
    const a = <usize>load<u32>(matrix) + <usize>row * rowStride;
    const b = <usize>load<u32>(matrix, 4) + <usize>(column >> 3) * panelBytes;
    const c = <usize>load<u32>(matrix, 8) + <usize>row * cStride + (<usize>column << 2);
    fillTable(scratch + C_TABLE, c, cStride, height);
    if (depthStride === 4) fillTable(scratch, a, rowStride, height);
    for (let d = 0; d < depth; d += blockDepth) {
      const length = min(blockDepth, depth - d);
      let offset = <usize>d << 2;
      if (depthStride !== 4) {
        packA(a + <usize>d * depthStride, rowStride, depthStride, height, length, scratch + A_ROWS);
        fillTable(scratch, scratch + A_ROWS, <usize>length << 2, height);
        offset = 0;
      }
      block(
        height,
        scratch,
        offset,
        b + <usize>d * PANEL_BYTES,
        panelBytes,
        length,
        width,
        scratch + C_TABLE,
        0,
        d > 0,
        scratch + EDGE,
      );
    }
    finish(c, cStride, height, width, bias === 0 ? 0 : bias + (<usize>column << 2), activation);
  }
}

// @ts-ignore: decorator
@inline
function total(sum: v128): f32 {
  return (
    f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1) +
    (f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3))
  );
}

/** Dot products of 2 rows of A with 4 columns of B, all contiguous along depth, stored at c0 and c1. */
function dots(a0: usize, a1: usize, b: usize, bStride: usize, count: i32, depth: i32, c0: usize, c1: usize): void {
  let b0 = b;
  let b1 = b + (count > 1 ? bStride : 0);
  let b2 = b + (count > 2 ? 2 * bStride : 0);
  let b3 = b + (count > 3 ? 3 * bStride : 0);
  let s00 = f32x4.splat(0);
  let s01 = s00;
  let s02 = s00;
  let s03 = s00;
  let s10 = s00;
  let s11 = s00;
  let s12 = s00;
  let s13 = s00;
  let d = 0;
  for (; d + 4 <= depth; d += 4) {
    const x = v128.load(a0);
    const y = v128.load(a1);
    let w = v128.load(b0);
    s00 = multiplyAdd(s00, x, w);
    s10 = multiplyAdd(s10, y, w);
    w = v128.load(b1);
    s01 = multiplyAdd(s01, x, w);
    s11 = multiplyAdd(s11, y, w);
    w = v128.load(b2);
    s02 = multiplyAdd(s02, x, w);
    s12 = multiplyAdd(s12, y, w);
    w = v128.load(b3);
    s03 = multiplyAdd(s03, x, w);
    s13 = multiplyAdd(s13, y, w);
    a0 += 16;
    a1 += 16;
    b0 += 16;
    b1 += 16;
    b2 += 16;
    b3 += 16;
  }
  for (; d < depth; d++) {
    // One value per lane 0: the other lanes add zeros.
    const x = v128.load32_zero(a0);
    const y = v128.load32_zero(a1);
    let w = v128.load32_zero(b0);
    s00 = f32x4.add(s00, f32x4.mul(x, w));
    s10 = f32x4.add(s10, f32x4.mul(y, w));
    w = v128.load32_zero(b1);
    s01 = f32x4.add(s01, f32x4.mul(x, w));
    s11 = f32x4.add(s11, f32x4.mul(y, w));
    w = v128.load32_zero(b2);
    s02 = f32x4.add(s02, f32x4.mul(x, w));
    s12 = f32x4.add(s12, f32x4.mul(y, w));
    w = v128.load32_zero(b3);
    s03 = f32x4.add(s03, f32x4.mul(x, w));
    s13 = f32x4.add(s13, f32x4.mul(y, w));
    a0 += 4;
    a1 += 4;
    b0 += 4;
    b1 += 4;
    b2 += 4;
    b3 += 4;
  }
  store<f32>(c0, total(s00));
  store<f32>(c1, total(s10));
  if (count < 2) return;
  store<f32>(c0, total(s01), 4);
  store<f32>(c1, total(s11), 4);
  if (count < 3) return;
  store<f32>(c0, total(s02), 8);
  store<f32>(c1, total(s12), 8);
  if (count < 4) return;
  store<f32>(c0, total(s03), 12);
  store<f32>(c1, total(s13), 12);
}

/**
 * The product for few rows or columns: rows of A and columns of B both contiguous along depth, nothing packed.
 * One item is `blockColumns` columns of one matrix. Same words as `product`, but the table holds unpacked B, and
 * word 5 is the column stride of B.
 */
export function dotProduct(args: usize, begin: i32, end: i32, scratch: usize): void {
  const matrices = address(args, 0);
  const rows = word(args, 1);
  const columns = word(args, 2);
  const depth = word(args, 3);
  const rowStride = <usize>word(args, 4);
  const columnStride = <usize>word(args, 5);
  const cStride = <usize>word(args, 6);
  const blockColumns = word(args, 8);
  const bias = address(args, 10);
  const activation = word(args, 11);
  const columnBlocks = (columns + blockColumns - 1) / blockColumns;
  for (let item = begin; item < end; item++) {
    const matrix = matrices + <usize>(item / columnBlocks) * 12;
    const column = (item % columnBlocks) * blockColumns;
    const width = min(blockColumns, columns - column);
    const a = <usize>load<u32>(matrix);
    const b = <usize>load<u32>(matrix, 4) + <usize>column * columnStride;
    const c = <usize>load<u32>(matrix, 8) + (<usize>column << 2);
    for (let row = 0; row < rows; row += 2) {
      const a0 = a + <usize>row * rowStride;
      const c0 = c + <usize>row * cStride;
      const pair = row + 1 < rows;
      for (let j = 0; j < width; j += 4) {
        dots(
          a0,
          pair ? a0 + rowStride : a0,
          b + <usize>j * columnStride,
          columnStride,
          min(4, width - j),
          depth,
          c0 + (<usize>j << 2),
          (pair ? c0 + cStride : c0) + (<usize>j << 2),
        );
      }
    }
    finish(c, cStride, rows, width, bias === 0 ? 0 : bias + (<usize>column << 2), activation);
  }
}
