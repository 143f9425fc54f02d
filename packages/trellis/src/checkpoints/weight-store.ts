/** Where weights come from: named tensors that are read one at a time. */
import {
  cast,
  CheckpointError,
  decodeStorage,
  formatShape,
  openSafetensors,
  sizeOf,
  type ByteSource,
  type Device,
  type DType,
  type Shape,
  type StoredTensor,
  type Tensor,
} from '@pergola/core';

/** dtype and shape of a stored tensor. */
export interface WeightInfo {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Named tensors behind some medium. `read` fetches one tensor; nothing else is held in memory. */
export interface WeightStore {
  /** A path or other name for messages. */
  readonly location: string;
  readonly names: readonly string[];
  /** `undefined` when there is no such tensor. */
  info(name: string): WeightInfo | undefined;
  /** @throws CheckpointError when the tensor is absent or its data is damaged. */
  read(name: string): Promise<StoredTensor>;
  /** Releases what the store holds open. Safe to call twice. */
  close(): Promise<void>;
}

/** A source that can be closed; `fileSource` makes one. */
export interface ClosableSource extends ByteSource {
  close(): Promise<void>;
}

/**
 * Opens a safetensors file as a store, which then owns the source.
 *
 * @throws CheckpointError when the header is malformed; its message starts with `location`.
 */
export async function safetensorsStore(
  source: ClosableSource,
  location: string,
): Promise<WeightStore> {
  try {
    const file = await openSafetensors(source);
    return {
      location,
      names: file.names,
      info: (name) => (file.has(name) ? file.info(name) : undefined),
      read: async (name) => {
        try {
          return await file.read(name);
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

/** Puts the file's name before the message of a CheckpointError; other errors pass unchanged. */
export function locate(error: unknown, location: string): unknown {
  if (!(error instanceof CheckpointError)) return error;
  return new CheckpointError(`${location}: ${error.message}`, { cause: error });
}

/** How an expected tensor is made of stored ones: their concatenation along the first axis. */
export type StoredParts = readonly string[];

/**
 * The same weights under other names.
 *
 * @param parts stored names by expected name; an expected name is present when all its parts are.
 * @param ignored stored names that the result shall not show. Names that are neither part nor ignored show unchanged.
 */
export function renamedStore(
  store: WeightStore,
  parts: ReadonlyMap<string, StoredParts>,
  ignored: (name: string) => boolean = () => false,
): WeightStore {
  const used = new Set([...parts.values()].flat());
  const present = [...parts].filter(([, names]) => names.every((name) => store.info(name)));
  const rest = store.names.filter((name) => !used.has(name) && !ignored(name));
  const sources = new Map<string, StoredParts>([
    ...present,
    ...rest.map((name) => [name, [name]] as const),
  ]);
  return {
    location: store.location,
    names: [...sources.keys()],
    info: (name) => {
      const infos = sources.get(name)?.map((part) => store.info(part)!);
      return infos === undefined ? undefined : joinedInfo(name, infos, store.location);
    },
    read: async (name) => {
      const names = sources.get(name);
      if (names === undefined) {
        throw new CheckpointError(`${store.location}: there is no parameter ${name}.`);
      }
      if (names.length === 1) return store.read(names[0]!);
      const stored: StoredTensor[] = [];
      for (const part of names) stored.push(await store.read(part));
      return joined(name, stored, store.location);
    },
    close: () => store.close(),
  };
}

function joinedInfo(name: string, infos: readonly WeightInfo[], location: string): WeightInfo {
  const [first] = infos as [WeightInfo];
  if (infos.length === 1) return first;
  const tail = formatShape(first.shape.slice(1));
  let rows = 0;
  for (const { dtype, shape } of infos) {
    if (dtype !== first.dtype || formatShape(shape.slice(1)) !== tail) {
      throw new CheckpointError(
        `${location}: the parts of ${name} must have one dtype and row shape, got ${first.dtype}${formatShape(first.shape)} and ${dtype}${formatShape(shape)}.`,
      );
    }
    rows += shape[0] ?? 1;
  }
  return { dtype: first.dtype, shape: [rows, ...first.shape.slice(1)] };
}

function joined(name: string, stored: readonly StoredTensor[], location: string): StoredTensor {
  const { dtype, shape } = joinedInfo(name, stored, location);
  const Storage = stored[0]!.data.constructor as new (length: number) => StoredTensor['data'];
  const data = new Storage(sizeOf(shape));
  let at = 0;
  for (const part of stored) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { dtype, shape, data };
}

/**
 * Reads one tensor onto a device in the dtype asked for. The result lives until it is disposed, whatever scope is
 * open. The conversion runs on the device where it knows the stored dtype, else on the host.
 *
 * @throws CheckpointError when the tensor is absent or damaged.
 */
export async function loadWeight(
  store: WeightStore,
  name: string,
  device: Device,
  dtype: DType,
): Promise<Tensor> {
  const { dtype: stored, shape, data } = await store.read(name);
  if (stored === dtype) return device.tensor(data, shape, dtype).keep();
  if (!device.supportsDType(stored)) {
    return device.tensor(decodeStorage(stored, data), shape, dtype).keep();
  }
  const raw = device.tensor(data, shape, stored);
  try {
    return cast(raw, dtype).keep();
  } finally {
    raw.dispose();
  }
}
