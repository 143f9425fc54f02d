import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import {
  bytesSource,
  InputError,
  openSafetensors,
  ShapeError,
  TorchGenerator,
} from '@pergola/core';

const golden = await openSafetensors(
  bytesSource(
    new Uint8Array(
      await readFile(new URL('../../../testdata/golden/random.safetensors', import.meta.url)),
    ),
  ),
);

async function expectClose(name: string, actual: Float32Array): Promise<void> {
  const { data } = await golden.read(name);
  expect(actual.length).toBe(data.length);
  let worst = 0;
  for (let i = 0; i < actual.length; i++) worst = Math.max(worst, Math.abs(actual[i]! - data[i]!));
  expect(worst).toBeLessThanOrEqual(1e-6);
}

test.each([0, 42, 123456789])(
  'seed %i draws what PyTorch draws, in the same order',
  async (seed) => {
    const generator = new TorchGenerator(seed);
    await expectClose(`torch_randn_${seed}/a`, generator.randn([1, 8, 16, 16, 16]));
    await expectClose(`torch_randn_${seed}/b`, generator.randn([1234, 8]));
    await expectClose(`torch_randn_${seed}/c`, generator.randn([5]));
    await expectClose(`torch_randn_${seed}/d`, generator.randn([16]));
    await expectClose(`torch_randn_${seed}/e_uniform`, generator.rand([7]));
  },
);

test('the bits are those of MT19937', () => {
  // First outputs of the reference implementation for its default seed.
  const generator = new TorchGenerator(5489);
  expect([1, 2, 3].map(() => generator.nextUint32())).toEqual([3499211612, 581869302, 3890346734]);
  // The 10000th output is fixed by the C++ standard.
  for (let i = 4; i < 10000; i++) generator.nextUint32();
  expect(generator.nextUint32()).toBe(4123659995);
});

test('a length that is no multiple of 16 draws its last 16 numbers again', () => {
  const whole = new TorchGenerator(7).randn([32]);
  const odd = new TorchGenerator(7).randn([24]);
  expect([...odd.subarray(0, 8)]).toEqual([...whole.subarray(0, 8)]);
  // 24 uniforms went to the first pass, so the second pass starts at the 25th.
  const generator = new TorchGenerator(7);
  generator.rand([24]);
  expect([...odd.subarray(8)]).toEqual([...generator.randn([16])]);
});

test('equal seeds agree, seeds wrap at 32 bits, and uniform numbers stay in [0, 1)', () => {
  expect(new TorchGenerator(3).randn([40])).toEqual(new TorchGenerator(3).randn([40]));
  expect(new TorchGenerator(2 ** 32 + 3).rand([4])).toEqual(new TorchGenerator(3).rand([4]));
  const uniform = new TorchGenerator(9).rand([1000]);
  expect(uniform.every((value) => value >= 0 && value < 1)).toBe(true);
  expect(new TorchGenerator(1).randn([0, 4]).length).toBe(0);
});

test('bad seeds and shapes are refused', () => {
  expect(() => new TorchGenerator(-1)).toThrow(InputError);
  expect(() => new TorchGenerator(0.5)).toThrow(
    'TorchGenerator: seed must be an integer from 0 to 9007199254740991, got 0.5.',
  );
  expect(() => new TorchGenerator(1).randn([2, -1])).toThrow(ShapeError);
});
