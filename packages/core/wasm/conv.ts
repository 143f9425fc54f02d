// Convolution of images and volumes as an implicit matrix product. An image is a volume one voxel deep.
//
// Channels last: positions are rows of A, read in place; each tap multiplies the rows that it reaches inside the input.
// Channels first: the weight's rows are A, and a thread packs its patch of the input as panels of B.
import { address, word } from './lib/job';
import { block, fillTable, padTable, PANEL_BYTES } from './lib/tile';

/** Rows that the tables hold. */
const TABLE_ROWS: i32 = 240;
const C_TABLE: usize = 1024;
const EDGE: usize = 2048;
/** Channels last: base coordinates (3 words) and address (1 word) of each row. */
const ROWS: usize = 4096;
/** Channels first: 8 lane offsets of a panel, then the panels. */
const LANES: usize = 4096;
const PANELS: usize = 8192;

// Geometry words, shared by both jobs: 0-2 input extents, 3-5 output extents, 6-8 kernel, 9-11 stride, 12-14 padding,
// 15-17 dilation.

/** Coordinate of output position `at` along `axis`, with everything inner to it already divided off. */
// @ts-ignore: decorator
@inline
function base(args: usize, axis: usize, at: i32): i32 {
  return at * word(args, 9 + axis) - word(args, 12 + axis);
}

// @ts-ignore: decorator
@inline
function inside(at: i32, extent: i32): bool {
  return <u32>at < <u32>extent;
}

/** Coordinates of the first tap of `count` positions from `first` on, 4 words each, and `from` plus their offset. */
function placeRows(args: usize, first: i32, count: i32, from: usize, step: usize, to: usize): void {
  const extent1 = word(args, 4);
  const extent2 = word(args, 5);
  for (let r = 0; r < count; r++) {
    const position = first + r;
    const rest = position / extent2;
    const i0 = base(args, 0, rest / extent1);
    const i1 = base(args, 1, rest % extent1);
    const i2 = base(args, 2, position % extent2);
    store<i32>(to, i0);
    store<i32>(to, i1, 4);
    store<i32>(to, i2, 8);
    store<u32>(to, <u32>(from + <usize>((i0 * word(args, 1) + i1) * word(args, 2) + i2) * step), 12);
    to += 16;
  }
}

/**
 * Channels last. One item is a block of positions by channels of one group of one image.
 *
 * Words after the geometry: 18 x, 19 channels of x, 20 channels of a group, 21 packed weights, 22 bytes between taps
 * and 23 between groups, 24 out, 25 channels of out, 26 channels of a group, 27 positions, 28 groups, 29 positions
 * (at most 240), 30 channels (a multiple of 8) and 31 depth of a block, 32 bias or 0.
 */
