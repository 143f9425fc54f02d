// The job of uniqueCoords: a radix sort of coordinates, then one pass that cuts the groups.
import { address, word } from '../../core/wasm/lib/job';

const DIGIT_BITS: i32 = 11;
const BUCKETS: usize = 2048;

// Scratch: least value and bits of each column, then three histograms.
const BITS: usize = 16;
const HISTOGRAMS: usize = 64;

/** Least value of each column, and the bits that its values above it take. */
function measure(coords: usize, rows: i32, scratch: usize): void {
  let low = v128.load(coords);
  let high = low;
  for (let i = 1; i < rows; i++) {
    const at = v128.load(coords + (<usize>i << 4));
    low = i32x4.min_s(low, at);
    high = i32x4.max_s(high, at);
  }
  v128.store(scratch, low);
  v128.store(scratch + BITS, i32x4.sub(high, low));
  for (let column: usize = 0; column < 16; column += 4) {
    const range = load<u32>(scratch + BITS + column);
    store<i32>(scratch + BITS + column, 32 - <i32>clz(range));
  }
}

/** Keys of the columns `first` to `last` of each row in order, the last one lowest; counts the digits on the way. */
function makeKeys(
  coords: usize,
  order: usize,
  rows: i32,
  first: i32,
  last: i32,
  keys: usize,
  scratch: usize,
): void {
  memory.fill(scratch + HISTOGRAMS, 0, 3 * BUCKETS * 4);
  const histograms = scratch + HISTOGRAMS;
  for (let i: usize = 0; i < <usize>rows << 2; i += 4) {
    const at = coords + (<usize>load<u32>(order + i) << 4);
    let key: u32 = 0;
    for (let column = <usize>first << 2; column <= <usize>last << 2; column += 4) {
      const bits = load<u32>(scratch + BITS + column);
      const value = load<u32>(at + column) - load<u32>(scratch + column);
      // A column of 32 bits is alone in its key.
      key = bits === 32 ? value : (key << bits) | value;
    }
    store<u32>(keys + i, key);
    let place = histograms + (<usize>(key & 2047) << 2);
    store<u32>(place, load<u32>(place) + 1);
    place = histograms + ((BUCKETS + <usize>((key >> 11) & 2047)) << 2);
    store<u32>(place, load<u32>(place) + 1);
    place = histograms + ((2 * BUCKETS + <usize>(key >> 22)) << 2);
    store<u32>(place, load<u32>(place) + 1);
  }
}

/** One stable pass over a digit: (keys, order) to (toKeys, toOrder). */
function scatter(
  keys: usize,
  order: usize,
  rows: i32,
  shift: i32,
  toKeys: usize,
  toOrder: usize,
  histogram: usize,
): void {
  let sum: u32 = 0;
  for (let bucket: usize = 0; bucket < BUCKETS << 2; bucket += 4) {
    const count = load<u32>(histogram + bucket);
    store<u32>(histogram + bucket, sum);
    sum += count;
  }
  for (let i: usize = 0; i < <usize>rows << 2; i += 4) {
    const key = load<u32>(keys + i);
    const place = histogram + (<usize>((key >> shift) & 2047) << 2);
    const to = load<u32>(place);
    store<u32>(place, to + 1);
    store<u32>(toKeys + (<usize>to << 2), key);
    store<u32>(toOrder + (<usize>to << 2), load<u32>(order + i));
  }
}

/** Sorts row numbers by coordinate, stably; `order` ends in either buffer, which is returned. */
function sortRows(coords: usize, rows: i32, order: usize, temporary: usize, scratch: usize): usize {
  const bytes = <usize>rows << 2;
  let from = order;
  let to = temporary;
  let keys = temporary + bytes;
  let toKeys = temporary + 2 * bytes;
  for (let i: usize = 0; i < bytes; i += 4) store<u32>(order + i, <u32>(i >> 2));
  let last = 3;
  while (last >= 0) {
    // As many columns as fit 32 bits make one key.
    let first = last;
    let bits = load<i32>(scratch + BITS + (<usize>last << 2));
    while (first > 0 && bits + load<i32>(scratch + BITS + (<usize>(first - 1) << 2)) <= 32) {
      first--;
      bits += load<i32>(scratch + BITS + (<usize>first << 2));
    }
    if (bits > 0) makeKeys(coords, from, rows, first, last, keys, scratch);
    for (let shift = 0; shift < bits; shift += DIGIT_BITS) {
      const histogram = scratch + HISTOGRAMS + <usize>(shift / DIGIT_BITS) * BUCKETS * 4;
      scatter(keys, from, rows, shift, toKeys, to, histogram);
      const keptKeys = keys;
      keys = toKeys;
      toKeys = keptKeys;
      const kept = from;
      from = to;
      to = kept;
    }
    last = first - 1;
  }
  return from;
}

/**
 * Groups equal coordinates; one item.
 *
 * Words: 0 coords, 1 rows, 2 unique, 3 inverse, 4 order, 5 offsets, 6 summary, 7 temporary (12 bytes per row).
 */
export function unique(args: usize, begin: i32, end: i32, scratch: usize): void {
  const coords = address(args, 0);
  const rows = word(args, 1);
  const distinct = address(args, 2);
  const inverse = address(args, 3);
  const order = address(args, 4);
  const offsets = address(args, 5);
  const summary = address(args, 6);
  let groups: usize = 0;
  let largest = 0;
  let start = 0;
  if (rows > 0) {
    measure(coords, rows, scratch);
    const sorted = sortRows(coords, rows, order, address(args, 7), scratch);
    if (sorted !== order) memory.copy(order, sorted, <usize>rows << 2);
  }
  for (let i = 0; i < rows; i++) {
    const row = <usize>load<u32>(order + (<usize>i << 2));
    const key = v128.load(coords + (row << 4));
    if (i === 0 || v128.any_true(v128.xor(key, v128.load(distinct + ((groups - 1) << 4))))) {
      largest = max(largest, i - start);
      start = i;
      v128.store(distinct + (groups << 4), key);
      store<i32>(offsets + (groups << 2), i);
      groups++;
    }
    store<u32>(inverse + (row << 2), <u32>groups - 1);
  }
  memory.fill(distinct + (groups << 4), 0, (<usize>rows - groups) << 4);
  for (let g = groups; g <= <usize>rows; g++) store<i32>(offsets + (g << 2), rows);
  store<i32>(summary, <i32>groups);
  store<i32>(summary + 4, max(largest, rows - start));
}
