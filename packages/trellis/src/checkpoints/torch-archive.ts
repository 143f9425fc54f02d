/** State dictionaries as `torch.save` writes them: a zip of a pickle and one file per storage. */
import {
  bytesPerElement,
  CheckpointError,
  formatShape,
  isContiguous,
  sizeOf,
  viewStorage,
  type ByteSource,
  type DType,
  type StorageArray,
  type StoredTensor,
} from '@pergola/core';
import {
  PickledCall,
  PickledGlobal,
  PickledReference,
  readPickle,
  type PickleValue,
} from './pickle.ts';
import { locate, type ClosableSource, type WeightInfo, type WeightStore } from './weight-store.ts';
import { locateZipData, readZipDirectory, type ZipEntry } from './zip-directory.ts';

const PICKLE_NAME = 'data.pkl';
// A state dictionary of a million tensors would fit.
const MAX_PICKLE_BYTES = 256 * 2 ** 20;
const REBUILD_TENSOR = 'torch._utils._rebuild_tensor_v2';
const REBUILD_PARAMETER = 'torch._utils._rebuild_parameter';

/** Elements of a storage class: their dtype here, and their bytes there; 64-bit types are narrowed. */
interface StorageKind {
  readonly dtype: DType;
  readonly bytes: number;
}

const STORAGES: Readonly<Record<string, StorageKind>> = {
  'torch.FloatStorage': { dtype: 'f32', bytes: 4 },
  'torch.HalfStorage': { dtype: 'f16', bytes: 2 },
  'torch.BFloat16Storage': { dtype: 'bf16', bytes: 2 },
  'torch.DoubleStorage': { dtype: 'f32', bytes: 8 },
  'torch.LongStorage': { dtype: 'i32', bytes: 8 },
  'torch.IntStorage': { dtype: 'i32', bytes: 4 },
  'torch.ByteStorage': { dtype: 'u8', bytes: 1 },
  'torch.BoolStorage': { dtype: 'bool', bytes: 1 },
};

interface TensorRecord extends WeightInfo, StorageKind {
  /** Name of the storage's entry. */
  readonly entry: string;
  /** First element within the storage. */
  readonly offset: number;
}

function isCounts(value: PickleValue | undefined): value is number[] {
  return (
    Array.isArray(value) &&
    value.every((item) => typeof item === 'number' && Number.isInteger(item) && item >= 0)
  );
}

/** The tensor that a call of torch's own constructors describes. */
function readRecord(name: string, value: PickleValue): TensorRecord {
  const fail = (message: string): never => {
    throw new CheckpointError(`torch archive: tensor ${name} ${message}.`);
  };
  if (!(value instanceof PickledCall)) return fail('is not a tensor');
  if (value.name === REBUILD_PARAMETER) return readRecord(name, value.args[0] ?? null);
  const [storage, offset, shape, strides] = value.args;
  if (!(storage instanceof PickledReference) || !Array.isArray(storage.id)) {
    return fail('has no storage');
  }
  const [kind, type, key] = storage.id;
  const known = type instanceof PickledGlobal ? STORAGES[type.name] : undefined;
  if (kind !== 'storage' || typeof key !== 'string') return fail('has a malformed storage');
  if (known === undefined) {
    return fail(`must have one of the storages ${Object.keys(STORAGES).join(', ')}`);
  }
  if (!isCounts(shape) || !isCounts(strides) || !isCounts([offset ?? null])) {
    return fail('has a malformed layout');
  }
  if (shape.length !== strides.length || !isContiguous(shape, strides)) {
    return fail(
      `must be contiguous, got ${formatShape(shape)} with strides ${formatShape(strides)}`,
    );
  }
  return { ...known, shape, entry: `data/${key}`, offset: offset as number };
}

function isTensorCall(name: string): boolean {
  return name === REBUILD_TENSOR || name === REBUILD_PARAMETER;
}

function readStateDictionary(bytes: Uint8Array): Map<string, TensorRecord> {
  const value = readPickle(bytes, isTensorCall);
  if (!(value instanceof Map)) {
    throw new CheckpointError('torch archive: the file must hold a dictionary of tensors.');
  }
  const records = new Map<string, TensorRecord>();
  for (const [name, tensor] of value) {
    if (typeof name !== 'string') {
      throw new CheckpointError('torch archive: tensors must be named by strings.');
    }
    records.set(name, readRecord(name, tensor));
  }
  return records;
}

