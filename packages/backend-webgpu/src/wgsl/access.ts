/**
 * Storage bindings in WGSL: how each dtype lies in memory, and the accessors through which kernels read and write it.
 *
 * Kernels compute in f32, i32, u32 or bool; the accessors convert. Bytes, and f16 where shaders have no f16, are packed
 * into words; writing one such element is two atomic operations, so neighbours may be written by other invocations.
 */
import type { DType } from '@pergola/core';

/** How a program uses a binding; `atomic` is for i32 and u32 and leaves the access to the program. */
export type BindingUse = 'read' | 'write' | 'readWrite' | 'atomic';

/** A storage binding of a program. */
export interface BindingSpec {
  /** Prefix of the accessors: `load_x(i)`, `store_x(i, value)`, with `i` in elements from the tensor's first. */
  readonly name: string;
  readonly dtype: DType;
  readonly use: BindingUse;
  /** 4: `load_x(i)` and `store_x(i, v)` move four elements and `i` counts fours; the offset must be a multiple of 4. */
  readonly lanes?: 1 | 4;
  /** Elements are moved as they are, without conversion; see `rawType`. */
  readonly raw?: boolean;
}

/** Memory format of a dtype on a device. */
type Format = 'f32' | 'i32' | 'u32' | 'f16' | 'packedF16' | 'u8' | 'bool';

function formatOf(dtype: DType, f16: boolean): Format {
  if (dtype === 'f16') return f16 ? 'f16' : 'packedF16';
  if (dtype === 'bf16') throw new TypeError('webgpu devices hold no bf16 tensors.');
  return dtype;
}

/** Type in which kernels see elements of a dtype. */
export function valueType(dtype: DType): 'f32' | 'i32' | 'u32' | 'bool' {
  switch (dtype) {
    case 'f32':
    case 'f16':
    case 'bf16':
      return 'f32';
    case 'i32':
      return 'i32';
    case 'u32':
    case 'u8':
      return 'u32';
    case 'bool':
      return 'bool';
    default:
      return dtype satisfies never;
  }
}

/** Type in which raw accessors move `lanes` elements of a dtype. */
export function rawType(dtype: DType, f16: boolean, lanes: 1 | 4 = 1): string {
  switch (formatOf(dtype, f16)) {
    case 'f16':
      return lanes === 4 ? 'vec4<f16>' : 'f16';
    case 'packedF16':
      return lanes === 4 ? 'vec2<u32>' : 'u32';
    case 'u8':
    case 'bool':
      return 'u32';
    default:
      return lanes === 4 ? 'vec4<u32>' : 'u32';
  }
}

const BITS: Partial<Record<Format, 8 | 16>> = { packedF16: 16, u8: 8, bool: 8 };

// Rounds to nearest even like core's f32ToF16Bits; pack2x16float leaves overflow and NaN to the driver.
const F16_BITS = `
fn f16_bits(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return sign | 0x7e00u; }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  if (magnitude < 0x38800000u) {
    // At 0.5 the unit of f32 is that of an f16 subnormal: the addition rounds to it.
    return sign | (bitcast<u32>(bitcast<f32>(magnitude) + 0.5) - 0x3f000000u);
  }
  return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u);
}
`;

// Drivers may flush subnormals in unpack2x16float, or lose the class of NaN.
const F16_VALUE = `
fn f16_value(half: u32) -> f32 {
  let sign = (half & 0x8000u) << 16u;
  let magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) { return bitcast<f32>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13u)); }
  if (magnitude < 0x400u) { return bitcast<f32>(sign | bitcast<u32>(f32(magnitude) * 5.9604644775390625e-8)); }
  return bitcast<f32>(sign | ((magnitude << 13u) + 0x38000000u));
}
`;

function isWritten(use: BindingUse): boolean {
  return use !== 'read';
}

/** WGSL type of the array's elements. */
function elementType(spec: BindingSpec, format: Format): string {
  const wide = spec.lanes === 4;
  if (spec.use === 'atomic') return `atomic<${format}>`;
  if (wide) {
    if (format === 'packedF16') return 'vec2<u32>';
    if (format === 'u8' || format === 'bool') return 'u32';
    if (spec.raw === true && format !== 'f16') return 'vec4<u32>';
    return `vec4<${format}>`;
  }
  if (BITS[format] !== undefined) return isWritten(spec.use) ? 'atomic<u32>' : 'u32';
  return spec.raw === true && format !== 'f16' ? 'u32' : format;
}

/** Declaration of the binding's variable. */
export function declareBinding(spec: BindingSpec, index: number, f16: boolean): string {
  const access = isWritten(spec.use) ? 'read_write' : 'read';
  const type = elementType(spec, formatOf(spec.dtype, f16));
  return `@group(0) @binding(${index}) var<storage, ${access}> ${spec.name}_data: array<${type}>;`;
}

