// Conversions between dtypes, four elements at a time. Rounding is to nearest even, as in src/dtype.ts.
import { address, word } from './lib/job';

// The numbers of the conversions; src/cpu/kernels/cast.ts holds the same list.
const F16_TO_F32: i32 = 0;
const BF16_TO_F32: i32 = 1;
const F32_TO_F16: i32 = 2;
const F32_TO_BF16: i32 = 3;
const I32_TO_F32: i32 = 4;
const U32_TO_F32: i32 = 5;
const U8_TO_F32: i32 = 6;
const F32_TO_I32: i32 = 7;
const F32_TO_U32: i32 = 8;

/** f32 bits from 4 f16 patterns in the low halves of the lanes. */
function widenF16(half: v128): v128 {
  const sign = i32x4.shl(v128.and(half, i32x4.splat(0x8000)), 16);
  const magnitude = i32x4.shl(v128.and(half, i32x4.splat(0x7fff)), 13);
  // Multiplying by 2^112 moves the exponent's bias and makes subnormal numbers normal, exactly.
  const value = f32x4.mul(magnitude, f32x4.splat(5.192296858534828e33));
  const special = i32x4.ge_u(magnitude, i32x4.splat(0x0f800000));
  const exponent = v128.and(special, i32x4.splat(0x7f800000));
  return v128.or(sign, v128.or(value, exponent));
}

/** 4 f16 patterns in the low halves of the lanes from f32 bits. */
function narrowF16(bits: v128): v128 {
  const sign = v128.and(i32x4.shr_u(bits, 16), i32x4.splat(0x8000));
  const magnitude = v128.and(bits, i32x4.splat(0x7fffffff));
  // Adding 1/2 puts the last bit of a subnormal f16 at the last bit of the sum, which rounds it.
  const small = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), i32x4.splat(0x3f000000));
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const biased = i32x4.add(i32x4.sub(magnitude, i32x4.splat(112 << 23)), i32x4.add(i32x4.splat(0xfff), odd));
  let result = v128.bitselect(small, i32x4.shr_u(biased, 13), i32x4.lt_s(magnitude, i32x4.splat(0x38800000)));
  // From 65520 on it is infinity; NaN stays NaN.
  const over = i32x4.ge_s(magnitude, i32x4.splat(0x477ff000));
  const nan = i32x4.gt_s(magnitude, i32x4.splat(0x7f800000));
  result = v128.bitselect(i32x4.splat(0x7c00), result, over);
  result = v128.bitselect(i32x4.splat(0x7e00), result, nan);
  return v128.or(sign, result);
}

/** 4 bf16 patterns in the low halves of the lanes from f32 bits. */
function narrowBf16(bits: v128): v128 {
  const odd = v128.and(i32x4.shr_u(bits, 16), i32x4.splat(1));
  const rounded = i32x4.shr_u(i32x4.add(bits, i32x4.add(i32x4.splat(0x7fff), odd)), 16);
  const quiet = v128.or(i32x4.shr_u(bits, 16), i32x4.splat(0x40));
  const nan = i32x4.gt_s(v128.and(bits, i32x4.splat(0x7fffffff)), i32x4.splat(0x7f800000));
  return v128.bitselect(quiet, rounded, nan);
}

function convert4(conversion: i32, x: v128): v128 {
  switch (conversion) {
    case F16_TO_F32:
      return widenF16(x);
    case BF16_TO_F32:
      return i32x4.shl(x, 16);
    case F32_TO_F16:
      return narrowF16(x);
    case F32_TO_BF16:
      return narrowBf16(x);
    case I32_TO_F32:
      return f32x4.convert_i32x4_s(x);
    case U32_TO_F32:
    case U8_TO_F32:
      return f32x4.convert_i32x4_u(x);
    case F32_TO_I32:
      return i32x4.trunc_sat_f32x4_s(x);
    case F32_TO_U32:
      return i32x4.trunc_sat_f32x4_u(x);
    default:
      return i32x4.min_s(i32x4.max_s(i32x4.trunc_sat_f32x4_s(x), i32x4.splat(0)), i32x4.splat(255));
  }
}

/** 4 elements of 4, 2 or 1 bytes, zero-extended to the lanes. */
// @ts-ignore: decorator
@inline
function loadLanes(at: usize, bytes: usize): v128 {
  if (bytes === 4) return v128.load(at);
  if (bytes === 2) return v128.load16x4_u(at);
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at)));
}

// @ts-ignore: decorator
@inline
function loadLane(at: usize, bytes: usize): v128 {
  if (bytes === 4) return v128.load_splat<u32>(at);
  return i32x4.splat(bytes === 2 ? <i32>load<u16>(at) : <i32>load<u8>(at));
}

/** The low 4, 2 or 1 bytes of the lanes. */
// @ts-ignore: decorator
@inline
function storeLanes(at: usize, bytes: usize, x: v128): void {
  if (bytes === 4) {
    v128.store(at, x);
  } else if (bytes === 2) {
    v128.store64_lane(at, v128.shuffle<u16>(x, x, 0, 2, 4, 6, 0, 2, 4, 6), 0);
  } else {
    const pairs = v128.shuffle<u16>(x, x, 0, 2, 4, 6, 0, 2, 4, 6);
    v128.store32_lane(at, v128.shuffle<u8>(pairs, pairs, 0, 2, 4, 6, 0, 2, 4, 6, 0, 2, 4, 6, 0, 2, 4, 6), 0);
  }
}

// @ts-ignore: decorator
@inline
function storeLane(at: usize, bytes: usize, x: v128): void {
  const value = i32x4.extract_lane(x, 0);
  if (bytes === 4) store<i32>(at, value);
  else if (bytes === 2) store<u16>(at, <u16>value);
  else store<u8>(at, <u8>value);
}

/**
 * Contiguous elements. One item is a chunk.
 *
 * Words: 0 x, 1 out, 2 conversion, 3 elements, 4 elements of a chunk, 5 bytes of an element of x and 6 of the output.
 */
export function convert(args: usize, begin: i32, end: i32, scratch: usize): void {
  const conversion = word(args, 2);
  const chunk = word(args, 4);
  const fromBytes = <usize>word(args, 5);
  const toBytes = <usize>word(args, 6);
  for (let item = begin; item < end; item++) {
    const first = item * chunk;
    const count = min(chunk, word(args, 3) - first);
    let from = address(args, 0) + <usize>first * fromBytes;
    let to = address(args, 1) + <usize>first * toBytes;
    let i = 0;
    for (; i + 4 <= count; i += 4) {
      storeLanes(to, toBytes, convert4(conversion, loadLanes(from, fromBytes)));
      from += fromBytes << 2;
      to += toBytes << 2;
    }
    for (; i < count; i++) {
      storeLane(to, toBytes, convert4(conversion, loadLane(from, fromBytes)));
      from += fromBytes;
      to += toBytes;
    }
  }
}
