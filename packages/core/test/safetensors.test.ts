import { readFileSync, statSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  bytesSource,
  CheckpointError,
  f32ToF16Bits,
  InputError,
  openSafetensors,
  planSafetensors,
  ShapeError,
  sizeOf,
  writeSafetensors,
  type ByteSource,
  type SafetensorsEntry,
} from '@pergola/core';

const golden = new URL('../../../testdata/golden/', import.meta.url);

/** A file of this header text, followed by `data` bytes. */
function file(header: string, data: number | Uint8Array = 0): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = typeof data === 'number' ? new Uint8Array(data) : data;
  const out = new Uint8Array(8 + text.length + bytes.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  out.set(bytes, 8 + text.length);
  return out;
}

async function failure(bytes: Uint8Array): Promise<string> {
  const error = await openSafetensors(bytesSource(bytes)).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  return (error as Error).message;
}

const entries: SafetensorsEntry[] = [
  { name: 'flags', dtype: 'bool', shape: [3], data: Uint8Array.of(1, 0, 1) },
  { name: 'weight', dtype: 'f32', shape: [2, 2], data: Float32Array.of(1, -2, 3.5, NaN) },
  { name: 'half', dtype: 'f16', shape: [1, 3], data: Uint16Array.of(0x3c00, 0, f32ToF16Bits(2.5)) },
  { name: 'brain', dtype: 'bf16', shape: [1], data: Uint16Array.of(0x3f80) },
  { name: 'index', dtype: 'i32', shape: [2], data: Int32Array.of(-1, 2147483647) },
  { name: 'count', dtype: 'u32', shape: [], data: Uint32Array.of(4294967295) },
  { name: 'bytes', dtype: 'u8', shape: [0, 5], data: new Uint8Array(0) },
  { name: '10', dtype: 'u8', shape: [1], data: Uint8Array.of(7) },
  { name: '__proto__', dtype: 'u8', shape: [1], data: Uint8Array.of(9) },
];

test('what is written is read back', async () => {
  const bytes = writeSafetensors(entries, { metadata: { format: 'pt' } });
  const opened = await openSafetensors(bytesSource(bytes));
  expect(opened.metadata).toEqual({ format: 'pt' });
  expect(opened.names.toSorted()).toEqual(entries.map(({ name }) => name).toSorted());
  for (const { name, dtype, shape, data } of entries) {
    expect(opened.has(name)).toBe(true);
    expect(opened.info(name).byteOffset % data.BYTES_PER_ELEMENT).toBe(0);
    expect(await opened.read(name)).toEqual({ dtype, shape, data });
  }
  expect(opened.has('absent')).toBe(false);
  expect(() => opened.info('absent')).toThrow('safetensors: the file has no tensor "absent".');
});

test('a plan gives each tensor its place', () => {
  const { header, byteOffsets, size } = planSafetensors(entries);
  const whole = writeSafetensors(entries);
  expect(size).toBe(whole.length);
  expect(whole.subarray(0, header.length)).toEqual(header);
  const { data } = entries[1]!;
  const at = byteOffsets.get('weight')!;
  const bytes = new Uint8Array(data.buffer);
  expect(whole.subarray(at, at + bytes.length)).toEqual(bytes);
});

test('the writer refuses what does not fit', () => {
  const data = Float32Array.of(1);
  const entry: SafetensorsEntry = { name: 'w', dtype: 'f32', shape: [1], data };
  expect(() => writeSafetensors([entry, entry])).toThrow(InputError);
  expect(() => writeSafetensors([{ ...entry, name: '__metadata__' }])).toThrow(InputError);
  expect(() => writeSafetensors([{ ...entry, shape: [-1] }])).toThrow(ShapeError);
  expect(() => writeSafetensors([{ ...entry, shape: [2] }])).toThrow(
    'safetensors: the data of tensor "w" must be a Float32Array of 2 elements for f32[2], got a Float32Array of 1.',
  );
  expect(() => writeSafetensors([{ ...entry, dtype: 'i32' }])).toThrow(InputError);
});

