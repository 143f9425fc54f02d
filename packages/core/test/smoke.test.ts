import { expect, test } from 'vitest';
import { createCpuDevice, layerNorm, LifetimeError, ShapeError } from '@pergola/core';

test('an op runs, its scope frees it, and memory returns to its start', async () => {
  using device = await createCpuDevice();
  const before = device.memory().liveBytes;
  const values = await device.run(async () => {
    const x = device.tensor([1, 2, 3, 4, 6, 8], [2, 3]);
    return layerNorm(x.transpose()).floats();
  });
  expect(values[0]).toBeCloseTo(-1, 4);
  expect(values[1]).toBeCloseTo(1, 4);
  expect(device.memory().liveBytes).toBe(before);
});

test('bad input meets one sentence', async () => {
  using device = await createCpuDevice();
  const x = device.tensor([1, 2, 3, 4], [2, 2]);
  const weight = device.tensor([1, 2, 3], [3]);
  expect(() => layerNorm(x, weight)).toThrow(ShapeError);
  expect(() => layerNorm(x, weight)).toThrow(
    'layerNorm: weight must be [2] (last axis of x), got [3].',
  );
  x.dispose();
  expect(() => layerNorm(x)).toThrow(LifetimeError);
});
