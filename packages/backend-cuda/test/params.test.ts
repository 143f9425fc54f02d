/** Parameter blocks: 4-byte words, little-endian, in the order of the CUDA structs. */
import { expect, test } from 'vitest';
import { elementBits } from '../src/kernels/full.ts';
import { ParamBlock } from '../src/params.ts';

function words(params: ParamBlock): number[] {
  const bytes = params.bytes();
  return [...new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)];
}

test('integers, floats, flags and dtypes take one word each', () => {
  const params = new ParamBlock()
    .int(1, -1, 4294967295)
    .float(1, -Infinity)
    .bool(true)
    .dtype('bf16');
  expect(words(params)).toEqual([1, 0xffffffff, 0xffffffff, 0x3f800000, 0xff800000, 1, 2]);
});

test('numbers are rounded to f32', () => {
  expect(words(new ParamBlock().float(0.1))).toEqual([0x3dcccccd]);
});

test('padding goes in front', () => {
  expect(words(new ParamBlock().padded([5, 7], 4, 1))).toEqual([1, 1, 5, 7]);
});

test('an empty block has no bytes', () => {
  expect(new ParamBlock().bytes().length).toBe(0);
});

test('bits of an element of each dtype', () => {
  expect(elementBits('f32', 1)).toBe(0x3f800000);
  expect(elementBits('f16', 1)).toBe(0x3c00);
  expect(elementBits('bf16', -1)).toBe(0xbf80);
  expect(elementBits('i32', -1)).toBe(0xffffffff);
  expect(elementBits('u8', 200)).toBe(200);
  expect(elementBits('bool', 1)).toBe(1);
});
