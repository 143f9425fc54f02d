/** Device time of each dispatch, by timestamp queries around a compute pass of its own. */
import { InputError, type Device } from '@pergola/core';
import { webGpuBackend } from './backend.ts';
import { Profiler, type DispatchTiming } from './profiler.ts';

/**
 * Runs `body` and times each dispatch on the device. Dispatches run one after another, without overlap.
 *
 * @throws InputError when the device is not a WebGPU device or has no `timestamp-query`.
 */
export async function profileDispatches(
  device: Device,
  body: () => void | Promise<void>,
): Promise<DispatchTiming[]> {
  const backend = webGpuBackend('profileDispatches', device);
  if (!backend.context.capabilities.timestamps) {
    throw new InputError(
      'profileDispatches: the device must have timestamp-query, which this adapter lacks.',
    );
  }
  const { gpu, commands } = backend.context;
  const profiler = new Profiler(gpu);
  commands.profile(profiler);
  try {
    await body();
    commands.profile(undefined);
    await backend.sync();
    return await profiler.collect();
  } finally {
    commands.profile(undefined);
    profiler.dispose();
  }
}
