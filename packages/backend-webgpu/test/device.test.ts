/** The device itself: transfers, memory, errors, loss, and the end of the process. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { add, DeviceLostError, layerNorm, matmul, OutOfMemoryError, relu } from '@pergola/core';
import { GpuProgramError, type WebGpuBackend } from '@pergola/backend-webgpu';
import { openDevice } from './adapter.ts';

function backendOf(device: { backend: unknown }): WebGpuBackend {
  return device.backend as WebGpuBackend;
}

describe('transfers', () => {
  test('every dtype makes the round trip, whole and as strided views', async () => {
    using device = await openDevice();
    for (const dtype of ['f32', 'f16', 'i32', 'u32', 'u8'] as const) {
      const x = device.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3], dtype);
      expect([...(await x.values())]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect([...(await x.transpose().slice(0, 1).values())]).toEqual([2, 5, 8, 3, 6, 9]);
    }
  });

  test('uploads and downloads may start and end at any byte', async () => {
    using device = await openDevice();
    const backend = backendOf(device);
    const buffer = backend.allocate(32);
    const expected = new Uint8Array(32).fill(9);
    backend.upload(buffer, 0, expected);
    for (const [offset, length] of [
      [1, 2],
      [5, 9],
      [18, 6],
      [27, 1],
    ] as const) {
      const bytes = Uint8Array.from({ length }, (_, i) => offset + i);
      backend.upload(buffer, offset, bytes);
      expected.set(bytes, offset);
    }
    expect(await backend.download(buffer, 0, 32)).toEqual(expected);
    expect(await backend.download(buffer, 3, 7)).toEqual(expected.slice(3, 10));
    backend.free(buffer);
  });

  test('an upload larger than the staging ring arrives, and after earlier work', async () => {
    using device = await openDevice();
    const length = 20 * 1024 * 1024;
    const data = new Float32Array(length);
    for (let i = 0; i < length; i += 1000) data[i] = i;
    const x = device.tensor(data, [length]);
    const tail = x.slice(0, length - 2000);
    expect([...(await tail.slice(0, 0, 2000, 1000).floats())]).toEqual(
      [length - 2000, length - 1000].map((i) => data[i]),
    );
    expect((await tail.floats())[1]).toBe(data[length - 1999]);
  });
});

describe('memory', () => {
  test('freed buffers are reused, and a loop keeps memory flat', async () => {
    using device = await openDevice();
    const step = (): Promise<Float32Array> =>
      device.run(async () => {
        const x = device.tensor(new Float32Array(64).fill(0.5), [8, 8]);
        return layerNorm(add(matmul(x, x), x)).floats();
      });
    await step();
    const before = device.memory();
    for (let i = 0; i < 20; i++) await step();
    expect(device.memory()).toEqual(before);
    expect(before.liveBytes).toBe(0);
    expect(before.pooledBytes).toBeGreaterThan(0);
    backendOf(device).trim();
    expect(device.memory().pooledBytes).toBe(0);
    await step();
  });

  test('the pool stays within its bound', async () => {
    using device = await openDevice({ maxPooledBytes: 4096 });
    for (let i = 0; i < 8; i++)
      device.tensor(new Float32Array(256 * (i + 1)), [256 * (i + 1)]).dispose();
    expect(device.memory().pooledBytes).toBeLessThanOrEqual(4096);
    await device.sync();
  });

  test('too much memory is refused with a sentence', async () => {
    using device = await openDevice({ memoryBytes: 1024 * 1024 });
    const held = device.tensor(new Float32Array(128 * 1024), [128 * 1024]);
    expect(() => device.tensor(new Float32Array(200 * 1024), [200 * 1024])).toThrow(
      OutOfMemoryError,
    );
    held.dispose();
    device.tensor(new Float32Array(200 * 1024), [200 * 1024]);
    expect(() => backendOf(device).allocate(device.info.maxBufferBytes + 4)).toThrow(
      `webgpu: a tensor may take at most ${device.info.maxBufferBytes} bytes on this adapter`,
    );
  });

  test('tensors without elements have buffers', async () => {
    using device = await openDevice();
    const empty = device.tensor([], [0, 4]);
    expect((await relu(empty).floats()).length).toBe(0);
  });
});

describe('programs', () => {
  test('a program that does not compile is shown with position and source', async () => {
    using device = await openDevice();
    const { context } = backendOf(device);
    const { buffer } = context.scratch(4);
    const program = context.program({
      label: 'broken',
      bindings: [{ name: 'x', dtype: 'f32', use: 'write' }],
      params: {},
      each: 'element',
      workgroup: 64,
      body: 'fn run(index: u32) { store_x(index, 1u); }',
    });
    const launch = (): void =>
      context.launch(program, [{ buffer, offset: 0 }], program.pack({}), 1);
    launch();
    const failure = await device.sync().catch((error: unknown) => error as Error);
    expect(failure).toBeInstanceOf(GpuProgramError);
    expect(failure?.message).toMatch(/^webgpu: program broken did not compile\.\n\d+:\d+ /);
    expect(failure?.message).toContain('| fn run(index: u32) { store_x(index, 1u); }');
    expect(launch).toThrow(GpuProgramError);
    await device.sync();
  });

  test('grids beyond the limit of one dimension are folded', async () => {
    using device = await openDevice();
    const { context } = backendOf(device);
    const groups = 65535 + 3;
    const program = context.program({
      label: 'folded',
      bindings: [{ name: 'x', dtype: 'u32', use: 'write' }],
      params: {},
      each: 'group',
      workgroup: 1,
      body: 'fn run(group: u32, lane: u32) { store_x(group, group + lane); }',
    });
    const x = device.tensor(new Uint32Array(groups), [groups]);
    const binding = { buffer: x.storage.buffer as never, offset: 0 };
    context.launch(program, [binding], program.pack({}), groups);
    const values = await x.values();
    expect(values.every((value, i) => value === i)).toBe(true);
  });

  test('equal programs are compiled once', async () => {
    using device = await openDevice();
    const { pipelines } = backendOf(device).context;
    for (const n of [3, 5, 7]) {
      using x = device.tensor(new Float32Array(n), [n]);
      relu(x).dispose();
    }
    expect(pipelines.size).toBe(1);
  });
});

describe('loss', () => {
  test('pending work is rejected, and a new device can be made', async () => {
    const device = await openDevice();
    const x = device.tensor([1, 2, 3], [3]);
    const pending = relu(x).floats();
    const waiting = device.sync();
    backendOf(device).context.gpu.destroy();
    await expect(pending).rejects.toThrow(DeviceLostError);
    await expect(waiting).rejects.toThrow(DeviceLostError);
    expect(() => relu(x)).toThrow(DeviceLostError);
    await expect(x.floats()).rejects.toThrow(DeviceLostError);
    device.dispose();
    using fresh = await openDevice();
    expect([...(await relu(fresh.tensor([-1, 2], [2])).floats())]).toEqual([0, 2]);
  });
});

// Node 20 runs no TypeScript: the child uses the built packages, which `npm test` builds first.
describe('process', () => {
  test.each(['dispose', 'forget'])('ends by itself after use (%s)', async (manner) => {
    const script = fileURLToPath(new URL('exit.fixture.mjs', import.meta.url));
    const child = spawn(process.execPath, [script, manner], { stdio: 'pipe' });
    let output = '';
    child.stdout.on('data', (data) => (output += String(data)));
    child.stderr.on('data', (data) => (output += String(data)));
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect({ code, output }).toEqual({ code: 0, output: '[ 0, 2 ]\n' });
  });
});