export function convLast(args: usize, begin: i32, end: i32, scratch: usize): void {
  const channels = word(args, 19);
  const groupChannels = word(args, 20);
  const tapBytes = address(args, 22);
  const outChannels = word(args, 25);
  const units = word(args, 26);
  const positions = word(args, 27);
  const groups = word(args, 28);
  const blockRows = word(args, 29);
  const blockColumns = word(args, 30);
  const blockDepth = word(args, 31);
  const bias = address(args, 32);
  const rowBlocks = (positions + blockRows - 1) / blockRows;
  const columnBlocks = (units + blockColumns - 1) / blockColumns;
  const image = <usize>(word(args, 0) * word(args, 1) * word(args, 2)) * (<usize>channels << 2);
  const step = <usize>channels << 2;
  const outStep = <usize>outChannels << 2;
  const panelBytes = <usize>groupChannels * PANEL_BYTES;
  for (let item = begin; item < end; item++) {
    const column = (item % columnBlocks) * blockColumns;
    let rest = item / columnBlocks;
    const row = (rest % rowBlocks) * blockRows;
    rest /= rowBlocks;
    const group = rest % groups;
    const batch = <usize>(rest / groups);
    const height = min(blockRows, positions - row);
    const width = min(blockColumns, units - column);
    const unit = <usize>(group * units + column) << 2;
    const x = address(args, 18) + batch * image + <usize>(group * groupChannels) * 4;
    const out = address(args, 24) + (batch * <usize>positions + <usize>row) * outStep + unit;
    const weights = address(args, 21) + <usize>group * address(args, 23) + <usize>(column >> 3) * panelBytes;
    placeRows(args, row, height, x, step, scratch + ROWS);
    for (let r: usize = 0; r < <usize>height; r++) {
      if (bias === 0) memory.fill(out + r * outStep, 0, <usize>width << 2);
      else memory.copy(out + r * outStep, bias + unit, <usize>width << 2);
    }
    let tap: usize = 0;
    for (let t0 = 0; t0 < word(args, 6); t0++) {
      const d0 = t0 * word(args, 15);
      for (let t1 = 0; t1 < word(args, 7); t1++) {
        const d1 = t1 * word(args, 16);
        for (let t2 = 0; t2 < word(args, 8); t2++, tap++) {
          const d2 = t2 * word(args, 17);
          const shift = <usize>((d0 * word(args, 1) + d1) * word(args, 2) + d2) * step;
          let count: usize = 0;
          for (let r: usize = 0; r < <usize>height; r++) {
            const at = scratch + ROWS + (r << 4);
            if (!inside(load<i32>(at) + d0, word(args, 0))) continue;
            if (!inside(load<i32>(at, 4) + d1, word(args, 1))) continue;
            if (!inside(load<i32>(at, 8) + d2, word(args, 2))) continue;
            store<u32>(scratch + (count << 2), load<u32>(at, 12) + <u32>shift);
            store<u32>(scratch + C_TABLE + (count << 2), <u32>(out + r * outStep));
            count++;
          }
          if (count === 0) continue;
          padTable(scratch, <i32>count);
          padTable(scratch + C_TABLE, <i32>count);
          const panels = weights + tap * tapBytes;
          for (let d = 0; d < groupChannels; d += blockDepth) {
            block(
              <i32>count,
              scratch,
              <usize>d << 2,
              panels + <usize>d * PANEL_BYTES,
              panelBytes,
              min(blockDepth, groupChannels - d),
              width,
              scratch + C_TABLE,
              0,
              true,
              scratch + EDGE,
            );
          }
        }
      }
    }
  }
}

/**
 * One tap of 8 positions for `channels` channels: `channelBytes` apart in x, `rowBytes` apart in the panel.
 * `lanes` holds the byte offset of each position, or -1 outside the input.
 */
function packTap(x: usize, lanes: usize, channels: i32, channelBytes: usize, to: usize, rowBytes: usize): void {
  const first = load<i32>(lanes);
  let joined = first >= 0;
  let empty = first < 0;
  for (let lane = 1; lane < 8; lane++) {
    const offset = load<i32>(lanes + (<usize>lane << 2));
    joined = joined && offset === first + (lane << 2);
    empty = empty && offset < 0;
  }
  if (empty) {
    const zero = f32x4.splat(0);
    for (let c = 0; c < channels; c++) {
      v128.store(to, zero);
      v128.store(to, zero, 16);
      to += rowBytes;
    }
    return;
  }
  if (joined) {
    let at = x + <usize>first;
    for (let c = 0; c < channels; c++) {
      v128.store(to, v128.load(at));
      v128.store(to, v128.load(at, 16), 16);
      at += channelBytes;
      to += rowBytes;
    }
    return;
  }
  for (let lane: usize = 0; lane < 32; lane += 4) {
    const offset = load<i32>(lanes + lane);
    let target = to + lane;
    if (offset < 0) {
      for (let c = 0; c < channels; c++) {
        store<f32>(target, 0);
        target += rowBytes;
      }
      continue;
    }
    let at = x + <usize>offset;
    for (let c = 0; c < channels; c++) {
      store<f32>(target, load<f32>(at));
      at += channelBytes;
      target += rowBytes;
    }
  }
}

