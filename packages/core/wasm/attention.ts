// Softmax attention in tiles of queries by keys with a running maximum (Milakov and Gimelshein, arXiv 1805.02867; Dao et
// al., arXiv 2205.14135): scores never leave the thread's scratch memory.
import { address, float, word } from './lib/job';
import { expNegative4 } from './lib/math';
import { packPanels } from './lib/pack';
import { block, fillTable, PANEL_BYTES } from './lib/tile';

/** Keys of a tile; queries of a tile are at most 96 and dimensions at most 128. */
const TILE_KEYS: i32 = 128;
const SCORE_STRIDE: usize = 512;

// Scratch: row tables, running maximum and sum of each query, then the tiles.
const Q_TABLE: usize = 0;
const SCORE_TABLE: usize = 512;
const MIX_TABLE: usize = 1024;
const EDGE: usize = 1536;
const MAXIMA: usize = 2048;
const SUMS: usize = 2560;
const SCORES: usize = 4096;
const KEYS: usize = SCORES + 96 * SCORE_STRIDE;
const VALUES: usize = KEYS + 65536;
const MIX: usize = VALUES + 65536;

// @ts-ignore: decorator
@inline
function expOne(x: f32): f32 {
  return f32x4.extract_lane(expNegative4(f32x4.splat(x)), 0);
}

// @ts-ignore: decorator
@inline
function highestLane(x: v128): f32 {
  return max(
    max(f32x4.extract_lane(x, 0), f32x4.extract_lane(x, 1)),
    max(f32x4.extract_lane(x, 2), f32x4.extract_lane(x, 3)),
  );
}

// @ts-ignore: decorator
@inline
function sumLanes(x: v128): f32 {
  return (
    f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) +
    (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3))
  );
}

/** Scales a row of scores, hides those from `visible` on, and returns the highest. `count` is a multiple of 4. */
function scaleRow(row: usize, visible: i32, count: i32, scale: f32): f32 {
  let highest = f32x4.splat(-Infinity);
  const factor = f32x4.splat(scale);
  const vectors = row + (<usize>(visible & ~3) << 2);
  let at = row;
  for (; at < vectors; at += 16) {
    const scaled = f32x4.mul(v128.load(at), factor);
    v128.store(at, scaled);
    highest = f32x4.max(highest, scaled);
  }
  let result = highestLane(highest);
  for (; at < row + (<usize>visible << 2); at += 4) {
    const scaled = load<f32>(at) * scale;
    store<f32>(at, scaled);
    result = max(result, scaled);
  }
  for (; at < row + (<usize>count << 2); at += 4) store<f32>(at, -Infinity);
  return result;
}

/** Replaces a row of scores by `exp(score - highest)` and returns their sum. */
function expRow(row: usize, count: i32, highest: f32): f32 {
  const shift = f32x4.splat(highest);
  let sum = f32x4.splat(0);
  const end = row + (<usize>count << 2);
  for (let at = row; at < end; at += 16) {
    const weight = expNegative4(f32x4.sub(v128.load(at), shift));
    v128.store(at, weight);
    sum = f32x4.add(sum, weight);
  }
  return sumLanes(sum);
}

function scaleMix(row: usize, bytes: usize, factor: f32): void {
  const scale = f32x4.splat(factor);
  for (let at = row; at < row + bytes; at += 16) v128.store(at, f32x4.mul(v128.load(at), scale));
}

/**
 * Scores of a tile to weights, with the running state of each query brought up to date.
 *
 * @param seen keys before this tile; `first` position of the first query, for the causal bound.
 */
function weigh(
  scratch: usize,
  queries: i32,
  keys: i32,
  seen: i32,
  first: i32,
  causal: bool,
  scale: f32,
  mixBytes: usize,
): void {
  const count = (keys + 7) & ~7;
  for (let i = 0; i < queries; i++) {
    const row = scratch + SCORES + <usize>i * SCORE_STRIDE;
    const visible = causal ? min(keys, first + i + 1 - seen) : keys;
    if (visible <= 0) {
      memory.fill(row, 0, <usize>count << 2);
      continue;
    }
    const state = scratch + (<usize>i << 2);
    const before = load<f32>(state + MAXIMA);
    const highest = max(before, scaleRow(row, visible, count, scale));
    const sum = expRow(row, count, highest);
    if (seen === 0) {
      store<f32>(state + SUMS, sum);
    } else if (highest === before) {
      store<f32>(state + SUMS, load<f32>(state + SUMS) + sum);
    } else {
      const shrink = expOne(before - highest);
      store<f32>(state + SUMS, load<f32>(state + SUMS) * shrink + sum);
      scaleMix(scratch + MIX + <usize>i * mixBytes, mixBytes, shrink);
    }
    store<f32>(state + MAXIMA, highest);
  }
}