/** From packed bits to a kernel's value. */
function decode(format: Format, raw: boolean, bits: string): string {
  if (raw || format === 'u8') return bits;
  return format === 'bool' ? `(${bits}) != 0u` : `f16_value(${bits})`;
}

/** From a kernel's value to packed bits. */
function encode(format: Format, raw: boolean, value: string): string {
  if (format === 'packedF16') return raw ? value : `f16_bits(${value})`;
  if (raw || format === 'u8') return `(${value} & 0xffu)`;
  return `select(0u, 1u, ${value})`;
}

function packedAccessors(spec: BindingSpec, format: Format, type: string): string {
  const { name } = spec;
  const bits = BITS[format]!;
  const [shift, mask] = bits === 16 ? ['1u', '0xffffu'] : ['2u', '0xffu'];
  const lane = `(at & ${bits === 16 ? '1u' : '3u'}) * ${bits}u`;
  const word = `${name}_data[at >> ${shift}]`;
  const read = isWritten(spec.use) ? `atomicLoad(&${word})` : word;
  const load = `
fn load_${name}(i: u32) -> ${type} {
  let at = params.${name}_at + i;
  let bits = (${read} >> (${lane})) & ${mask};
  return ${decode(format, spec.raw === true, 'bits')};
}`;
  const store = `
fn store_${name}(i: u32, value: ${type}) {
  let at = params.${name}_at + i;
  let shift = ${lane};
  atomicAnd(&${word}, ~(${mask} << shift));
  atomicOr(&${word}, ${encode(format, spec.raw === true, 'value')} << shift);
}`;
  return (spec.use === 'write' ? '' : load) + (isWritten(spec.use) ? store : '');
}

/** Conversions of a whole word group; `word` and `value` are expressions. */
function wideDecode(format: Format, raw: boolean, word: string): string {
  if (raw) return word;
  if (format === 'f16') return `vec4<f32>(${word})`;
  if (format === 'packedF16') {
    const parts = ['x', 'y'].flatMap((part) => [
      `f16_value(${word}.${part} & 0xffffu)`,
      `f16_value(${word}.${part} >> 16u)`,
    ]);
    return `vec4<f32>(${parts.join(', ')})`;
  }
  if (format === 'u8' || format === 'bool') {
    const bytes = `((vec4<u32>(${word}) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu))`;
    return format === 'u8' ? bytes : `(${bytes} != vec4<u32>(0u))`;
  }
  return word;
}

function wideEncode(format: Format, raw: boolean, value: string): string {
  if (raw) return value;
  if (format === 'f16') return `vec4<f16>(${value})`;
  if (format === 'packedF16') {
    const half = (part: string): string => `f16_bits(${value}.${part})`;
    return `vec2<u32>(${half('x')} | (${half('y')} << 16u), ${half('z')} | (${half('w')} << 16u))`;
  }
  if (format === 'u8' || format === 'bool') {
    const bytes =
      format === 'u8'
        ? `(${value} & vec4<u32>(0xffu))`
        : `select(vec4<u32>(0u), vec4<u32>(1u), ${value})`;
    return `dot(${bytes}, vec4<u32>(1u, 0x100u, 0x10000u, 0x1000000u))`;
  }
  return value;
}

function directAccessors(spec: BindingSpec, format: Format, type: string): string {
  const { name } = spec;
  const raw = spec.raw === true;
  const wide = spec.lanes === 4;
  const word = `${name}_data[params.${name}_at + i]`;
  const read = wide
    ? wideDecode(format, raw, 'word')
    : format === 'f16' && !raw
      ? 'f32(word)'
      : 'word';
  const written = wide
    ? wideEncode(format, raw, 'value')
    : format === 'f16' && !raw
      ? 'f16(value)'
      : 'value';
  const load = `
fn load_${name}(i: u32) -> ${type} {
  let word = ${word};
  return ${read};
}`;
  const store = `
fn store_${name}(i: u32, value: ${type}) {
  ${word} = ${written};
}`;
  return (spec.use === 'write' ? '' : load) + (isWritten(spec.use) ? store : '');
}

/** `load_name` and `store_name` of a binding, as far as its use permits them. */
export function bindingAccessors(spec: BindingSpec, f16: boolean): string {
  if (spec.use === 'atomic') return '';
  const format = formatOf(spec.dtype, f16);
  const lanes = spec.lanes ?? 1;
  const value = valueType(spec.dtype);
  const type =
    spec.raw === true ? rawType(spec.dtype, f16, lanes) : lanes === 4 ? `vec4<${value}>` : value;
  return BITS[format] !== undefined && lanes === 1
    ? packedAccessors(spec, format, type)
    : directAccessors(spec, format, type);
}

/** Conversions that the accessors of `bindings` call. */
export function accessHelpers(bindings: readonly BindingSpec[], f16: boolean): string {
  const packed = bindings.some(({ dtype, raw }) => dtype === 'f16' && raw !== true) && !f16;
  return packed ? F16_BITS + F16_VALUE : '';
}
