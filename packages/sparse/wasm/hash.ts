// Jobs of the coordinate hash: building, looking up, neighbour maps and the report on a coordinate list.
import { address, word } from '../../core/wasm/lib/job';
import { find, hashColumn, hashPoint, pair } from './lib/table';

/**
 * Inserts all rows in order; one item. Rows equal to an earlier one are left out.
 *
 * Words: 0 coords, 1 slots, 2 capacity, 3 rows.
 */
export function buildTable(args: usize, begin: i32, end: i32, scratch: usize): void {
  let at = address(args, 0);
  const coords = at;
  const slots = address(args, 1);
  const capacity = <u32>word(args, 2);
  const rows = word(args, 3);
  const mask = capacity - 1;
  memory.fill(slots, 0xff, <usize>capacity << 2);
  for (let row = 0; row < rows; row++, at += 16) {
    const y = load<i32>(at, 8);
    const z = load<i32>(at, 12);
    let slot = hashPoint(hashColumn(load<i32>(at), load<i32>(at, 4), y), z) & mask;
    for (;;) {
      const place = slots + (<usize>slot << 2);
      const other = load<i32>(place);
      if (other < 0) {
        store<i32>(place, row);
        break;
      }
      const key = coords + (<usize>other << 4);
      if (load<u64>(key) === load<u64>(at) && load<u64>(key, 8) === load<u64>(at, 8)) break;
      slot = (slot + 1) & mask;
    }
  }
}

/** One item is one query. Words: 0 slots, 1 mask, 2 coords, 3 queries, 4 out. */
export function lookup(args: usize, begin: i32, end: i32, scratch: usize): void {
  const slots = address(args, 0);
  const mask = <u32>word(args, 1);
  const coords = address(args, 2);
  const queries = address(args, 3);
  const out = address(args, 4);
  for (let i = <usize>begin; i < <usize>end; i++) {
    const at = queries + (i << 4);
    const x = load<i32>(at, 4);
    const y = load<i32>(at, 8);
    const column = hashColumn(load<i32>(at), x, y);
    store<i32>(out + (i << 2), find(slots, mask, coords, column, load<u64>(at), y, load<i32>(at, 12)));
  }
}

/** All taps of one query, from `first` on, written at `to`. */
// @ts-ignore: decorator
@inline
function fullRow(
  slots: usize,
  mask: u32,
  coords: usize,
  query: usize,
  size: i32,
  stride: i32,
  padding: i32,
  dilation: i32,
  to: usize,
): void {
  const batch = load<i32>(query);
  const fromX = load<i32>(query, 4) * stride - padding;
  const fromY = load<i32>(query, 8) * stride - padding;
  const fromZ = load<i32>(query, 12) * stride - padding;
  for (let kx = 0; kx < size; kx++) {
    const x = fromX + kx * dilation;
    const batchX = pair(batch, x);
    for (let ky = 0; ky < size; ky++) {
      const y = fromY + ky * dilation;
      const column = hashColumn(batch, x, y);
      for (let kz = 0; kz < size; kz++, to += 4) {
        store<i32>(to, find(slots, mask, coords, column, batchX, y, fromZ + kz * dilation));
      }
    }
  }
}

/**
 * One item is one query. Words: 0 queries, 1 coords, 2 slots, 3 mask, 4 out, 5 kernel size, 6 stride, 7 padding,
 * 8 dilation.
 */
export function neighbors(args: usize, begin: i32, end: i32, scratch: usize): void {
  const queries = address(args, 0);
  const coords = address(args, 1);
  const slots = address(args, 2);
  const mask = <u32>word(args, 3);
  const out = address(args, 4);
  const size = word(args, 5);
  const stride = word(args, 6);
  const padding = word(args, 7);
  const dilation = word(args, 8);
  const rowBytes = <usize>(size * size * size) << 2;
  for (let i = <usize>begin; i < <usize>end; i++) {
    const query = queries + (i << 4);
    fullRow(slots, mask, coords, query, size, stride, padding, dilation, out + i * rowBytes);
  }
}

/**
 * Neighbours of coordinates among themselves under a centred kernel of odd size: half of the taps are looked up, the
 * others follow, for tap t leads from row i to row j exactly when the opposite tap leads from j to i. `out` must hold
 * -1 everywhere. One item is one row; each entry is written by one row at most. Same words as `neighbors`.
 *
 * Of rows with equal coordinates only the first is anyone's neighbour; the others are looked up in full.
 */
