/** The report on a coordinate list on the CPU. */
import { addressOf, wordsAt, type CpuKernel } from '@pergola/core';
import { emptyReport } from '../ops/report.ts';
import { wasm } from './wasm/hash.generated.ts';

// Rows worth handing to another thread, about 30 microseconds.
const GRAIN_ROWS = 1024;

export const inspectCoordsKernel: CpuKernel<object, readonly [rows: number, capacity: number]> = {
  op: 'inspectCoords',
  supports: () => true,
  prepare: ({ inputs: [coords, slots] }) => [coords!.shape[0]!, slots!.shape[0]!],
  run([rows, capacity], [coords, slots], [out], context) {
    const report = addressOf(out!, 'i32');
    const empty = emptyReport();
    wordsAt(context, report, empty.length).set(empty);
    const words = [addressOf(coords!, 'i32'), addressOf(slots!, 'i32'), capacity - 1, report];
    context.pool.run(wasm, 'inspect', words, rows, GRAIN_ROWS);
  },
};
