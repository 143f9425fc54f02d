// Packing a matrix B [depth, columns] of any strides into panels of 8 columns (see tile.ts).
import { PANEL_BYTES } from './tile';

/** Four rows of four floats at `at`, `stride` bytes apart, stored transposed: four panel rows of four floats at `to`. */
// @ts-ignore: decorator
@inline
function transpose4(at: usize, stride: usize, to: usize): void {
  const r0 = v128.load(at);
  const r1 = v128.load(at + stride);
  const r2 = v128.load(at + 2 * stride);
  const r3 = v128.load(at + 3 * stride);
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5));
  v128.store(to, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7), 32);
  v128.store(to, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5), 64);
  v128.store(to, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7), 96);
}

/** One panel, element by element; columns from `columns` on become 0. */
function packSlowly(from: usize, depthStride: usize, columnStride: usize, depth: i32, columns: i32, to: usize): void {
  for (let d = 0; d < depth; d++) {
    for (let j = 0; j < 8; j++) {
      const value = j < columns ? load<f32>(from + <usize>j * columnStride) : 0;
      store<f32>(to + (<usize>j << 2), value);
    }
    from += depthStride;
    to += PANEL_BYTES;
  }
}

/** One full panel whose depth is contiguous in memory (the rows of a transposed matrix). */
function packTransposed(from: usize, columnStride: usize, depth: i32, to: usize): void {
  let d = 0;
  for (; d + 4 <= depth; d += 4) {
    transpose4(from, columnStride, to);
    transpose4(from + 4 * columnStride, columnStride, to + 16);
    from += 16;
    to += 4 * PANEL_BYTES;
  }
  packSlowly(from, 4, columnStride, depth - d, 8, to);
}

/** One full panel whose columns are contiguous in memory. */
function packRows(from: usize, depthStride: usize, depth: i32, to: usize): void {
  for (let d = 0; d < depth; d++) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
    from += depthStride;
    to += PANEL_BYTES;
  }
}

/**
 * Packs `columns` columns into consecutive panels, `panelBytes` apart; strides are in bytes.
 * The last panel is filled up with zeros.
 */
export function packPanels(
  from: usize,
  depthStride: usize,
  columnStride: usize,
  depth: i32,
  columns: i32,
  to: usize,
  panelBytes: usize,
): void {
  for (; columns > 0; columns -= 8) {
    if (columns < 8) packSlowly(from, depthStride, columnStride, depth, columns, to);
    else if (columnStride === 4) packRows(from, depthStride, depth, to);
    else if (depthStride === 4) packTransposed(from, columnStride, depth, to);
    else packSlowly(from, depthStride, columnStride, depth, 8, to);
    from += 8 * columnStride;
    to += panelBytes;
  }
}
