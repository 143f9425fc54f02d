/** Host data on its way into a tensor: which dtype it has, and its elements as stored. */
import { allocateStorage, encodeStorage, isFloat, type DType, type StorageArray } from './dtype.ts';
import { DTypeError } from './errors.ts';

/** The dtype that data has by itself. @throws DTypeError for a `Uint16Array`, which may be f16 or bf16. */
export function defaultDType(data: StorageArray | readonly number[]): DType {
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Uint32Array) return 'u32';
  if (data instanceof Uint8Array) return 'u8';
  if (data instanceof Uint16Array) {
    throw new DTypeError('tensor: a Uint16Array needs an explicit dtype (f16 or bf16).');
  }
  return 'f32';
}

/**
 * Raw elements of `dtype`: numbers are converted, typed arrays must match, f32 rounds to the half types, and bytes given
 * for `bool` become 0 or 1.
 *
 * @throws DTypeError when a typed array does not fit the dtype.
 */
export function toStorage(dtype: DType, data: StorageArray | readonly number[]): StorageArray {
  if (dtype === 'bool' && data instanceof Uint8Array) {
    return data.some((value) => value > 1) ? data.map((value) => Number(value !== 0)) : data;
  }
  const empty = allocateStorage(dtype, 0);
  if (data.constructor === empty.constructor) return data as StorageArray;
  if (Array.isArray(data) || (data instanceof Float32Array && isFloat(dtype))) {
    const values = data as Float32Array | readonly number[];
    if (isFloat(dtype)) {
      return encodeStorage(
        dtype,
        values instanceof Float32Array ? values : Float32Array.from(values),
      );
    }
    const storage = allocateStorage(dtype, values.length);
    for (let i = 0; i < storage.length; i++)
      storage[i] = dtype === 'bool' ? Number(values[i] !== 0) : values[i]!;
    return storage;
  }
  throw new DTypeError(`tensor: a ${data.constructor.name} cannot fill a tensor of ${dtype}.`);
}
