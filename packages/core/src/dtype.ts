/** Element types, their storage arrays, and the half-precision conversions. */

/**
 * Element type of a tensor.
 *
 * `f16` and `bf16` are stored as raw 16-bit patterns; `bool` as one byte holding 0 or 1.
 */
export type DType = 'f32' | 'f16' | 'bf16' | 'i32' | 'u32' | 'u8' | 'bool';

/** Storage of a tensor on the host: the raw little-endian elements. */
export type StorageArray = Float32Array | Uint16Array | Int32Array | Uint32Array | Uint8Array;

/** Host values that arithmetic can read directly; half types are widened to `Float32Array`. */
export type ValueArray = Float32Array | Int32Array | Uint32Array | Uint8Array;

/** Every dtype, in documentation order. */
export const DTYPES: readonly DType[] = ['f32', 'f16', 'bf16', 'i32', 'u32', 'u8', 'bool'];
/** Floating-point dtypes. */
export const FLOAT_DTYPES: readonly DType[] = ['f32', 'f16', 'bf16'];
/** Integer dtypes (`bool` is not one). */
export const INTEGER_DTYPES: readonly DType[] = ['i32', 'u32', 'u8'];
/** Dtypes that arithmetic accepts: everything but `bool`. */
export const NUMERIC_DTYPES: readonly DType[] = [...FLOAT_DTYPES, ...INTEGER_DTYPES];

const BYTES: Readonly<Record<DType, number>> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  i32: 4,
  u32: 4,
  u8: 1,
  bool: 1,
};

/** Bytes of one element. */
export function bytesPerElement(dtype: DType): number {
  return BYTES[dtype];
}

/** True for `f32`, `f16` and `bf16`. */
export function isFloat(dtype: DType): boolean {
  return dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';
}

/** A zero-filled storage array of `length` elements. */
export function allocateStorage(dtype: DType, length: number): StorageArray {
  switch (dtype) {
    case 'f32':
      return new Float32Array(length);
    case 'f16':
    case 'bf16':
      return new Uint16Array(length);
    case 'i32':
      return new Int32Array(length);
    case 'u32':
      return new Uint32Array(length);
    case 'u8':
    case 'bool':
      return new Uint8Array(length);
    default:
      return dtype satisfies never;
  }
}

/** A storage array viewing `length` elements of `buffer` from `byteOffset` (aligned to the element). */
export function viewStorage(
  dtype: DType,
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
): StorageArray {
  switch (dtype) {
    case 'f32':
      return new Float32Array(buffer, byteOffset, length);
    case 'f16':
    case 'bf16':
      return new Uint16Array(buffer, byteOffset, length);
    case 'i32':
      return new Int32Array(buffer, byteOffset, length);
    case 'u32':
      return new Uint32Array(buffer, byteOffset, length);
    case 'u8':
    case 'bool':
      return new Uint8Array(buffer, byteOffset, length);
    default:
      return dtype satisfies never;
  }
}

/** A zero-filled value array of `length` elements (half types widen to f32). */
export function allocateValues(dtype: DType, length: number): ValueArray {
  return dtype === 'f16' || dtype === 'bf16'
    ? new Float32Array(length)
    : (allocateStorage(dtype, length) as ValueArray);
}

const scratchF32 = new Float32Array(1);
const scratchU32 = new Uint32Array(scratchF32.buffer);

/** Rounds to the nearest f16, ties to even, and returns its bit pattern. */
export function f32ToF16Bits(value: number): number {
  scratchF32[0] = value;
  const bits = scratchU32[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  // NaN keeps a quiet payload; anything at or above 65520 rounds to infinity.
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal result: the value in units of 2^-24, rounded to even.
    const units = Math.abs(value) * 16777216;
    const floor = Math.floor(units);
    const rest = units - floor;
    const up = rest > 0.5 || (rest === 0.5 && (floor & 1) === 1) ? 1 : 0;
    return sign | (floor + up);
  }
  // Rebias the exponent (127 - 15 = 112) and round the 13 dropped mantissa bits to even.
  const rounded = magnitude - (112 << 23) + 0xfff + ((magnitude >>> 13) & 1);
  return sign | (rounded >>> 13);
}

/** Rounds to the nearest bf16, ties to even, and returns its bit pattern. */
export function f32ToBf16Bits(value: number): number {
  scratchF32[0] = value;
  const bits = scratchU32[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The value of a bf16 bit pattern. */
export function bf16BitsToF32(bits: number): number {
  scratchU32[0] = bits << 16;
  return scratchF32[0]!;
}

let f16Table: Float32Array | undefined;

/** All 65,536 f16 values by bit pattern, built on first use (256 KiB). */
export function f16ValueTable(): Float32Array {
  if (f16Table !== undefined) return f16Table;
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >>> 10) & 31;
    const mantissa = bits & 1023;
    const sign = bits & 0x8000 ? -1 : 1;
    if (exponent === 0) table[bits] = sign * mantissa * 2 ** -24;
    else if (exponent === 31) table[bits] = mantissa === 0 ? sign * Infinity : NaN;
    else table[bits] = sign * (1024 + mantissa) * 2 ** (exponent - 25);
  }
  f16Table = table;
  return table;
}

/** Storage to values: half types are widened, every other type is returned as it is (no copy). */
export function decodeStorage(dtype: DType, storage: StorageArray): ValueArray {
  if (dtype === 'f16') {
    const table = f16ValueTable();
    const out = new Float32Array(storage.length);
    for (let i = 0; i < out.length; i++) out[i] = table[storage[i]!]!;
    return out;
  }
  if (dtype === 'bf16') {
    const out = new Float32Array(storage.length);
    const outBits = new Uint32Array(out.buffer);
    for (let i = 0; i < out.length; i++) outBits[i] = storage[i]! << 16;
    return out;
  }
  return storage as ValueArray;
}

/** Values to storage: half types are rounded to nearest even, every other type is returned as it is (no copy). */
export function encodeStorage(dtype: DType, values: ValueArray): StorageArray {
  if (dtype === 'f16' || dtype === 'bf16') {
    const round = dtype === 'f16' ? f32ToF16Bits : f32ToBf16Bits;
    const out = new Uint16Array(values.length);
    for (let i = 0; i < out.length; i++) out[i] = round(values[i]!);
    return out;
  }
  return values;
}
