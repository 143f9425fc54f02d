// The matrix product that everything fast is made of: rows given by tables of addresses, times a packed panel.
//
// A panel holds 8 columns of B: for each depth index, 8 consecutive floats (columns past the matrix are 0). Row tables
// hold one u32 address per row, a multiple of 6 entries; entries past the rows repeat the last row. A repeated row is
// computed twice with one result, so short tiles need no special case. 6 x 8 is the largest tile whose accumulators,
// with two B vectors and one A splat, fit the 16 vector registers of x64.

export const TILE_ROWS: i32 = 6;
/** Bytes of one depth index in a panel. */
export const PANEL_BYTES: usize = 32;
/** Bytes that `block` needs at `edge`: a row table and a full tile. */
export const EDGE_BYTES: usize = 256;

/** `sum + a * b`; one rounding where relaxed SIMD was asked for, else two. */
// @ts-ignore: decorator
@inline
export function multiplyAdd(sum: v128, a: v128, b: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, sum);
  return f32x4.add(sum, f32x4.mul(a, b));
}

// @ts-ignore: decorator
@inline
function row(table: usize, index: usize): usize {
  return <usize>load<u32>(table + (index << 2));
}

/** C rows (+)= A rows times one panel, for the 6 rows at `aTable` and `cTable`. Offsets are bytes within the rows. */
function tile(
  aTable: usize,
  aOffset: usize,
  panel: usize,
  depth: i32,
  cTable: usize,
  cOffset: usize,
  accumulate: bool,
): void {
  let a0 = row(aTable, 0) + aOffset;
  let a1 = row(aTable, 1) + aOffset;
  let a2 = row(aTable, 2) + aOffset;
  let a3 = row(aTable, 3) + aOffset;
  let a4 = row(aTable, 4) + aOffset;
  let a5 = row(aTable, 5) + aOffset;
  let s00 = f32x4.splat(0);
  let s01 = s00;
  let s10 = s00;
  let s11 = s00;
  let s20 = s00;
  let s21 = s00;
  let s30 = s00;
  let s31 = s00;
  let s40 = s00;
  let s41 = s00;
  let s50 = s00;
  let s51 = s00;
  if (accumulate) {
    // Starting from C rather than adding it at the end keeps older engines from spilling registers in the loop. All
    // loads come before all stores: repeated rows then see the same old value.
    const c0 = row(cTable, 0) + cOffset;
    s00 = v128.load(c0);
    s01 = v128.load(c0, 16);
    const c1 = row(cTable, 1) + cOffset;
    s10 = v128.load(c1);
    s11 = v128.load(c1, 16);
    const c2 = row(cTable, 2) + cOffset;
    s20 = v128.load(c2);
    s21 = v128.load(c2, 16);
    const c3 = row(cTable, 3) + cOffset;
    s30 = v128.load(c3);
    s31 = v128.load(c3, 16);
    const c4 = row(cTable, 4) + cOffset;
    s40 = v128.load(c4);
    s41 = v128.load(c4, 16);
    const c5 = row(cTable, 5) + cOffset;
    s50 = v128.load(c5);
    s51 = v128.load(c5, 16);
  }
  const end = panel + <usize>depth * PANEL_BYTES;
  while (panel < end) {
    const b0 = v128.load(panel);
    const b1 = v128.load(panel, 16);
    let a = v128.load_splat<f32>(a0);
    s00 = multiplyAdd(s00, a, b0);
    s01 = multiplyAdd(s01, a, b1);
    a = v128.load_splat<f32>(a1);
    s10 = multiplyAdd(s10, a, b0);
    s11 = multiplyAdd(s11, a, b1);
    a = v128.load_splat<f32>(a2);
    s20 = multiplyAdd(s20, a, b0);
    s21 = multiplyAdd(s21, a, b1);
    a = v128.load_splat<f32>(a3);
    s30 = multiplyAdd(s30, a, b0);
    s31 = multiplyAdd(s31, a, b1);
    a = v128.load_splat<f32>(a4);
    s40 = multiplyAdd(s40, a, b0);
    s41 = multiplyAdd(s41, a, b1);
    a = v128.load_splat<f32>(a5);
    s50 = multiplyAdd(s50, a, b0);
    s51 = multiplyAdd(s51, a, b1);
    a0 += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    a4 += 4;
    a5 += 4;
    panel += PANEL_BYTES;
  }
  const c0 = row(cTable, 0) + cOffset;
  const c1 = row(cTable, 1) + cOffset;
  const c2 = row(cTable, 2) + cOffset;
  const c3 = row(cTable, 3) + cOffset;
  const c4 = row(cTable, 4) + cOffset;
  const c5 = row(cTable, 5) + cOffset;
  v128.store(c0, s00);
  v128.store(c0, s01, 16);
  v128.store(c1, s10);
  v128.store(c1, s11, 16);
  v128.store(c2, s20);
  v128.store(c2, s21, 16);
  v128.store(c3, s30);
  v128.store(c3, s31, 16);
  v128.store(c4, s40);
  v128.store(c4, s41, 16);
  v128.store(c5, s50);
  v128.store(c5, s51, 16);
}

