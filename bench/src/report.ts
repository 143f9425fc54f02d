/** Prints timings as a table and as JSON. */
import type { Timing } from './runner.ts';

function seconds(value: number): string {
  return value < 1 ? `${(value * 1000).toFixed(2)} ms` : `${value.toFixed(2)} s`;
}

/** A table with one row per contender; `ratio` is relative to the slowest contender of the workload. */
export function formatTimings(timings: readonly Timing[]): string {
  const slowest = Math.max(...timings.map((timing) => timing.medianSeconds));
  const rows = timings.map((timing) => [
    timing.contender,
    seconds(timing.minSeconds),
    seconds(timing.medianSeconds),
    timing.peakGflops?.toFixed(1) ?? '-',
    timing.medianGflops?.toFixed(1) ?? '-',
    `${(slowest / timing.medianSeconds).toFixed(1)}x`,
    String(timing.samples),
  ]);
  const table = [
    ['', 'min', 'median', 'GFLOP/s (min)', 'GFLOP/s (median)', 'ratio', 'samples'],
    ...rows,
  ];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  '),
    )
    .join('\n');
}
