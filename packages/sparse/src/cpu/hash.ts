/** The coordinate hash on the CPU: building a table and looking rows up in it. */
import { addressOf, type CpuKernel } from '@pergola/core';
import { wasm } from './wasm/hash.generated.ts';

// Look-ups worth handing to another thread, about 30 microseconds.
const GRAIN_LOOKUPS = 2048;

/** Insertion in row order by one thread: it is bound by memory, and a small part of making a structure. */
export const buildHashKernel: CpuKernel<object, readonly [capacity: number, rows: number]> = {
  op: 'buildHash',
  supports: () => true,
  prepare: ({ inputs, outputs }) => [outputs[0]!.shape[0]!, inputs[0]!.shape[0]!],
  run([capacity, rows], [coords], [slots], context) {
    const words = [addressOf(coords!, 'i32'), addressOf(slots!, 'i32'), capacity, rows];
    context.pool.run(wasm, 'buildTable', words, 1, 1);
  },
};

export const lookupHashKernel: CpuKernel<object, readonly [capacity: number, queries: number]> = {
  op: 'lookupHash',
  supports: () => true,
  prepare: ({ inputs }) => [inputs[0]!.shape[0]!, inputs[2]!.shape[0]!],
  run([capacity, count], [slots, coords, queries], [out], context) {
    const words = [
      ...[addressOf(slots!, 'i32'), capacity - 1, addressOf(coords!, 'i32')],
      ...[addressOf(queries!, 'i32'), addressOf(out!, 'i32')],
    ];
    context.pool.run(wasm, 'lookup', words, count, GRAIN_LOOKUPS);
  },
};
