import { createCpuDevice, matmul } from '@pergola/core';
import { expect, test } from 'vitest';
import type { GpuCase } from '../src/gpu/case.ts';
import { hostGrowth } from '../src/gpu/endurance.ts';
import { figuresOf } from '../src/gpu/figures.ts';
import { formatGpuResult, runGpuCase } from '../src/gpu/run.ts';

const OPTIONS = { warmUps: 1, warmUpSeconds: 0, minSamples: 2, maxSeconds: 0.01 };

const product: GpuCase = {
  figure: 'matmul 8192^3',
  detail: '64^3',
  prepare: (device) => {
    const a = device.tensor(new Float32Array(64 * 64).fill(1), [64, 64]);
    return Promise.resolve({
      repeats: 2,
      flops: 2 * 64 ** 3,
      run: () => matmul(a, a),
      dispose: () => a.dispose(),
    });
  },
};

test('a case reports times, rate and memory, and leaves none', async () => {
  using device = await createCpuDevice({ threads: 1 });
  const result = await runGpuCase(device, product, OPTIONS);
  if ('error' in result) throw new Error(result.error);
  expect(result.samples).toBeGreaterThanOrEqual(2);
  expect(result.min).toBeLessThanOrEqual(result.median);
  expect(result.teraflops).toBeCloseTo((2 * 64 ** 3) / result.median / 1e9, 9);
  const matrix = 4 * 64 * 64;
  expect(result.memory.heldBytes).toBe(matrix);
  expect(result.memory.peakBytes).toBeGreaterThanOrEqual(2 * matrix);
  expect(device.memory().liveBytes).toBe(0);
  expect(formatGpuResult(result)).toMatch(
    /^matmul 8192\^3 \(64\^3\)\n +min .* TFLOP\/s\n +MB held/,
  );
});

test('a case that fails is a row with the reason', async () => {
  using device = await createCpuDevice({ threads: 1 });
  const broken: GpuCase = { ...product, prepare: () => Promise.reject(new Error('no luck')) };
  const result = await runGpuCase(device, broken, OPTIONS);
  expect(result).toMatchObject({ error: 'no luck' });
  expect(formatGpuResult(result)).toContain('failed: no luck');
});

test('bounds belong to a backend, figures from elsewhere to all', () => {
  expect(figuresOf('cuda', 'structure flow')).toEqual({
    eager: 28.4,
    peer: 12.8,
    must: 12.8,
    aim: 9,
  });
  expect(figuresOf('webgpu', 'structure flow')).toMatchObject({ eager: 28.4, aim: 28.4 });
  expect(figuresOf('cpu', 'matmul 8192^3')).toEqual({});
});

test('a time is judged by the bounds', () => {
  const memory = { heldBytes: 0, peakBytes: 2e6, pooledBytes: 0 };
  const line = (median: number, must?: number, aim?: number): string =>
    formatGpuResult({
      name: 'work',
      detail: 'd',
      figures: { ...(must === undefined ? {} : { must }), ...(aim === undefined ? {} : { aim }) },
      ...{ min: 1, median, samples: 1, memory },
    });
  expect(line(1, 3, 2)).toContain('aim met');
  expect(line(2.5, 3, 2)).toContain('must met');
  expect(line(6, 3, 2)).toContain('2.00x must');
  expect(line(6, undefined, 4)).toContain('1.50x aim');
});

test('garbage that comes and goes is no growth of the process', () => {
  const growth = (...megabytes: number[]): number =>
    hostGrowth(megabytes.map((hostBytes) => ({ hostBytes })));
  // The first sample, in which pools fill, does not count.
  expect(growth(500, 1020, 1000, 1045, 1030, 1001, 1030)).toBe(1);
  expect(growth(1000, 1010, 1020, 1030, 1040, 1050, 1060)).toBe(1040 - 1010);
  expect(growth(1000)).toBe(0);
});