test('published data is read by ranges, wide types narrowed', async () => {
  const path = new URL('sparse.safetensors', golden);
  const { size } = statSync(path);
  const whole = new Uint8Array(readFileSync(path));
  let bytesRead = 0;
  const source: ByteSource = {
    size,
    async read(offset, length) {
      bytesRead += length;
      // An odd offset in a larger buffer: readers must not rely on alignment.
      const larger = new Uint8Array(length + 3);
      larger.set(whole.subarray(offset, offset + length), 3);
      return larger.subarray(3);
    },
  };
  const opened = await openSafetensors(source);
  expect(bytesRead).toBeLessThan(size / 4);
  const aligned = await openSafetensors(bytesSource(whole));
  for (const name of opened.names) {
    const { dtype, shape, data } = await opened.read(name);
    expect(data.length).toBe(sizeOf(shape));
    expect(opened.info(name).dtype).toBe(dtype);
    const same = await aligned.read(name);
    expect(same.shape).toEqual(shape);
    expect(Buffer.compare(Buffer.from(same.data.buffer), Buffer.from(data.slice().buffer))).toBe(0);
  }
});

function header(dtype: string): string {
  return `{"w":{"dtype":"${dtype}","shape":[2],"data_offsets":[0,16]}} `;
}

function wide(...values: bigint[]): Uint8Array {
  return new Uint8Array(BigInt64Array.from(values).buffer);
}

test('64-bit elements are narrowed or refused', async () => {
  const good = await openSafetensors(bytesSource(file(header('I64'), wide(-5n, 2147483647n))));
  expect((await good.read('w')).data).toEqual(Int32Array.of(-5, 2147483647));
  const bad = await openSafetensors(bytesSource(file(header('I64'), wide(0n, 2147483648n))));
  await expect(bad.read('w')).rejects.toThrow(
    'safetensors: tensor "w" must hold values that fit i32, got 2147483648 at element 1.',
  );
  const doubles = new Uint8Array(Float64Array.of(0.1, 1e300).buffer);
  const narrowed = await openSafetensors(bytesSource(file(header('F64'), doubles)));
  expect((await narrowed.read('w')).data).toEqual(Float32Array.of(0.1, Infinity));
});

test('a bool must be 0 or 1, and a source must deliver', async () => {
  const bytes = file(
    '{"b":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}',
    Uint8Array.of(1, 7),
  );
  const opened = await openSafetensors(bytesSource(bytes));
  await expect(opened.read('b')).rejects.toThrow(
    'safetensors: tensor "b" must hold 0 and 1 as BOOL, got 7 at element 1.',
  );
  const shrunk: ByteSource = {
    size: bytes.length,
    read: async (offset, length) => bytes.slice(offset, offset + length - (offset > 8 ? 1 : 0)),
  };
  const short = await openSafetensors(shrunk);
  await expect(short.read('b')).rejects.toThrow('safetensors: tensor "b" is truncated');
});

