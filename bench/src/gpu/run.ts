/** Runs the GPU cases one after another and puts their times beside the figures to beat. */
import type { Device } from '@pergola/core';
import type { GpuCase } from './case.ts';
import { timeOnDevice, type ClockOptions } from './clock.ts';
import { FIGURES, type Figures } from './figures.ts';
import { KERNEL_CASES } from './kernel-cases.ts';
import { networkCases } from './network-cases.ts';
import { PIPELINE_CASE } from './pipeline-case.ts';

/** Times of one case in milliseconds, or why there are none. */
export type GpuResult = {
  readonly name: string;
  readonly detail: string;
  readonly figures: Figures;
} & (
  | { readonly min: number; readonly median: number; readonly samples: number }
  | { readonly error: string }
);

/** All cases in the order of the table. */
export function gpuCases(device: Device): GpuCase[] {
  return [...KERNEL_CASES, ...networkCases(device), PIPELINE_CASE];
}

/** Sets a case up, times it and frees it. A failure is a result too: the other cases still run. */
export async function runGpuCase(
  device: Device,
  gpuCase: GpuCase,
  options: ClockOptions,
): Promise<GpuResult> {
  const { figure, detail } = gpuCase;
  const row = { name: figure, detail, figures: FIGURES[figure] };
  try {
    const prepared = await gpuCase.prepare(device);
    try {
      const samples = await timeOnDevice(
        device,
        () => prepared.run(),
        prepared.repeats ?? 1,
        options,
      );
      const median = samples[samples.length >> 1]!;
      return { ...row, min: samples[0]!, median, samples: samples.length };
    } finally {
      prepared.dispose();
      device.backend.trim?.();
    }
  } catch (error) {
    return { ...row, error: error instanceof Error ? error.message : String(error) };
  }
}

function milliseconds(value: number | undefined): string {
  if (value === undefined) return '-';
  return value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toFixed(3);
}

function verdict(median: number, { must, aim }: Figures): string {
  if (median <= aim) return 'aim met';
  return median <= must ? 'must met' : `${(median / must).toFixed(2)}x must`;
}

/** A line of the table: our times, then eager, peer, must and aim. */
export function formatGpuResult(result: GpuResult): string {
  const { name, detail, figures } = result;
  const head = `${name} (${detail})`;
  if ('error' in result) return `${head}\n    failed: ${result.error}`;
  const { eager, peer, must, aim } = figures;
  const columns = [
    `min ${milliseconds(result.min)}`,
    `median ${milliseconds(result.median)}`,
    `eager ${milliseconds(eager)}`,
    `peer ${milliseconds(peer)}`,
    `must ${milliseconds(must)}`,
    `aim ${milliseconds(aim)}`,
    verdict(result.median, figures),
  ];
  return `${head}\n    ${columns.join(' | ')} ms`.replace(/ ms$/, '');
}
