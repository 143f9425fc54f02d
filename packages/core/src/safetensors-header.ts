/**
 * The header of a safetensors file: what it may say, and the checks that make every later read safe.
 *
 * A checked header covers the data bytes exactly once, without overlaps, gaps or a rest.
 *
 * @see https://github.com/huggingface/safetensors#format
 */
import { bytesPerElement, type DType } from './dtype.ts';
import { CheckpointError } from './errors.ts';
import { formatShape, sizeOf, type Shape } from './shape.ts';

/** Element type as a safetensors file names it, of those that can be read. */
export type SafetensorsDType =
  | 'F64'
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'I64'
  | 'I32'
  | 'U32'
  | 'U8'
  | 'BOOL';

/** One tensor of a file. */
export interface SafetensorsInfo {
  /** Dtype of the elements that `read` gives. */
  readonly dtype: DType;
  /** Dtype of the elements in the file; 64-bit types are narrowed on the way in. */
  readonly storedDType: SafetensorsDType;
  readonly shape: Shape;
  /** First byte of the data, from the start of the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** A checked header. */
export interface SafetensorsHeader {
  /** By name, in the order of their data. */
  readonly tensors: ReadonlyMap<string, SafetensorsInfo>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The key that holds free-form strings instead of a tensor. */
export const METADATA_KEY = '__metadata__';

/** The dtype in memory for each dtype in a file. */
export const READ_DTYPES: Readonly<Record<SafetensorsDType, DType>> = {
  F64: 'f32',
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
  I64: 'i32',
  I32: 'i32',
  U32: 'u32',
  U8: 'u8',
  BOOL: 'bool',
};

/** Bytes of one element in a file. */
export function storedBytes(dtype: SafetensorsDType): number {
  return dtype === 'F64' || dtype === 'I64' ? 8 : bytesPerElement(READ_DTYPES[dtype]);
}

const SHOWN_NAME_LENGTH = 80;

/** A tensor's name as messages quote it: escaped and of bounded length. */
export function quoteName(name: string): string {
  const shown = name.length > SHOWN_NAME_LENGTH ? `${name.slice(0, SHOWN_NAME_LENGTH)}…` : name;
  return JSON.stringify(shown);
}

function fail(message: string, options?: ErrorOptions): never {
  throw new CheckpointError(`safetensors: ${message}.`, options);
}

type Json = Record<string, unknown>;

function isObject(value: unknown): value is Json {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** What a JSON value is, for messages. */
function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return 'an object';
  return typeof value === 'string' ? quoteName(value) : `${value as number | boolean}`;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
}

/**
 * Refuses keys given twice, of which `JSON.parse` silently keeps the last.
 *
 * @param text valid JSON.
 */
function refuseDuplicateKeys(text: string): void {
  // One set of keys per open object, `undefined` per open array.
  const open: (Set<string> | undefined)[] = [];
  let expectKey = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (char === '{' || char === '[') {
      open.push(char === '{' ? new Set() : undefined);
      expectKey = char === '{';
    } else if (char === '}' || char === ']') {
      open.pop();
      expectKey = false;
    } else if (char === ',') {
      expectKey = open[open.length - 1] !== undefined;
    } else if (char === '"') {
      const start = i;
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++;
      if (!expectKey) continue;
      expectKey = false;
      const key = JSON.parse(text.slice(start, i + 1)) as string;
      const keys = open[open.length - 1]!;
      if (keys.has(key)) fail(`the header has the key ${quoteName(key)} twice`);
      keys.add(key);
    }
  }
}

function parseJson(bytes: Uint8Array): Json {
  if (bytes[0] !== 0x7b) fail('the header must start with "{"');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    return fail('the header is not UTF-8 text', { cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return fail('the header is not valid JSON', { cause });
  }
  refuseDuplicateKeys(text);
  return value as Json;
}

function checkMetadata(value: unknown): Record<string, string> {
  if (!isObject(value)) fail(`${METADATA_KEY} must be an object, got ${describe(value)}`);
  for (const [key, item] of Object.entries(value)) {
    if (typeof item === 'string') continue;
    fail(`${METADATA_KEY} must hold strings, got ${describe(item)} for ${quoteName(key)}`);
  }
  return value as Record<string, string>;
}

const FIELDS: readonly string[] = ['dtype', 'shape', 'data_offsets'];

/** Checks one entry by itself; `dataStart` is where the file's data begins. */
function checkEntry(name: string, entry: unknown, dataStart: number): SafetensorsInfo {
  const who = `tensor ${quoteName(name)}`;
  if (!isObject(entry)) return fail(`${who} must be an object, got ${describe(entry)}`);
  for (const field of FIELDS) {
    if (!Object.hasOwn(entry, field)) fail(`${who} has no ${field}`);
  }
  for (const field of Object.keys(entry)) {
    if (!FIELDS.includes(field)) fail(`${who} has the unknown field ${quoteName(field)}`);
  }
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string' || !Object.hasOwn(READ_DTYPES, dtype)) {
    const known = Object.keys(READ_DTYPES).join(', ');
    return fail(`${who} must have one of the dtypes ${known}, got ${describe(dtype)}`);
  }
  const storedDType = dtype as SafetensorsDType;
  if (!Array.isArray(shape)) return fail(`${who} must have an array as shape`);
  for (const extent of shape as unknown[]) {
    if (isCount(extent)) continue;
    fail(`${who} must have integers of at least 0 as extents, got ${describe(extent)}`);
  }
  const extents = shape as number[];
  if (!Array.isArray(offsets) || offsets.length !== 2) {
    return fail(`${who} must have two data_offsets`);
  }
  const [begin, end] = offsets as [unknown, unknown];
  if (!isCount(begin) || !isCount(end) || begin > end) {
    return fail(
      `${who} must have ascending integers of at least 0 as data_offsets, got ${describe(begin)} and ${describe(end)}`,
    );
  }
  const needed = sizeOf(extents) * storedBytes(storedDType);
  if (needed !== end - begin) {
    fail(
      `${who} needs ${needed} bytes for ${storedDType}${formatShape(extents.slice(0, 8))}, but its data_offsets span ${end - begin}`,
    );
  }
  return {
    dtype: READ_DTYPES[storedDType],
    storedDType,
    shape: extents,
    byteOffset: dataStart + begin,
    byteLength: needed,
  };
}

/**
 * Parses and checks a header.
 *
 * @param bytes the JSON text.
 * @param dataStart where the data begins in the file, in bytes.
 * @param fileSize bytes of the whole file.
 * @throws CheckpointError naming the tensor at fault.
 */
export function parseSafetensorsHeader(
  bytes: Uint8Array,
  dataStart: number,
  fileSize: number,
): SafetensorsHeader {
  const json = parseJson(bytes);
  let metadata: Record<string, string> = {};
  const entries: (readonly [string, SafetensorsInfo])[] = [];
  for (const [name, entry] of Object.entries(json)) {
    if (name === METADATA_KEY) metadata = checkMetadata(entry);
    else entries.push([name, checkEntry(name, entry, dataStart)]);
  }
  entries.sort(([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let at = dataStart;
  for (const [name, { byteOffset, byteLength }] of entries) {
    const who = `tensor ${quoteName(name)}`;
    if (byteOffset + byteLength > fileSize) {
      fail(`${who} ends at byte ${byteOffset + byteLength} of a file of ${fileSize} bytes`);
    }
    if (byteOffset < at) fail(`${who} overlaps the tensor before it by ${at - byteOffset} bytes`);
    if (byteOffset > at) fail(`${who} leaves a gap of ${byteOffset - at} bytes before it`);
    at = byteOffset + byteLength;
  }
  if (at !== fileSize) fail(`the file has ${fileSize - at} bytes after its last tensor`);
  return { tensors: new Map(entries), metadata };
}
