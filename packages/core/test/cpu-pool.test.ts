import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  add,
  createCpuDevice,
  DeviceLostError,
  InputError,
  LifetimeError,
  matmul,
  OutOfMemoryError,
  type CpuContext,
  type Device,
} from '@pergola/core';
// The module of the backend whose jobs are easiest to run by hand.
import { wasm as copyModule } from '../src/cpu/wasm/copy.generated.ts';
import { expectClose, expectSameBits, randomFloats } from './cpu-support.ts';

const SIZE = 192;

async function product(device: Device): Promise<Float32Array> {
  const [a, b] = [randomFloats([SIZE, SIZE], 1), randomFloats([SIZE, SIZE], 2)];
  return matmul(device.tensor(a, [SIZE, SIZE]), device.tensor(b, [SIZE, SIZE])).floats();
}

/** Arguments of the gather job that copy `rows` rows of `bytes` bytes, from and to where `start` says. */
function gatherWords(source: number, index: number, target: number, rows: number): number[] {
  return [source, index, target, 64, rows, rows];
}

function contextOf(device: Device): CpuContext {
  return device.backend.context as CpuContext;
}

afterEach(() => vi.unstubAllGlobals());

describe('threads', () => {
  test('any number of them gives the same bits', async () => {
    const results = [];
    for (const threads of [1, 2, 3, 5]) {
      using device = await createCpuDevice({ threads });
      results.push(await product(device), await product(device));
    }
    for (const result of results) expectSameBits(result, results[0]!);
  });

  test('jobs in quick succession, while threads start, all complete', async () => {
    using device = await createCpuDevice({ threads: 4 });
    const one = device.tensor(new Float32Array(300_000).fill(1), [300_000]);
    for (let round = 0; round < 60; round++) {
      const sum = device.run(() => add(add(one, round), one));
      const values = await sum.floats();
      expect([values[0], values[299_999], values.indexOf(round + 3)]).toEqual([
        round + 2,
        round + 2,
        -1,
      ]);
      sum.dispose();
    }
  });

  test('take part, every item once', async () => {
    using device = await createCpuDevice({ threads: 3 });
    const { pool, memory } = contextOf(device);
    const rows = 5000;
    const block = memory.allocate(rows * 132);
    const [index, source] = [block.address, block.address + rows * 4];
    const target = source + rows * 64;
    for (let round = 0; round < 5; round++) {
      const order = new Int32Array(memory.buffer, index, rows);
      for (let i = 0; i < rows; i++) order[i] = (i * 7 + round) % rows;
      memory.bytes.fill(0, target, target + rows * 64);
      const words = new Int32Array(memory.buffer, source, rows * 16);
      for (let i = 0; i < words.length; i++) words[i] = i >> 4;
      pool.run(copyModule, 'gather', gatherWords(source, index, target, rows), rows, 1);
      const copied = new Int32Array(memory.buffer, target, rows * 16);
      expect(copied.every((value, i) => value === order[i >> 4])).toBe(true);
    }
    memory.free(block);
  });

  test('a module loaded while they wait reaches them, also beyond the first memory', async () => {
    using device = await createCpuDevice({ threads: 2 });
    await product(device);
    // 40 MiB: the memory grows several times after the threads took it over.
    const big = device.tensor(new Float32Array(10_000_000).fill(2), [10_000_000]);
    const doubled = await add(big, big).floats();
    expect(doubled.every((value) => value === 4)).toBe(true);
  });
});

describe('failures', () => {
  test('of a job surface in the caller, and the next job works', async () => {
    for (const threads of [1, 2]) {
      using device = await createCpuDevice({ threads });
      await product(device);
      const { pool } = contextOf(device);
      const outside = 0xffff_0000;
      const words = gatherWords(outside, outside, outside, 100);
      for (const grain of [1, 1000]) {
        expect(() => pool.run(copyModule, 'gather', words, 100, grain)).toThrow(DeviceLostError);
      }
      expect((await product(device)).length).toBe(SIZE * SIZE);
    }
  });

  test('of a caller are named', async () => {
    using device = await createCpuDevice();
    expect(() => contextOf(device).pool.run(copyModule, 'nothing', [], 1, 1)).toThrow(
      'cpu: job must be an export of module copy with at most 192 words, got nothing with 0.',
    );
    await expect(createCpuDevice({ threads: 0 })).rejects.toThrow(InputError);
    await expect(createCpuDevice({ threads: 1.5 })).rejects.toThrow(
      'createCpuDevice: threads must be an integer of 1 to 256, got 1.5.',
    );
    await expect(createCpuDevice({ maxBytes: 0 })).rejects.toThrow(InputError);
  });

  test('of memory leave the device usable', async () => {
    using device = await createCpuDevice({ threads: 2, maxBytes: 16 * 2 ** 20 });
    const live = device.memory().liveBytes;
    const a = device.tensor(new Float32Array(1_500_000), [1_500_000]);
    const b = device.tensor(new Float32Array(1_500_000), [1_500_000]);
    expect(() => add(a, b)).toThrow(OutOfMemoryError);
    a.dispose();
    b.dispose();
    expect(device.memory().liveBytes).toBe(live);
    expect((await product(device)).length).toBe(SIZE * SIZE);
  });
});

describe('devices', () => {
  test('say what they are', async () => {
    using device = await createCpuDevice({ threads: 2 });
    expect(device.info.description).toBe('WebAssembly SIMD, 2 threads');
    expect(device.info.features).toEqual(['simd', 'threads']);
    using single = await createCpuDevice({ threads: 1 });
    expect(single.info.description).toBe('WebAssembly SIMD, one thread');
    expect(single.info.features).toEqual(['simd']);
  });

  test('without shared memory compute on one thread, with the same bits', async () => {
    using device = await createCpuDevice({ threads: 2 });
    const expected = await product(device);
    vi.stubGlobal('crossOriginIsolated', false);
    using plain = await createCpuDevice({ threads: 2 });
    expect(plain.info.features).toEqual(['simd']);
    expectSameBits(await product(plain), expected);
    // Growing a private memory detaches every view of it.
    const big = plain.tensor(new Float32Array(4_000_000).fill(1), [4_000_000]);
    const doubled = await add(big, big).floats();
    expect(doubled.every((value) => value === 2)).toBe(true);
  });

  test('with relaxed SIMD stay within rounding', async () => {
    using device = await createCpuDevice({ threads: 2 });
    using relaxed = await createCpuDevice({ threads: 2, relaxedSimd: true });
    expectClose(await product(relaxed), await product(device), 1e-5);
  });

  test('are disposed twice without harm, and refuse work afterwards', async () => {
    const device = await createCpuDevice({ threads: 2 });
    await product(device);
    device.dispose();
    device.dispose();
    expect(() => device.tensor([1], [1])).toThrow(LifetimeError);
  });
});