/** A table of 6 rows of 32 bytes behind it; where tiles with fewer than 8 columns are computed. */
function prepareEdge(edge: usize): void {
  for (let i: usize = 0; i < 6; i++) store<u32>(edge + (i << 2), <u32>(edge + 64 + i * PANEL_BYTES));
}

/** Moves the valid part of an edge tile to its rows. */
function finishEdge(edge: usize, rows: i32, columns: i32, cTable: usize, cOffset: usize, accumulate: bool): void {
  for (let i = 0; i < rows; i++) {
    const from = edge + 64 + <usize>i * PANEL_BYTES;
    const to = row(cTable, i) + cOffset;
    for (let j: usize = 0; j < <usize>columns << 2; j += 4) {
      const sum = load<f32>(from + j);
      store<f32>(to + j, accumulate ? load<f32>(to + j) + sum : sum);
    }
  }
}

/**
 * C rows (+)= A rows times consecutive panels: `C[r][j] (+)= sum over d < depth of A[r][aOffset / 4 + d] * B[d][j]`.
 *
 * @param rows rows in both tables, before the repeats.
 * @param panels first panel, at its first depth index; `panelBytes` apart.
 * @param columns columns of B in all; panels hold 8 of them.
 * @param edge `EDGE_BYTES` of scratch.
 */
export function block(
  rows: i32,
  aTable: usize,
  aOffset: usize,
  panels: usize,
  panelBytes: usize,
  depth: i32,
  columns: i32,
  cTable: usize,
  cOffset: usize,
  accumulate: bool,
  edge: usize,
): void {
  prepareEdge(edge);
  const tables = <usize>rows << 2;
  while (columns > 0) {
    for (let at: usize = 0; at < tables; at += 24) {
      if (columns >= 8) {
        tile(aTable + at, aOffset, panels, depth, cTable + at, cOffset, accumulate);
      } else {
        tile(aTable + at, aOffset, panels, depth, edge, 0, false);
        finishEdge(edge, min(6, rows - <i32>(at >> 2)), columns, cTable + at, cOffset, accumulate);
      }
    }
    panels += panelBytes;
    cOffset += PANEL_BYTES;
    columns -= 8;
  }
}

/** Repeats the last of `rows` entries up to a multiple of 6; `rows` is at least 1. */
export function padTable(table: usize, rows: i32): void {
  const last = load<u32>(table + (<usize>(rows - 1) << 2));
  for (let i = rows; i % TILE_ROWS !== 0; i++) store<u32>(table + (<usize>i << 2), last);
}

/** A table of `rows` rows that start `stride` bytes apart. */
export function fillTable(table: usize, first: usize, stride: usize, rows: i32): void {
  for (let i = 0; i < rows; i++) store<u32>(table + (<usize>i << 2), <u32>(first + <usize>i * stride));
  padTable(table, rows);
}
