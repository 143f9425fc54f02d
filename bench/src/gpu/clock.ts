/** Device time of a piece of work: by the device's own events where it has them, else by the host's clock round a fence. */
import type { Device } from '@pergola/core';

/** Milliseconds of each sample, ascending. */
export type Samples = readonly number[];

/** How long something is sampled. */
export interface ClockOptions {
  readonly warmUps: number;
  readonly warmUpSeconds: number;
  readonly minSamples: number;
  readonly maxSeconds: number;
}

/** Kernels are chosen, compiled and measured in the first runs; clocks rise under load within half a second. */
export const CLOCK_DEFAULTS: ClockOptions = {
  warmUps: 3,
  warmUpSeconds: 0.5,
  minSamples: 5,
  maxSeconds: 1,
};

/** For work of many seconds. */
export const CLOCK_ONCE: ClockOptions = {
  warmUps: 1,
  warmUpSeconds: 0,
  minSamples: 1,
  maxSeconds: 0,
};

/** Timing events of a backend. */
interface EventTimer {
  markTime(slot: 0 | 1): void;
  elapsedMs(): number;
}

/** The events of a CUDA device, found by their shape: this package does not load backends. */
function eventTimer(device: Device): EventTimer | undefined {
  const { context } = device.backend as { context?: { device?: Partial<EventTimer> } };
  const native = context?.device;
  if (typeof native?.markTime !== 'function' || typeof native.elapsedMs !== 'function') {
    return undefined;
  }
  return native as EventTimer;
}

/** True where times are the device's own. */
export function hasDeviceClock(device: Device): boolean {
  return eventTimer(device) !== undefined;
}

async function sampleOnce(device: Device, body: () => void | Promise<void>): Promise<number> {
  const timer = eventTimer(device);
  if (timer !== undefined) {
    await device.sync();
    timer.markTime(0);
    await body();
    timer.markTime(1);
    return timer.elapsedMs();
  }
  await device.sync();
  const start = performance.now();
  await body();
  await device.sync();
  return performance.now() - start;
}

/**
 * Samples `body` until both bounds are met. Its results are freed after each sample.
 *
 * @param repeats calls per sample, so that short work outweighs what surrounds it; times are of one call.
 */
export async function timeOnDevice(
  device: Device,
  body: () => unknown,
  repeats = 1,
  { warmUps, warmUpSeconds, minSamples, maxSeconds }: ClockOptions = CLOCK_DEFAULTS,
): Promise<Samples> {
  const run = async (): Promise<void> => {
    for (let i = 0; i < repeats; i++) {
      await device.run(async () => {
        await body();
      });
    }
  };
  const warm = performance.now() + warmUpSeconds * 1000;
  for (let i = 0; i < warmUps || performance.now() < warm; i++) {
    await run();
    await device.sync();
  }
  const samples: number[] = [];
  const end = performance.now() + maxSeconds * 1000;
  while (samples.length < minSamples || performance.now() < end) {
    samples.push((await sampleOnce(device, run)) / repeats);
  }
  return samples.sort((a, b) => a - b);
}
