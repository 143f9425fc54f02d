/** Opening the device to check: Dawn from `PERGOLA_DAWN` (the path of a `dawn.node`), else from the package `webgpu`. */
import { createRequire } from 'node:module';
import { env } from 'node:process';
import type { Device } from '@pergola/core';
import { createWebGpuDevice } from '../src/device.ts';
import { dawnFlags } from '../src/instance.ts';

interface Dawn {
  create: (flags: string[]) => GPU;
}

// Dawn dies with the process when one of these is collected.
const held: GPU[] = [];

/** @param development keeps validation and bounds checks on. */
export async function openCheckedDevice(development: boolean): Promise<Device> {
  const path = env['PERGOLA_DAWN'];
  if (path === undefined) return createWebGpuDevice({ development });
  const { create } = createRequire(import.meta.url)(path) as Dawn;
  const gpu = create(dawnFlags({ development, extra: [] }));
  held.push(gpu);
  return createWebGpuDevice({ gpu });
}
