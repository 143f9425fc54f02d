/** The safety net: the garbage collector frees tensors that nobody disposed. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createCpuDevice, type Device, type Tensor } from '@pergola/core';

let device: Device;
let start: number;

beforeEach(async () => {
  device = await createCpuDevice({ threads: 1 });
  start = device.memory().liveBytes;
});

afterEach(() => device.dispose());

function live(): number {
  return device.memory().liveBytes - start;
}

function make(): Tensor {
  return device.tensor([1, 2, 3, 4, 5, 6], [2, 3]);
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects until `done`: finalizers run when the loop turns. */
async function collectUntil(done: () => boolean, turns = 100): Promise<void> {
  for (let turn = 0; turn < turns && !done(); turn++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('memory of tensors that nobody disposed comes back, and is reported', async () => {
  const leaks: string[] = [];
  device.onLeak = (description) => leaks.push(description);
  const kept = make();
  (() => {
    make();
    device.tensor([1, 2, 3, 4], [2, 2]).transpose();
    make().dispose();
  })();
  await collectUntil(() => leaks.length >= 3);
  expect(leaks.sort()).toEqual([
    'f32[2, 2] on cpu was never disposed.',
    'f32[2, 2] on cpu was never disposed.',
    'f32[2, 3] on cpu was never disposed.',
  ]);
  expect(device.memory().storages).toBe(1);
  kept.dispose();
  expect(live()).toBe(0);
});

test('tensors of an open scope are not collected', async () => {
  const leaks: string[] = [];
  device.onLeak = (description) => leaks.push(description);
  const scope = device.scope();
  (() => {
    make();
  })();
  await collectUntil(() => leaks.length > 0, 5);
  expect(leaks).toEqual([]);
  scope.dispose();
  expect(live()).toBe(0);
});

test('nothing is reported after the device is gone', async () => {
  const leaks: string[] = [];
  const gone = await createCpuDevice({ threads: 1 });
  gone.onLeak = (description) => leaks.push(description);
  (() => {
    gone.tensor([1], [1]);
  })();
  gone.dispose();
  await collectUntil(() => leaks.length > 0, 5);
  expect(leaks).toEqual([]);
});