const w = (fields: string): string => `{"w":{${fields}}}`;
const offsets = '"data_offsets":[0,8]';
const malformed: [name: string, bytes: Uint8Array, message: string][] = [
  ['an empty file', new Uint8Array(0), 'at least 8 bytes, got 0'],
  ['a length beyond the file', file('{}').subarray(0, 9), 'at most 1 bytes'],
  ['a huge length', new Uint8Array(16).fill(0xff), 'got a length of 18446744073709551615'],
  ['an empty header', file(''), 'start with "{"'],
  ['a byte-order mark', file('\uFEFF{}'), 'start with "{"'],
  ['an array', file('[]'), 'start with "{"'],
  ['bytes that are not UTF-8', file('{"é"}').map((b) => (b === 0xc3 ? 0xff : b)), 'UTF-8'],
  ['broken JSON', file('{"w":'), 'not valid JSON'],
  ['a key twice', file('{"w":{},"w":{}}'), 'the key "w" twice'],
  ['a key twice, escaped', file('{"w":{},"\\u0077":{}}'), 'the key "w" twice'],
  ['a field twice', file(w('"dtype":"U8","dtype":"U8"')), 'the key "dtype" twice'],
  ['an entry that is no object', file('{"w":[1]}'), 'tensor "w" must be an object, got an array'],
  ['a missing field', file(w(`"dtype":"F32",${offsets}`)), 'tensor "w" has no shape'],
  [
    'an extra field',
    file(w(`"dtype":"F32","shape":[2],${offsets},"strides":[1]`)),
    'tensor "w" has the unknown field "strides"',
  ],
  ['an unknown dtype', file(w(`"dtype":"F4","shape":[2],${offsets}`)), 'BOOL, got "F4"'],
  ['an inherited dtype', file(w(`"dtype":"toString","shape":[2],${offsets}`)), 'got "toString"'],
  ['a dtype that is no text', file(w(`"dtype":{},"shape":[2],${offsets}`)), 'got an object'],
  ['a shape that is no array', file(w(`"dtype":"F32","shape":2,${offsets}`)), 'array as shape'],
  ['a negative extent', file(w(`"dtype":"F32","shape":[-2],${offsets}`)), 'as extents, got -2'],
  ['a fraction', file(w(`"dtype":"F32","shape":[2.5],${offsets}`)), 'as extents, got 2.5'],
  ['a nested extent', file(w(`"dtype":"F32","shape":[[2]],${offsets}`)), 'got an array'],
  ['an immense shape', file(w(`"dtype":"F32","shape":[9007199254740991,9],${offsets}`)), 'needs'],
  ['one offset', file(w('"dtype":"F32","shape":[2],"data_offsets":[0]')), 'two data_offsets'],
  [
    'descending offsets',
    file(w('"dtype":"F32","shape":[2],"data_offsets":[8,0]')),
    'ascending integers of at least 0 as data_offsets, got 8 and 0',
  ],
  [
    'offsets that do not match the shape',
    file(w(`"dtype":"F32","shape":[3],${offsets}`), 8),
    'tensor "w" needs 12 bytes for F32[3], but its data_offsets span 8',
  ],
  ['data beyond the file', file(w(`"dtype":"F32","shape":[2],${offsets}`), 7), 'of a file of'],
  ['a rest', file(w(`"dtype":"F32","shape":[2],${offsets}`), 9), '1 bytes after its last tensor'],
  [
    'a gap',
    file(w('"dtype":"U8","shape":[2],"data_offsets":[1,3]'), 3),
    'tensor "w" leaves a gap of 1 bytes before it',
  ],
  [
    'an overlap',
    file(
      '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
      3,
    ),
    'tensor "b" overlaps the tensor before it by 1 bytes',
  ],
  ['metadata that is no object', file('{"__metadata__":1}'), '__metadata__ must be an object'],
  ['metadata that is no text', file('{"__metadata__":{"a":1}}'), 'must hold strings, got 1'],
];

test.each(malformed)('refuses %s', async (_, bytes, message) => {
  const text = await failure(bytes);
  expect(text).toContain(message);
  expect(text).toMatch(/^safetensors: [^\n]+\.$/);
});

test('long names are cut in messages', async () => {
  expect((await failure(file(`{"${'x'.repeat(5000)}":0}`))).length).toBeLessThan(200);
});

test('deep nesting is refused', async () => {
  await failure(file(`{"w":${'['.repeat(20000)}${']'.repeat(20000)}}`));
});

/** Seeded generator of 32-bit integers (xorshift). */
function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

test('1,000 damaged files are read consistently or refused', async () => {
  const models = new URL('../../trellis/models/tiny/ckpts/', import.meta.url);
  const originals = [
    writeSafetensors(entries, { metadata: { format: 'pt' } }),
    new Uint8Array(readFileSync(new URL('random.safetensors', golden))),
    new Uint8Array(
      readFileSync(new URL('slat_dec_rf_swin8_tiny_64l8r16_fp16.safetensors', models)),
    ),
  ];
  const next = generator(20260101);
  let read = 0;
  let refused = 0;
  for (let variant = 0; variant < 1000; variant++) {
    const original = originals[next(originals.length)]!;
    const headerEnd = 8 + Number(new DataView(original.buffer).getBigUint64(0, true));
    let bytes = original.slice();
    const kind = next(4);
    if (kind === 0) bytes = bytes.slice(0, next(next(2) === 0 ? headerEnd : bytes.length));
    else {
      for (let change = 1 + next(4); change > 0; change--) {
        const at = next(kind === 3 ? bytes.length : headerEnd);
        bytes[at] = kind === 1 ? bytes[at]! ^ (1 << next(8)) : next(256);
      }
    }
    try {
      const opened = await openSafetensors(bytesSource(bytes));
      for (const name of opened.names) {
        const info = opened.info(name);
        const { shape, data } = await opened.read(name);
        expect(data.length).toBe(sizeOf(shape));
        expect(info.byteOffset + info.byteLength).toBeLessThanOrEqual(bytes.length);
      }
      read++;
    } catch (error) {
      expect(error).toBeInstanceOf(CheckpointError);
      expect((error as Error).message).toMatch(/^safetensors: [^\n]+\.$/);
      refused++;
    }
  }
  expect(read).toBeGreaterThan(50);
  expect(refused).toBeGreaterThan(300);
});
