/** Writing safetensors files. */
import { bytesPerElement, allocateStorage, type DType } from './dtype.ts';
import { InputError } from './errors.ts';
import { METADATA_KEY, quoteName, type SafetensorsDType } from './safetensors-header.ts';
import type { StoredTensor } from './safetensors.ts';
import { checkShape, formatShape, sizeOf, type Shape } from './shape.ts';

/** A tensor to be written, without its data. */
export interface SafetensorsSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A tensor to be written. */
export interface SafetensorsEntry extends StoredTensor {
  readonly name: string;
}

/** Options of the writers. */
export interface SafetensorsWriteOptions {
  /** Free-form strings for readers of the file; none by default. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A file laid out but not written: the header's bytes, then each tensor's data at its place. */
export interface SafetensorsPlan {
  /** The file's first bytes: length and header. */
  readonly header: Uint8Array<ArrayBuffer>;
  /** First byte of each tensor's data in the file, ascending. */
  readonly byteOffsets: ReadonlyMap<string, number>;
  /** Bytes of the whole file. */
  readonly size: number;
}

const WRITTEN_DTYPES: Readonly<Record<DType, SafetensorsDType>> = {
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  i32: 'I32',
  u32: 'U32',
  u8: 'U8',
  bool: 'BOOL',
};

/**
 * Lays out a file, so that its tensors can be written one by one.
 *
 * Wider elements go first and the header is padded to 8 bytes, so that all data is aligned.
 *
 * @throws InputError for a name given twice or reserved; ShapeError for an impossible shape.
 */
export function planSafetensors(
  specs: Iterable<SafetensorsSpec>,
  { metadata }: SafetensorsWriteOptions = {},
): SafetensorsPlan {
  const ordered = [...specs].sort((a, b) => bytesPerElement(b.dtype) - bytesPerElement(a.dtype));
  const header = new Map<string, unknown>();
  if (metadata !== undefined) header.set(METADATA_KEY, metadata);
  const places = new Map<string, number>();
  let at = 0;
  for (const { name, dtype, shape } of ordered) {
    checkShape(`safetensors: tensor ${quoteName(name)}`, shape);
    if (name === METADATA_KEY) {
      throw new InputError(`safetensors: a tensor's name must not be ${METADATA_KEY}.`);
    }
    if (places.has(name)) {
      throw new InputError(`safetensors: tensor ${quoteName(name)} must be given once, got two.`);
    }
    const end = at + sizeOf(shape) * bytesPerElement(dtype);
    header.set(name, { dtype: WRITTEN_DTYPES[dtype], shape, data_offsets: [at, end] });
    places.set(name, at);
    at = end;
  }
  // Built by hand: an object would lose the name `__proto__` and reorder names that look like integers.
  const pairs = [...header].map(
    ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`,
  );
  const text = new TextEncoder().encode(`{${pairs.join(',')}}`);
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  const byteOffsets = new Map([...places].map(([name, place]) => [name, bytes.length + place]));
  return { header: bytes, byteOffsets, size: bytes.length + at };
}

/**
 * A whole safetensors file.
 *
 * @throws InputError for a name given twice or reserved, or data that does not fit its dtype and shape; ShapeError
 * for an impossible shape.
 */
export function writeSafetensors(
  entries: Iterable<SafetensorsEntry>,
  options: SafetensorsWriteOptions = {},
): Uint8Array<ArrayBuffer> {
  const all = [...entries];
  const { header, byteOffsets, size } = planSafetensors(all, options);
  const file = new Uint8Array(size);
  file.set(header);
  for (const { name, dtype, shape, data } of all) {
    const expected = allocateStorage(dtype, 0).constructor;
    if (data.constructor !== expected || data.length !== sizeOf(shape)) {
      throw new InputError(
        `safetensors: the data of tensor ${quoteName(name)} must be a ${expected.name} of ${sizeOf(shape)} elements for ${dtype}${formatShape(shape)}, got a ${data.constructor.name} of ${data.length}.`,
      );
    }
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), byteOffsets.get(name));
  }
  return file;
}
