/** Recorded steps, and writing into tensors in place. */
import {
  add,
  assign,
  assignData,
  canRecord,
  createCpuDevice,
  InputError,
  mul,
  recordStep,
  ShapeError,
  UnsupportedOpError,
  type Device,
} from '@pergola/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRecordingDevice } from '../../../testdata/recording-device.ts';

let device: Device;
beforeAll(async () => {
  device = await createRecordingDevice();
});
afterAll(() => device.dispose());

test('a replay does the work again on what the tensors hold then', async () => {
  const before = device.memory().storages;
  {
    using x = device.tensor([1, 2, 3], [3]);
    using factor = device.scalar(10);
    using step = recordStep(device, () => {
      const offset = device.tensor([1, 1, 1], [3]);
      const next = add(mul(x, factor), offset);
      assign(x, next);
      return next;
    });
    expect(step.commands).toBeGreaterThanOrEqual(4);
    expect(await x.floats()).toEqual(Float32Array.of(11, 21, 31));
    assignData(factor, [2]);
    step.replay();
    expect(await x.floats()).toEqual(Float32Array.of(23, 43, 63));
    expect(await step.result.floats()).toEqual(Float32Array.of(23, 43, 63));
    step.dispose();
    expect(await step.result.floats()).toEqual(Float32Array.of(23, 43, 63));
    expect(() => step.replay()).toThrow(InputError);
    step.result.dispose();
  }
  expect(device.memory().storages).toBe(before);
});

test('a step that fails or waits is not recorded', () => {
  const before = device.memory().storages;
  expect(() =>
    recordStep(device, () => {
      device.scalar(1);
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(() => recordStep(device, () => Promise.resolve())).toThrow(
    'recordStep: body must be synchronous, got a promise.',
  );
  expect(device.memory().storages).toBe(before);
});

test('devices without recordings say so', async () => {
  using cpu = await createCpuDevice();
  expect(canRecord(cpu)).toBe(false);
  expect(canRecord(device)).toBe(true);
  expect(() => recordStep(cpu, () => {})).toThrow(UnsupportedOpError);
});

test('assign writes strided sources and half types, and refuses what does not fit', async () => {
  using target = device.tensor([0, 0, 0, 0, 0, 0], [2, 3], 'f16');
  using view = target.reshape(6);
  using source = device.tensor([1, 2, 3, 4, 5, 6], [3, 2], 'f16');
  assign(target, source.transpose());
  expect(await view.floats()).toEqual(Float32Array.of(1, 3, 5, 2, 4, 6));
  assignData(target, Float32Array.of(1, 1, 1, 1, 1, 0.5));
  expect(await view.floats()).toEqual(Float32Array.of(1, 1, 1, 1, 1, 0.5));
  expect(() => assign(target, source)).toThrow(ShapeError);
  expect(() => assign(target.slice(0, 1), source.slice(0, 1))).toThrow(ShapeError);
  expect(() => assign(target, view.reshape(2, 3))).toThrow(
    'assign: target and source must be two tensors of one device.',
  );
  expect(() => assignData(target, [1])).toThrow(
    'assignData: target must be contiguous and take 1 elements, got f16[2, 3].',
  );
});
