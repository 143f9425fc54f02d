/** Reading safetensors files: the header at once, each tensor by its own byte range when it is asked for. */
import { viewStorage, type DType, type StorageArray } from './dtype.ts';
import { CheckpointError } from './errors.ts';
import {
  parseSafetensorsHeader,
  quoteName,
  storedBytes,
  type SafetensorsHeader,
  type SafetensorsInfo,
} from './safetensors-header.ts';
import { sizeOf, type Shape } from './shape.ts';

/** Random access to bytes: a file, a `Blob`, a range of requests to a server. */
export interface ByteSource {
  /** All bytes. */
  readonly size: number;
  /** The bytes `[offset, offset + length)`, in an array that nobody else writes to. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** A tensor in host memory. */
export interface StoredTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  /** Raw elements, row-major: bit patterns for `f16` and `bf16`. */
  readonly data: StorageArray;
}

// The limit of the format's own implementation; no honest header comes near it.
const MAX_HEADER_BYTES = 100_000_000;
const LENGTH_BYTES = 8;

/** A source over bytes in memory. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read: async (offset, length) => bytes.slice(offset, offset + length),
  };
}

async function readExactly(source: ByteSource, offset: number, length: number, what: string) {
  const bytes = await source.read(offset, length);
  if (bytes.length === length) return bytes;
  throw new CheckpointError(
    `safetensors: ${what} is truncated (${length} bytes needed at byte ${offset}, got ${bytes.length}).`,
  );
}

/** The elements of one tensor from its bytes; narrows 64-bit types. */
function decodeBytes(name: string, info: SafetensorsInfo, bytes: Uint8Array): StorageArray {
  const size = storedBytes(info.storedDType);
  const length = sizeOf(info.shape);
  // Data in a file starts at any byte; typed arrays need multiples of the element.
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset } = aligned;
  if (info.storedDType === 'F64') {
    return Float32Array.from(new Float64Array(buffer, byteOffset, length));
  }
  if (info.storedDType === 'I64') {
    const wide = new BigInt64Array(buffer, byteOffset, length);
    const narrow = new Int32Array(length);
    for (let i = 0; i < length; i++) {
      const value = wide[i]!;
      if (value !== BigInt.asIntN(32, value)) {
        throw new CheckpointError(
          `safetensors: tensor ${quoteName(name)} must hold values that fit i32, got ${value} at element ${i}.`,
        );
      }
      narrow[i] = Number(value);
    }
    return narrow;
  }
  const storage = viewStorage(info.dtype, buffer, byteOffset, length);
  if (info.dtype === 'bool') {
    const bad = storage.findIndex((value) => value > 1);
    if (bad >= 0) {
      throw new CheckpointError(
        `safetensors: tensor ${quoteName(name)} must hold 0 and 1 as BOOL, got ${storage[bad]} at element ${bad}.`,
      );
    }
  }
  return storage;
}

/** An open safetensors file. */
export class Safetensors {
  readonly #source: ByteSource;
  readonly #header: SafetensorsHeader;

  /** @internal Made by `openSafetensors`. */
  constructor(source: ByteSource, header: SafetensorsHeader) {
    this.#source = source;
    this.#header = header;
  }

  /** Names of all tensors, in the order of their data. */
  get names(): string[] {
    return [...this.#header.tensors.keys()];
  }

  /** Free-form strings that the writer of the file left. */
  get metadata(): Readonly<Record<string, string>> {
    return this.#header.metadata;
  }

  has(name: string): boolean {
    return this.#header.tensors.has(name);
  }

  /** dtype, shape and place of a tensor. @throws CheckpointError when the file has no such tensor. */
  info(name: string): SafetensorsInfo {
    const info = this.#header.tensors.get(name);
    if (info !== undefined) return info;
    throw new CheckpointError(`safetensors: the file has no tensor ${quoteName(name)}.`);
  }

  /**
   * Reads one tensor. Elements keep their dtype, except I64 (to i32) and F64 (to f32).
   *
   * @throws CheckpointError when there is no such tensor, the data is truncated, an I64 value does not fit i32 or a
   * BOOL is neither 0 nor 1.
   */
  async read(name: string): Promise<StoredTensor> {
    const info = this.info(name);
    const { byteOffset, byteLength, dtype, shape } = info;
    const bytes =
      byteLength === 0
        ? new Uint8Array(0)
        : await readExactly(this.#source, byteOffset, byteLength, `tensor ${quoteName(name)}`);
    return { dtype, shape, data: decodeBytes(name, info, bytes) };
  }
}

/**
 * Opens a safetensors file: reads and checks its header, and no data.
 *
 * @throws CheckpointError when the header is malformed or does not describe the file's bytes exactly.
 * @see https://github.com/huggingface/safetensors#format
 */
export async function openSafetensors(source: ByteSource): Promise<Safetensors> {
  if (source.size < LENGTH_BYTES) {
    throw new CheckpointError(
      `safetensors: the file must have at least ${LENGTH_BYTES} bytes, got ${source.size}.`,
    );
  }
  const lengthBytes = await readExactly(source, 0, LENGTH_BYTES, 'the header length');
  const view = new DataView(lengthBytes.buffer, lengthBytes.byteOffset, LENGTH_BYTES);
  const declared = view.getBigUint64(0, true);
  const room = Math.min(MAX_HEADER_BYTES, source.size - LENGTH_BYTES);
  if (declared > BigInt(room)) {
    throw new CheckpointError(
      `safetensors: the header must have at most ${room} bytes in a file of ${source.size} bytes, got a length of ${declared}.`,
    );
  }
  const length = Number(declared);
  const bytes = await readExactly(source, LENGTH_BYTES, length, 'the header');
  return new Safetensors(source, parseSafetensorsHeader(bytes, LENGTH_BYTES + length, source.size));
}