export function symmetricNeighbors(args: usize, begin: i32, end: i32, scratch: usize): void {
  const coords = address(args, 1);
  const slots = address(args, 2);
  const mask = <u32>word(args, 3);
  const out = address(args, 4);
  const size = word(args, 5);
  const dilation = word(args, 8);
  const reach = (size - 1) / 2;
  const center = (size * size * size - 1) / 2;
  const rowBytes = <usize>(size * size * size) << 2;
  const last = (<usize>(size * size * size) - 1) << 2;
  for (let i = begin; i < end; i++) {
    const query = coords + (<usize>i << 4);
    const own = out + <usize>i * rowBytes;
    const batch = load<i32>(query);
    const px = load<i32>(query, 4);
    const py = load<i32>(query, 8);
    const pz = load<i32>(query, 12);
    const self = find(slots, mask, coords, hashColumn(batch, px, py), load<u64>(query), py, pz);
    if (self !== i) {
      fullRow(slots, mask, coords, query, size, 1, reach * dilation, dilation, own);
      continue;
    }
    store<i32>(own + (<usize>center << 2), i);
    for (let kx = reach; kx < size; kx++) {
      const x = px + (kx - reach) * dilation;
      const batchX = pair(batch, x);
      for (let ky = kx === reach ? reach : 0; ky < size; ky++) {
        const y = py + (ky - reach) * dilation;
        const column = hashColumn(batch, x, y);
        const line = (kx * size + ky) * size;
        for (let kz = line + reach === center ? reach + 1 : 0; kz < size; kz++) {
          const row = find(slots, mask, coords, column, batchX, y, pz + (kz - reach) * dilation);
          if (row < 0) continue;
          const tap = <usize>(line + kz) << 2;
          store<i32>(own + tap, row);
          store<i32>(out + <usize>row * rowBytes + last - tap, i);
        }
      }
    }
  }
}

/** One item is one row of the map. Words: 0 map, 1 taps, 2 out (all -1), 3 rows of out. */
export function invert(args: usize, begin: i32, end: i32, scratch: usize): void {
  const taps = word(args, 1);
  const out = address(args, 2);
  const rows = <u32>word(args, 3);
  let at = address(args, 0) + (<usize>begin * <usize>taps << 2);
  for (let i = begin; i < end; i++) {
    for (let tap = 0; tap < taps; tap++, at += 4) {
      const row = load<u32>(at);
      if (row < rows) store<i32>(out + ((<usize>row * <usize>taps + <usize>tap) << 2), i);
    }
  }
}

/** Fills words with -1. One item is 1024 words. Words: 0 start, 1 count of words. */
export function clearWords(args: usize, begin: i32, end: i32, scratch: usize): void {
  const from = <usize>begin << 12;
  const to = min(<usize>end << 12, <usize>word(args, 1) << 2);
  memory.fill(address(args, 0) + from, 0xff, to - from);
}

/** Lowers a shared word to `value`. */
function lower(at: usize, value: i32): void {
  let old = atomic.load<i32>(at);
  while (value < old) {
    const seen = atomic.cmpxchg<i32>(at, old, value);
    if (seen === old) return;
    old = seen;
  }
}

/** Raises a shared word to `value`. */
function raise(at: usize, value: i32): void {
  let old = atomic.load<i32>(at);
  while (value > old) {
    const seen = atomic.cmpxchg<i32>(at, old, value);
    if (seen === old) return;
    old = seen;
  }
}

/**
 * The report on a coordinate list. One item is one row; the report must hold its initial values.
 *
 * Words: 0 coords, 1 slots, 2 mask, 3 report.
 */
export function inspect(args: usize, begin: i32, end: i32, scratch: usize): void {
  const coords = address(args, 0);
  const slots = address(args, 1);
  const mask = <u32>word(args, 2);
  const report = address(args, 3);
  let low0 = i32.MAX_VALUE;
  let low1 = i32.MAX_VALUE;
  let low2 = i32.MAX_VALUE;
  let high0 = i32.MIN_VALUE;
  let high1 = i32.MIN_VALUE;
  let high2 = i32.MIN_VALUE;
  let lastBatch: i32 = -1;
  for (let row = begin; row < end; row++) {
    const at = coords + (<usize>row << 4);
    const batch = load<i32>(at);
    const x = load<i32>(at, 4);
    const y = load<i32>(at, 8);
    const z = load<i32>(at, 12);
    low0 = min(low0, x);
    low1 = min(low1, y);
    low2 = min(low2, z);
    high0 = max(high0, x);
    high1 = max(high1, y);
    high2 = max(high2, z);
    lastBatch = max(lastBatch, batch);
    if (<i32>(<i16>x) !== x || <i32>(<i16>y) !== y || <i32>(<i16>z) !== z) lower(report, row);
    if (batch < 0) lower(report + 4, row);
    if (row > 0 && batch < load<i32>(at - 16)) lower(report + 8, row);
    if (find(slots, mask, coords, hashColumn(batch, x, y), load<u64>(at), y, z) !== row) {
      lower(report + 12, row);
    }
  }
  raise(report + 16, lastBatch);
  lower(report + 20, low0);
  lower(report + 24, low1);
  lower(report + 28, low2);
  raise(report + 32, high0);
  raise(report + 36, high1);
  raise(report + 40, high2);
}
