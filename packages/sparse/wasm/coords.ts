// Jobs that compute with coordinates row by row.
import { address, word } from '../../core/wasm/lib/job';

/** `floor(value / divisor)` for a positive divisor; powers of two come with their shift. */
// @ts-ignore: decorator
@inline
function floorDivide(value: i32, divisor: i32, shift: i32): i32 {
  if (shift >= 0) return value >> shift;
  const quotient = value / divisor;
  return quotient - <i32>(quotient * divisor > value);
}

// @ts-ignore: decorator
@inline
function shiftOf(divisor: i32): i32 {
  return (divisor & (divisor - 1)) === 0 ? <i32>ctz(divisor) : -1;
}

/** One item is one row. Words: 0 coords, 1 out, 2 batch shift, 3 to 5 shifts, 6 to 8 divisors. */
export function transform(args: usize, begin: i32, end: i32, scratch: usize): void {
  const coords = address(args, 0);
  const out = address(args, 1);
  const batchShift = word(args, 2);
  const sx = word(args, 3);
  const sy = word(args, 4);
  const sz = word(args, 5);
  const dx = word(args, 6);
  const dy = word(args, 7);
  const dz = word(args, 8);
  const bx = shiftOf(dx);
  const by = shiftOf(dy);
  const bz = shiftOf(dz);
  for (let at = <usize>begin << 4; at < <usize>end << 4; at += 16) {
    store<i32>(out + at, load<i32>(coords + at) + batchShift);
    store<i32>(out + at, floorDivide(load<i32>(coords + at, 4) + sx, dx, bx), 4);
    store<i32>(out + at, floorDivide(load<i32>(coords + at, 8) + sy, dy, by), 8);
    store<i32>(out + at, floorDivide(load<i32>(coords + at, 12) + sz, dz, bz), 12);
  }
}

/** One item is one parent. Words: 0 coords, 1 out. */
export function subdivide(args: usize, begin: i32, end: i32, scratch: usize): void {
  const coords = address(args, 0);
  const out = address(args, 1);
  for (let row = <usize>begin; row < <usize>end; row++) {
    const parent = v128.load(coords + (row << 4));
    // The batch column is not doubled.
    const first = i32x4.add(parent, i32x4.replace_lane(parent, 0, 0));
    for (let child: usize = 0; child < 8; child++) {
      const c = <i32>child;
      const offset = i32x4.replace_lane(
        i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(0), 1, c >> 2), 2, (c >> 1) & 1),
        3,
        c & 1,
      );
      v128.store(out + (((row << 3) + child) << 4), i32x4.add(first, offset));
    }
  }
}

const NONE: i32 = i32.MIN_VALUE;

/** The j-th output at or below an input along one axis, or NONE when no tap connects the two. */
// @ts-ignore: decorator
@inline
function candidate(
  input: i32,
  j: i32,
  size: i32,
  stride: i32,
  padding: i32,
  dilation: i32,
  extent: i32,
): i32 {
  const output = floorDivide(input + padding, stride, -1) - j;
  const distance = input + padding - output * stride;
  const tap = distance / dilation;
  if (tap * dilation !== distance || tap >= size) return NONE;
  if (extent >= 0 && (output < 0 || output >= extent)) return NONE;
  return output;
}

/**
 * One item is one input row. Words: 0 coords, 1 out, 2 reach per axis, 3 kernel size, 4 stride, 5 padding, 6 dilation,
 * 7 to 9 output extents (-1: unbounded).
 */
export function convOutputs(args: usize, begin: i32, end: i32, scratch: usize): void {
  const coords = address(args, 0);
  const reach = word(args, 2);
  const size = word(args, 3);
  const stride = word(args, 4);
  const padding = word(args, 5);
  const dilation = word(args, 6);
  let to = address(args, 1) + (<usize>begin * <usize>(reach * reach * reach) << 4);
  for (let row = <usize>begin; row < <usize>end; row++) {
    const at = coords + (row << 4);
    const batch = load<i32>(at);
    for (let i = 0; i < reach; i++) {
      const x = candidate(load<i32>(at, 4), i, size, stride, padding, dilation, word(args, 7));
      for (let j = 0; j < reach; j++) {
        const y = candidate(load<i32>(at, 8), j, size, stride, padding, dilation, word(args, 8));
        for (let k = 0; k < reach; k++, to += 16) {
          const z = candidate(load<i32>(at, 12), k, size, stride, padding, dilation, word(args, 9));
          const none = x === NONE || y === NONE || z === NONE;
          store<i32>(to, none ? i32.MAX_VALUE : batch);
          store<i32>(to, none ? 0 : x, 4);
          store<i32>(to, none ? 0 : y, 8);
          store<i32>(to, none ? 0 : z, 12);
        }
      }
    }
  }
}

/** Ten bits spread to every third place. */
// @ts-ignore: decorator
@inline
function spread(value: u32): u32 {
  value = (value | (value << 16)) & 0x030000ff;
  value = (value | (value << 8)) & 0x0300f00f;
  value = (value | (value << 4)) & 0x030c30c3;
  return (value | (value << 2)) & 0x09249249;
}

/** One item is one row. Words: 0 coords, 1 out, 2 Hilbert or z-order, 3 transposed, 4 bits, 5 to 7 shifts. */
export function curve(args: usize, begin: i32, end: i32, scratch: usize): void {
  const coords = address(args, 0);
  const out = address(args, 1);
  const hilbert = word(args, 2) !== 0;
  const transposed = word(args, 3) !== 0;
  const bits = word(args, 4);
  const mask = (1 << bits) - 1;
  for (let row = <usize>begin; row < <usize>end; row++) {
    const at = coords + (row << 4);
    const x = (load<i32>(at, 4) + word(args, 5)) & mask;
    const y = (load<i32>(at, 8) + word(args, 6)) & mask;
    let a = transposed ? y : x;
    let b = transposed ? x : y;
    let c = (load<i32>(at, 12) + word(args, 7)) & mask;
    if (hilbert) {
      for (let bit = bits - 1; bit >= 1; bit--) {
        const low = (1 << bit) - 1;
        // A set bit flips the lower bits of a; a clear one swaps them with those of its axis (a's with itself).
        if ((a >> bit) & 1) a ^= low;
        let swap = (a ^ b) & low;
        if ((b >> bit) & 1) a ^= low;
        else {
          a ^= swap;
          b ^= swap;
        }
        swap = (a ^ c) & low;
        if ((c >> bit) & 1) a ^= low;
        else {
          a ^= swap;
          c ^= swap;
        }
      }
      b ^= a;
      c ^= b;
      let flip = 0;
      for (let bit = bits - 1; bit >= 1; bit--) if ((c >> bit) & 1) flip ^= (1 << bit) - 1;
      a ^= flip;
      b ^= flip;
      c ^= flip;
    }
    store<u32>(out + (row << 2), (spread(a) << 2) | (spread(b) << 1) | spread(c));
  }
}
