import { expect, test } from 'vitest';
import { createCpuDevice, DTypeError, ShapeError, type DType } from '@pergola/core';

test('host data finds its dtype, and every dtype its elements', async () => {
  using device = await createCpuDevice({ threads: 1 });
  const inferred = [
    [[1, 2], 'f32'],
    [Float32Array.of(1, 2), 'f32'],
    [Int32Array.of(1, 2), 'i32'],
    [Uint32Array.of(1, 2), 'u32'],
    [Uint8Array.of(1, 2), 'u8'],
  ] as const;
  for (const [data, dtype] of inferred) expect(device.tensor(data, [2]).dtype).toBe(dtype);
  const converted: [dtype: DType, given: number[], stored: number[]][] = [
    ['f16', [0.1, 65520], [0x2e66, 0x7c00]],
    ['bf16', [0.1, -1], [0x3dcd, 0xbf80]],
    ['i32', [-1, 2.5], [-1, 2]],
    ['u32', [7, 4294967295], [7, 4294967295]],
    ['u8', [7, 255], [7, 255]],
    ['bool', [0, -3], [0, 1]],
  ];
  for (const [dtype, given, stored] of converted) {
    const data = await device.tensor(given, [2], dtype).data();
    expect([...data]).toEqual(stored);
  }
  const rounded = device.tensor(Float32Array.of(0.1), [1], 'f16');
  expect([...(await rounded.data())]).toEqual([0x2e66]);
  const bits = device.tensor(Uint16Array.of(0x3c00), [1], 'f16');
  expect(await bits.item()).toBe(1);
});

test('bytes given for a bool tensor become 0 or 1', async () => {
  using device = await createCpuDevice({ threads: 1 });
  const given = Uint8Array.of(0, 1, 2, 255);
  const flags = device.tensor(given, [4], 'bool');
  expect(await flags.data()).toEqual(Uint8Array.of(0, 1, 1, 1));
  expect(given).toEqual(Uint8Array.of(0, 1, 2, 255));
});

test('data that does not fit is refused', async () => {
  using device = await createCpuDevice({ threads: 1 });
  expect(() => device.tensor([1, 2, 3], [2])).toThrow('tensor: [2] needs 2 elements, got 3.');
  expect(() => device.tensor([1], [-1])).toThrow(ShapeError);
  expect(() => device.tensor([1], [0.5])).toThrow(ShapeError);
  expect(() => device.tensor(Uint16Array.of(1), [1])).toThrow(DTypeError);
  expect(() => device.tensor(Int32Array.of(1), [1], 'f32')).toThrow(
    'tensor: a Int32Array cannot fill a tensor of f32.',
  );
  expect(() => device.tensor(Float32Array.of(1), [1], 'i32')).toThrow(DTypeError);
  expect(device.memory().storages).toBe(0);
});
