/** `sparseGroupNorm` in f32 on the CPU: sums in f64 over runs of rows, statistics on the host, one applying pass. */
import {
  addressOf,
  onlyF32,
  withTemporary,
  wordsAt,
  type CpuContext,
  type CpuKernel,
} from '@pergola/core';
import type { SparseGroupNormAttrs } from '../ops/norm.ts';
import { wasm } from './wasm/rows.generated.ts';

// Rows of a run. Sums are joined run by run, so results depend on it and not on the threads.
const RUN_ROWS = 1024;
// Elements worth handing to another thread, about 30 microseconds.
const GRAIN_ELEMENTS = 65_536;

interface NormPlan {
  readonly attrs: SparseGroupNormAttrs;
  readonly channels: number;
  readonly elements: number;
}

/** Rows of one batch element, at most RUN_ROWS of them. */
interface Run {
  readonly element: number;
  readonly first: number;
  readonly rows: number;
}

function cutRuns(offsets: ArrayLike<number>): Run[] {
  const runs: Run[] = [];
  for (let element = 0; element + 1 < offsets.length; element++) {
    for (let first = offsets[element]!; first < offsets[element + 1]!; first += RUN_ROWS) {
      runs.push({ element, first, rows: Math.min(RUN_ROWS, offsets[element + 1]! - first) });
    }
  }
  return runs;
}

function floatsAt(context: CpuContext, address: number, length: number): Float32Array {
  return new Float32Array(context.memory.buffer, address, length);
}

/** Sums and sums of squares per batch element and group, from those per run and channel. */
function joinRuns(
  sums: Float64Array,
  runs: readonly Run[],
  { attrs: { groups }, channels, elements }: NormPlan,
): Float64Array {
  const width = channels / groups;
  const joined = new Float64Array(elements * groups * 2);
  for (const [r, { element }] of runs.entries()) {
    for (let c = 0; c < channels; c++) {
      const at = (element * groups + Math.floor(c / width)) * 2;
      joined[at]! += sums[r * 2 * channels + c]!;
      joined[at + 1]! += sums[(r * 2 + 1) * channels + c]!;
    }
  }
  return joined;
}

export const sparseGroupNormKernel: CpuKernel<SparseGroupNormAttrs, NormPlan> = {
  op: 'sparseGroupNorm',
  supports: ({ inputs: [x, weight, bias] }) => onlyF32([x, weight, bias]),
  prepare: ({ inputs: [x, , , offsets], attrs }) => ({
    attrs,
    channels: x!.shape[1]!,
    elements: offsets!.shape[0]! - 1,
  }),
  run(plan, [x, weight, bias, offsets], [out], context) {
    const { attrs, channels, elements } = plan;
    const { groups, eps, activation } = attrs;
    const starts = Int32Array.from(
      wordsAt(context, addressOf(offsets!, 'i32'), elements + 1),
      (word) => word | 0,
    );
    const runs = cutRuns(starts);
    const runBytes = 64 * Math.ceil((runs.length * 12) / 64);
    const sumBytes = runs.length * channels * 16;
    const statisticsBytes = elements * channels * 12;
    withTemporary(context, runBytes + sumBytes + statisticsBytes, (table) => {
      const [sums, statistics] = [table + runBytes, table + runBytes + sumBytes];
      const grain = GRAIN_ELEMENTS / (RUN_ROWS * channels);
      const from = addressOf(x!, 'f32');
      wordsAt(context, table, runs.length * 2).set(
        runs.flatMap(({ first, rows }) => [first, rows]),
      );
      context.pool.run(wasm, 'channelSums', [from, table, sums, channels], runs.length, grain);

      const buffer = context.memory.buffer;
      const joined = joinRuns(
        new Float64Array(buffer, sums, (runs.length * channels * 16) / 8),
        runs,
        plan,
      );
      const weights = weight && floatsAt(context, addressOf(weight, 'f32'), channels);
      const biases = bias && floatsAt(context, addressOf(bias, 'f32'), channels);
      const rows = floatsAt(context, statistics, elements * channels * 3);
      const width = channels / groups;
      for (let element = 0; element < elements; element++) {
        const size = (starts[element + 1]! - starts[element]!) * width;
        for (let c = 0; c < channels; c++) {
          const group = (element * groups + Math.floor(c / width)) * 2;
          const mean = joined[group]! / size;
          const variance = Math.max(0, joined[group + 1]! / size - mean * mean);
          const at = element * channels * 3 + c;
          rows[at] = mean;
          rows[at + channels] = (weights?.[c] ?? 1) / Math.sqrt(variance + eps);
          rows[at + 2 * channels] = biases?.[c] ?? 0;
        }
      }

      wordsAt(context, table, runs.length * 3).set(
        runs.flatMap(({ first, rows: count, element }) => [
          ...[first, count, statistics + element * channels * 12],
        ]),
      );
      const words = [from, table, addressOf(out!, 'f32'), channels, Number(activation === 'silu')];
      context.pool.run(wasm, 'normalizeRuns', words, runs.length, grain);
    });
  },
};
