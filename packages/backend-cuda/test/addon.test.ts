/** The addon on any machine: it loads without a GPU, says so, and knows every launcher that kernels plan. */
import { UnsupportedOpError } from '@pergola/core';
import { expect, test } from 'vitest';
import { createCudaDevice, probeCuda } from '../src/index.ts';
import { plannedLaunchers } from './plan-cases.ts';
import { addonOrWarning } from './stub-context.ts';

test('the addon loads and counts the devices', () => {
  const addon = addonOrWarning();
  if (addon === undefined) return;
  const { count, reason } = addon.probe();
  expect(Number.isInteger(count)).toBe(true);
  expect(count > 0 || reason.length > 0).toBe(true);
});

test('without a device there is one sentence that says why', async () => {
  const { count, reason } = probeCuda();
  if (count > 0) return;
  expect(reason).toMatch(/^no CUDA device: .+[^.]\.$/);
  const opened = createCudaDevice();
  await expect(opened).rejects.toThrow(UnsupportedOpError);
  await expect(opened).rejects.toThrow('no CUDA device');
});

test('an ordinal beyond the devices is refused', async () => {
  await expect(createCudaDevice({ ordinal: 1000 })).rejects.toThrow(UnsupportedOpError);
});

test('the addon has every launcher that kernels plan', () => {
  const addon = addonOrWarning();
  if (addon === undefined) return;
  const missing = plannedLaunchers().filter((name) => addon.launcher(name) < 0);
  expect(missing).toEqual([]);
  expect(addon.launcher('no such launcher')).toBe(-1);
});
