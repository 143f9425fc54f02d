/** Runs the GPU cases one after another and puts their times beside the figures to beat. */
import type { Device } from '@pergola/core';
import type { GpuCase, PreparedCase } from './case.ts';
import { CLOCK_ONCE, timeOnDevice, type ClockOptions } from './clock.ts';
import { figuresOf, type Figures } from './figures.ts';
import { KERNEL_CASES } from './kernel-cases.ts';
import { networkCases } from './network-cases.ts';
import { PIPELINE_CASES } from './pipeline-case.ts';

/** What was measured of one case. */
export interface Measurement {
  /** Milliseconds of a call. */
  readonly min: number;
  readonly median: number;
  readonly samples: number;
  /** By the median; absent where the case does not count its operations. */
  readonly teraflops?: number;
  readonly memory: {
    /** Tensors that are there between calls: weights and inputs. */
    readonly heldBytes: number;
    /** Most that tensors took during a call, `heldBytes` included. */
    readonly peakBytes: number;
    /** What the allocator keeps beyond live tensors after the calls. */
    readonly pooledBytes: number;
  };
}

/** Times and memory of one case, or why there are none. */
export type GpuResult = {
  readonly name: string;
  readonly detail: string;
  readonly figures: Figures;
} & (Measurement | { readonly error: string });

/** All cases in the order of the table. */
export function gpuCases(device: Device): GpuCase[] {
  return [...KERNEL_CASES, ...networkCases(device), ...PIPELINE_CASES];
}

async function measure(
  device: Device,
  prepared: PreparedCase,
  options: ClockOptions,
): Promise<Measurement> {
  await device.sync();
  const heldBytes = device.memory().liveBytes;
  device.resetPeak();
  const { repeats = 1, once = false, flops } = prepared;
  const samples = await timeOnDevice(
    device,
    () => prepared.run(),
    repeats,
    once ? CLOCK_ONCE : options,
  );
  const median = samples[samples.length >> 1]!;
  const { peakBytes, pooledBytes } = device.memory();
  return {
    min: samples[0]!,
    median,
    samples: samples.length,
    ...(flops === undefined ? {} : { teraflops: flops / median / 1e9 }),
    memory: { heldBytes, peakBytes, pooledBytes },
  };
}

/** Sets a case up, times it and frees it. A failure is a result too: the other cases still run. */
export async function runGpuCase(
  device: Device,
  gpuCase: GpuCase,
  options: ClockOptions,
): Promise<GpuResult> {
  const { figure, detail } = gpuCase;
  const row = { name: figure, detail, figures: figuresOf(device.name, figure) };
  try {
    const prepared = await gpuCase.prepare(device);
    try {
      return { ...row, ...(await measure(device, prepared, options)) };
    } finally {
      prepared.dispose();
      device.backend.trim?.();
    }
  } catch (error) {
    return { ...row, error: error instanceof Error ? error.message : String(error) };
  }
}

function milliseconds(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toFixed(3);
}

function verdict(median: number, { must, aim }: Figures): string | undefined {
  if (aim !== undefined && median <= aim) return 'aim met';
  if (must !== undefined) {
    return median <= must ? 'must met' : `${(median / must).toFixed(2)}x must`;
  }
  return aim === undefined ? undefined : `${(median / aim).toFixed(2)}x aim`;
}

/** Lines of the table: our times beside those elsewhere, then memory. */
export function formatGpuResult(result: GpuResult): string {
  const { name, detail, figures } = result;
  const head = `${name} (${detail})`;
  if ('error' in result) return `${head}\n    failed: ${result.error}`;
  const { min, median, teraflops, memory } = result;
  const times = Object.entries({ min, median, ...figures }).map(
    ([label, value]) => `${label} ${milliseconds(value)}`,
  );
  const rate = teraflops === undefined ? [] : [`${teraflops.toFixed(0)} TFLOP/s`];
  const judged = verdict(median, figures);
  const columns = [...times, ...rate, ...(judged === undefined ? [] : [judged])].join(' | ');
  const megabytes = Object.values(memory).map((bytes) => (bytes / 1e6).toFixed(0));
  const [held, peak, pooled] = megabytes;
  return `${head}\n    ${columns}\n    MB held ${held}, peak ${peak}, pooled ${pooled}`;
}
