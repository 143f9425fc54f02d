// Moving elements of any size between strided layouts, and rows by index.
import { address, word } from './lib/job';
import { place, place0, place1 } from './lib/walk';

// Below this, a call of the engine's copy costs more than copying by hand.
const SHORT_COPY: usize = 192;

function copyBytes(to: usize, from: usize, bytes: usize): void {
  if (bytes > SHORT_COPY) {
    memory.copy(to, from, bytes);
    return;
  }
  let at: usize = 0;
  for (; at + 16 <= bytes; at += 16) v128.store(to + at, v128.load(from + at));
  for (; at + 4 <= bytes; at += 4) store<u32>(to + at, load<u32>(from + at));
  for (; at < bytes; at++) store<u8>(to + at, load<u8>(from + at));
}

function copyStrided<T>(to: usize, from: usize, count: i32, fromStride: usize, toStride: usize): void {
  for (let i = 0; i < count; i++) {
    store<T>(to, load<T>(from));
    from += fromStride;
    to += toStride;
  }
}

/**
 * Strided copy. One item is a chunk of the inner axis in one row of the outer axes; rows follow each other fastest, so
 * that a transposing copy uses each cache line again while it is near.
 *
 * Words: 0 source, 1 target, 2 bytes of an element, 3 extent of the inner axis, 4 its source stride and 5 target
 * stride (bytes), 6 elements of a chunk, 7 rows, 8 walk (source, target).
 */
export function copy(args: usize, begin: i32, end: i32, scratch: usize): void {
  const bytes = <usize>word(args, 2);
  const extent = word(args, 3);
  const fromStride = <usize>word(args, 4);
  const toStride = <usize>word(args, 5);
  const chunk = word(args, 6);
  const rows = word(args, 7);
  const joined = fromStride === bytes && toStride === bytes;
  for (let item = begin; item < end; item++) {
    const first = (item / rows) * chunk;
    const count = min(chunk, extent - first);
    place(args + 32, item % rows);
    const from = address(args, 0) + place0 + <usize>first * fromStride;
    const to = address(args, 1) + place1 + <usize>first * toStride;
    if (joined) copyBytes(to, from, <usize>count * bytes);
    else if (bytes === 4) copyStrided<u32>(to, from, count, fromStride, toStride);
    else if (bytes === 2) copyStrided<u16>(to, from, count, fromStride, toStride);
    else copyStrided<u8>(to, from, count, fromStride, toStride);
  }
}

/**
 * Rows by index. One item is one output row; an index outside the axis gives zeros.
 *
 * Words: 0 source, 1 index, 2 target, 3 bytes of a row, 4 extent of the axis, 5 rows of the index.
 */
export function gather(args: usize, begin: i32, end: i32, scratch: usize): void {
  const bytes = <usize>word(args, 3);
  const extent = <u32>word(args, 4);
  const count = word(args, 5);
  for (let item = begin; item < end; item++) {
    const row = load<u32>(address(args, 1) + (<usize>(item % count) << 2));
    const to = address(args, 2) + <usize>item * bytes;
    if (row >= extent) memory.fill(to, 0, bytes);
    else copyBytes(to, address(args, 0) + <usize>(<u32>(item / count) * extent + row) * bytes, bytes);
  }
}
