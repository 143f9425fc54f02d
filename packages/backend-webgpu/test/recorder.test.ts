/** Recorded steps and timings. */
import { describe, expect, test } from 'vitest';
import {
  add,
  assign,
  assignData,
  full,
  InputError,
  mul,
  recordStep,
  ShapeError,
  softmax,
  sum,
  type Device,
} from '@pergola/core';
import { profileDispatches, type WebGpuBackend } from '@pergola/backend-webgpu';
import { openDevice } from './adapter.ts';

describe('recordStep', () => {
  test('a replayed step computes what the body would', async () => {
    using device = await openDevice();
    const x = device.tensor([1, 2, 3, 4], [4]);
    const t = device.tensor([0.5], [1]);
    // x <- x + softmax(x) * t * [1, 2, 3, 4], with a constant uploaded inside.
    const body = (): void =>
      assign(x, add(x, mul(mul(softmax(x), t), device.tensor([1, 2, 3, 4], [4]))));
    const step = recordStep(device, body);
    assignData(t, new Float32Array([0.25]));
    step.replay();
    assignData(t, new Float32Array([2]));
    step.replay();
    const expected = await device.run(async () => {
      const y = device.tensor([1, 2, 3, 4], [4]);
      for (const time of [0.5, 0.25, 2]) {
        const factor = device.tensor([1, 2, 3, 4], [4]);
        assign(y, add(y, mul(mul(softmax(y), device.tensor([time], [1])), factor)));
      }
      return y.floats();
    });
    expect([...(await x.floats())]).toEqual([...expected]);
    step.dispose();
  });

  test('results are overwritten in place and outlive the step', async () => {
    using device = await openDevice();
    const x = device.tensor([1, 2], [2]);
    const step = recordStep(device, () => ({ total: sum(x), doubled: mul(x, 2) }));
    expect(await step.result.total.item()).toBe(3);
    assignData(x, new Float32Array([5, 6]));
    step.replay();
    expect(await step.result.total.item()).toBe(11);
    step.dispose();
    expect([...(await step.result.doubled.floats())]).toEqual([10, 12]);
    expect(() => step.replay()).toThrow(InputError);
  });

  test('memory of a step is neither reused by others nor kept after it', async () => {
    using device = await openDevice();
    const x = device.tensor(new Float32Array(1024).fill(1), [1024]);
    const before = device.memory();
    const step = recordStep(device, () => sum(mul(add(x, 1), add(x, 2))));
    // Tensors made now must not land in the memory that the step will write.
    const others = Array.from({ length: 8 }, (_, i) => full(device, [1024], i));
    step.replay();
    for (const [i, other] of others.entries()) {
      expect((await other.floats()).every((value) => value === i)).toBe(true);
      other.dispose();
    }
    expect(await step.result.item()).toBe(6 * 1024);
    step.result.dispose();
    step.dispose();
    expect(device.memory().liveBytes).toBe(before.liveBytes);
    expect(device.memory().storages).toBe(before.storages);
  });

  test('an input freed after recording keeps its memory', async () => {
    using device = await openDevice();
    const x = device.tensor([1, 2, 3], [3]);
    const step = recordStep(device, () => mul(x, 2));
    x.dispose();
    const other = device.tensor([7, 8, 9], [3]);
    step.replay();
    expect([...(await step.result.floats())]).toEqual([2, 4, 6]);
    expect([...(await other.floats())]).toEqual([7, 8, 9]);
    step.dispose();
  });

  test('misuse meets one sentence', async () => {
    using device = await openDevice();
    const x = device.tensor([1, 2], [2]);
    const y = device.tensor([1, 2, 3], [3]);
    expect(() => recordStep(device, () => recordStep(device, () => 0))).toThrow(InputError);
    expect(() => recordStep(device, async () => 0)).toThrow(InputError);
    expect(() => assign(x, y)).toThrow(ShapeError);
    expect(() => assignData(x, new Float32Array(3))).toThrow(ShapeError);
    // A failed recording leaves the device usable.
    expect([...(await mul(x, 3).floats())]).toEqual([3, 6]);
  });
});

describe('profileDispatches', () => {
  test('every dispatch is timed, in order', async () => {
    using device: Device = await openDevice();
    const x = device.tensor(new Float32Array(64), [8, 8]);
    const timings = await profileDispatches(device, () => {
      mul(add(x, 1), 2);
    });
    expect(timings.map(({ program }) => program)).toEqual(['add.number.f32', 'mul.number.f32']);
    expect(timings.every(({ nanoseconds }) => nanoseconds >= 0)).toBe(true);
  });

  test('more dispatches than a query set holds are timed all the same', async () => {
    using device = await openDevice();
    const x = device.tensor([1], [1]);
    const count = 2100;
    const timings = await profileDispatches(device, () => {
      for (let i = 0; i < count; i++) add(x, 1).dispose();
    });
    expect(timings.length).toBe(count);
    expect((device.backend as WebGpuBackend).memory().pooledBytes).toBeGreaterThan(0);
  });
});
