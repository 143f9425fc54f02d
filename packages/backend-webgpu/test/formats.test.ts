/** Packed formats bit by bit: all 65,536 f16 patterns, and rounding to them. */
import { expect, test } from 'vitest';
import { cast, f16ValueTable, f32ToF16Bits } from '@pergola/core';
import { openDevice } from './adapter.ts';

test('every f16 pattern widens to its value and narrows back', async () => {
  using device = await openDevice();
  const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const x = device.tensor(patterns, [65536], 'f16');
  const wide = cast(x, 'f32');
  const table = f16ValueTable();
  const values = await wide.floats();
  expect(values.findIndex((value, i) => !Object.is(value, table[i]))).toBe(-1);
  const back = (await cast(wide, 'f16').data()) as Uint16Array;
  const same = (bits: number, i: number): boolean =>
    Number.isNaN(table[i]) ? Number.isNaN(table[bits]) : bits === i;
  expect(back.findIndex((bits, i) => !same(bits, i))).toBe(-1);
  // An odd length takes the element-wise path.
  const odd = cast(wide.slice(0, 0, 65535), 'f16');
  expect(((await odd.data()) as Uint16Array).findIndex((bits, i) => !same(bits, i))).toBe(-1);
});

test('f32 rounds to the nearest f16, ties to even', async () => {
  using device = await openDevice();
  const values = new Float32Array(4096);
  for (let i = 0; i < values.length; i++) {
    values[i] = (i % 2 === 0 ? 1 : -1) * 2 ** ((i % 48) - 28) * (1 + (i * 37) / 4096);
  }
  values.set([65504, 65519, 65520, 65536, 1e10, 2 ** -24, 2 ** -25, 3 * 2 ** -25, 2 ** -14]);
  const x = device.tensor(values, [4096]);
  const bits = (await cast(x, 'f16').data()) as Uint16Array;
  expect([...bits]).toEqual(Array.from(values, (value) => f32ToF16Bits(value)));
});