/** One panel: all taps of up to 8 positions, rows ordered by channel, then tap, as the weight is. */
function packPatch(args: usize, x: usize, places: usize, count: i32, channels: i32, channelBytes: usize, lanes: usize, to: usize): void {
  const taps = <usize>(word(args, 6) * word(args, 7) * word(args, 8));
  for (let t0 = 0; t0 < word(args, 6); t0++) {
    const d0 = t0 * word(args, 15);
    for (let t1 = 0; t1 < word(args, 7); t1++) {
      const d1 = t1 * word(args, 16);
      for (let t2 = 0; t2 < word(args, 8); t2++) {
        const d2 = t2 * word(args, 17);
        const shift = ((d0 * word(args, 1) + d1) * word(args, 2) + d2) << 2;
        for (let lane = 0; lane < 8; lane++) {
          const at = places + (<usize>lane << 4);
          const reached =
            lane < count &&
            inside(load<i32>(at) + d0, word(args, 0)) &&
            inside(load<i32>(at, 4) + d1, word(args, 1)) &&
            inside(load<i32>(at, 8) + d2, word(args, 2));
          store<i32>(lanes + (<usize>lane << 2), reached ? load<i32>(at, 12) + shift : -1);
        }
        packTap(x, lanes, channels, channelBytes, to, taps * PANEL_BYTES);
        to += PANEL_BYTES;
      }
    }
  }
}

/**
 * Channels first. One item is a block of positions of one group of one image.
 *
 * Words after the geometry: 18 x, 19 channels of x, 20 channels of a group, 21 weight, 22 out, 23 channels of out,
 * 24 channels of a group, 25 positions, 26 groups, 27 positions (a multiple of 8) and 28 input channels of a block,
 * 29 bias or 0. The panels, 4 bytes times positions of a block, taps and input channels of a block, must fit 480 KiB.
 */
export function convFirst(args: usize, begin: i32, end: i32, scratch: usize): void {
  const channels = word(args, 19);
  const groupChannels = word(args, 20);
  const outChannels = word(args, 23);
  const units = word(args, 24);
  const positions = word(args, 25);
  const groups = word(args, 26);
  const blockColumns = word(args, 27);
  const blockChannels = word(args, 28);
  const bias = address(args, 29);
  const columnBlocks = (positions + blockColumns - 1) / blockColumns;
  const taps = word(args, 6) * word(args, 7) * word(args, 8);
  const channelBytes = <usize>(word(args, 0) * word(args, 1) * word(args, 2)) << 2;
  const outBytes = <usize>positions << 2;
  const weightBytes = <usize>(groupChannels * taps) << 2;
  for (let item = begin; item < end; item++) {
    const column = (item % columnBlocks) * blockColumns;
    const rest = item / columnBlocks;
    const group = rest % groups;
    const batch = <usize>(rest / groups);
    const width = min(blockColumns, positions - column);
    const firstUnit = group * units;
    const x = address(args, 18) + (batch * <usize>channels + <usize>(group * groupChannels)) * channelBytes;
    const out = address(args, 22) + (batch * <usize>outChannels + <usize>firstUnit) * outBytes + (<usize>column << 2);
    const weight = address(args, 21) + <usize>firstUnit * weightBytes;
    for (let c = 0; c < groupChannels; c += blockChannels) {
      const count = min(blockChannels, groupChannels - c);
      const depth = count * taps;
      const panelBytes = <usize>depth * PANEL_BYTES;
      let panel = scratch + PANELS;
      for (let j = 0; j < width; j += 8) {
        const lanes = min(8, width - j);
        placeRows(args, column + j, lanes, 0, 4, scratch + LANES + 64);
        packPatch(
          args,
          x + <usize>c * channelBytes,
          scratch + LANES + 64,
          lanes,
          count,
          channelBytes,
          scratch + LANES,
          panel,
        );
        panel += panelBytes;
      }
      for (let u = 0; u < units; u += TABLE_ROWS) {
        const rows = min(TABLE_ROWS, units - u);
        const target = out + <usize>u * outBytes;
        if (c === 0 && bias !== 0) fillRows(target, outBytes, rows, width, bias + (<usize>(firstUnit + u) << 2));
        fillTable(scratch, weight + <usize>u * weightBytes, weightBytes, rows);
        fillTable(scratch + C_TABLE, target, outBytes, rows);
        block(
          rows,
          scratch,
          <usize>(c * taps) << 2,
          scratch + PANELS,
          panelBytes,
          depth,
          width,
          scratch + C_TABLE,
          0,
          c > 0 || bias !== 0,
          scratch + EDGE,
        );
      }
    }
  }
}

/** Every row filled with its bias. */
function fillRows(target: usize, stride: usize, rows: i32, columns: i32, bias: usize): void {
  for (let r = 0; r < rows; r++) {
    const value = load<f32>(bias + (<usize>r << 2));
    for (let j = 0; j < columns; j++) store<f32>(target + (<usize>j << 2), value);
    target += stride;
  }
}