/** Divides the mixed values by the sums of the weights and writes them out. */
function finish(scratch: usize, queries: i32, mixBytes: usize, dimension: i32, out: usize, outStride: usize): void {
  for (let i = 0; i < queries; i++) {
    const total = load<f32>(scratch + SUMS + (<usize>i << 2));
    const mix = scratch + MIX + <usize>i * mixBytes;
    const to = out + <usize>i * outStride;
    const vectors = <usize>(dimension & ~3) << 2;
    let d: usize = 0;
    for (; d < vectors; d += 16) v128.store(to + d, f32x4.div(v128.load(mix + d), f32x4.splat(total)));
    for (; d < <usize>dimension << 2; d += 4) store<f32>(to + d, load<f32>(mix + d) / total);
  }
}

/**
 * One item is one tile of queries and one head.
 *
 * Words: 0 table of tiles (first query, queries, first key, keys, position of the first query in its sequence),
 * 1 heads, 2 dimension, 3 causal, 4 scale, then address, row stride and head stride (bytes) of 5 q, 8 k, 11 v, 14 out.
 */
export function attention(args: usize, begin: i32, end: i32, scratch: usize): void {
  const tiles = address(args, 0);
  const heads = word(args, 1);
  const dimension = word(args, 2);
  const causal = word(args, 3) !== 0;
  const scale = float(args, 4);
  const qStride = <usize>word(args, 6);
  const kStride = <usize>word(args, 9);
  const vStride = <usize>word(args, 12);
  const outStride = <usize>word(args, 15);
  const mixColumns = (dimension + 7) & ~7;
  const mixBytes = <usize>mixColumns << 2;
  const keyPanel = <usize>dimension * PANEL_BYTES;
  for (let item = begin; item < end; item++) {
    const tile = tiles + <usize>(item / heads) * 20;
    const head = <usize>(item % heads);
    const firstQuery = <usize>load<i32>(tile);
    const queries = load<i32>(tile, 4);
    const firstKey = <usize>load<i32>(tile, 8);
    const position = load<i32>(tile, 16);
    const q = address(args, 5) + firstQuery * qStride + head * <usize>word(args, 7);
    const k = address(args, 8) + firstKey * kStride + head * <usize>word(args, 10);
    const v = address(args, 11) + firstKey * vStride + head * <usize>word(args, 13);
    const out = address(args, 14) + firstQuery * outStride + head * <usize>word(args, 16);
    // Keys after the last query are hidden from the whole tile.
    const keys = causal ? min(load<i32>(tile, 12), position + queries) : load<i32>(tile, 12);
    if (keys === 0) {
      for (let i = 0; i < queries; i++) memory.fill(out + <usize>i * outStride, 0, <usize>dimension << 2);
      continue;
    }
    fillTable(scratch + Q_TABLE, q, qStride, queries);
    fillTable(scratch + SCORE_TABLE, scratch + SCORES, SCORE_STRIDE, queries);
    fillTable(scratch + MIX_TABLE, scratch + MIX, mixBytes, queries);
    for (let i: usize = 0; i < <usize>queries; i++) store<f32>(scratch + MAXIMA + (i << 2), -Infinity);
    for (let seen = 0; seen < keys; seen += TILE_KEYS) {
      const count = min(TILE_KEYS, keys - seen);
      const panels = scratch + KEYS;
      packPanels(k + <usize>seen * kStride, 4, kStride, dimension, count, panels, keyPanel);
      block(
        queries,
        scratch + Q_TABLE,
        0,
        panels,
        keyPanel,
        dimension,
        (count + 7) & ~7,
        scratch + SCORE_TABLE,
        0,
        false,
        scratch + EDGE,
      );
      weigh(scratch, queries, count, seen, position, causal, scale, mixBytes);
      const valuePanel = <usize>count * PANEL_BYTES;
      packPanels(v + <usize>seen * vStride, vStride, 4, count, dimension, scratch + VALUES, valuePanel);
      block(
        queries,
        scratch + SCORE_TABLE,
        0,
        scratch + VALUES,
        valuePanel,
        count,
        mixColumns,
        scratch + MIX_TABLE,
        0,
        seen > 0,
        scratch + EDGE,
      );
    }
    finish(scratch, queries, mixBytes, dimension, out, outStride);
  }
}