async function readEntry(source: ByteSource, entry: ZipEntry): Promise<Uint8Array> {
  const { byteOffset, byteLength } = await locateZipData(source, entry);
  return source.read(byteOffset, byteLength);
}

async function readElements(
  source: ByteSource,
  entries: ReadonlyMap<string, ZipEntry>,
  record: TensorRecord,
): Promise<StoredTensor> {
  const { dtype, bytes: size, shape, entry, offset } = record;
  const stored = entries.get(entry);
  if (stored === undefined) {
    throw new CheckpointError(`torch archive: the file has no entry ${entry}.`);
  }
  const length = sizeOf(shape);
  const data = await locateZipData(source, stored);
  if ((offset + length) * size > data.byteLength) {
    throw new CheckpointError(`torch archive: the storage ${entry} is too short.`);
  }
  const bytes = await source.read(data.byteOffset + offset * size, length * size);
  if (bytes.length !== length * size) {
    throw new CheckpointError('torch archive: the file is truncated.');
  }
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return { dtype, shape, data: decodeElements(record, aligned, length) };
}

function decodeElements(
  { dtype, bytes: size }: TensorRecord,
  { buffer, byteOffset }: Uint8Array,
  length: number,
): StorageArray {
  if (size === bytesPerElement(dtype)) return viewStorage(dtype, buffer, byteOffset, length);
  if (dtype === 'f32') return Float32Array.from(new Float64Array(buffer, byteOffset, length));
  return Int32Array.from(new BigInt64Array(buffer, byteOffset, length), (value) => {
    if (value === BigInt.asIntN(32, value)) return Number(value);
    throw new CheckpointError(`torch archive: integers must fit i32, got ${value}.`);
  });
}

/**
 * Opens a file of `torch.save` that holds a flat state dictionary, as a store that owns the source. Its pickle is
 * read as data: no name in it is ever looked up or called.
 *
 * @throws CheckpointError when the file is damaged or holds anything else; its message starts with `location`.
 */
export async function torchArchiveStore(
  source: ClosableSource,
  location: string,
): Promise<WeightStore> {
  try {
    const { records, entries } = await openArchive(source);
    return {
      location,
      names: [...records.keys()],
      info: (name) => records.get(name),
      read: async (name) => {
        const record = records.get(name);
        if (record === undefined) {
          throw new CheckpointError(`${location}: there is no parameter ${name}.`);
        }
        try {
          return await readElements(source, entries, record);
        } catch (cause) {
          throw locate(cause, location);
        }
      },
      close: () => source.close(),
    };
  } catch (cause) {
    await source.close();
    throw locate(cause, location);
  }
}

/** Directory, without the folder that all entries share, and state dictionary. */
async function openArchive(source: ByteSource): Promise<{
  records: Map<string, TensorRecord>;
  entries: Map<string, ZipEntry>;
}> {
  const directory = await readZipDirectory(source);
  const pickle = [...directory.keys()].find(
    (name) => name === PICKLE_NAME || name.endsWith(`/${PICKLE_NAME}`),
  );
  if (pickle === undefined) {
    throw new CheckpointError(`torch archive: the file has no ${PICKLE_NAME}.`);
  }
  const folder = pickle.slice(0, -PICKLE_NAME.length);
  const entries = new Map(
    [...directory]
      .filter(([name]) => name.startsWith(folder))
      .map(([name, entry]) => [name.slice(folder.length), entry]),
  );
  const order = entries.get('byteorder');
  if (order !== undefined) {
    const text = new TextDecoder().decode(await readEntry(source, order));
    if (text !== 'little') {
      throw new CheckpointError(`torch archive: byteorder must be little, got ${text}.`);
    }
  }
  const entry = directory.get(pickle)!;
  if (entry.byteLength > MAX_PICKLE_BYTES) {
    throw new CheckpointError(
      `torch archive: ${PICKLE_NAME} must have at most ${MAX_PICKLE_BYTES} bytes, got ${entry.byteLength}.`,
    );
  }
  return { records: readStateDictionary(await readEntry(source, entry)), entries };
}
